// Providers in front of the system: one that writes down what it is asked, one that fails, one that
// plays a Windows which supports SIO_LOOPBACK_FAST_PATH.
#pragma once

#include <fairway/net/endpoint.hpp>
#include <fairway/net/provider.hpp>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace support {

struct seen_ioctl {
  fairway::control_id command;
  std::uint32_t code;
  std::vector<std::byte> input;
  bool has_output;
  std::uint32_t output_bytes;
  bool has_bytes_returned;
  bool overlapped;
  bool routine;
  std::uintptr_t thread;
};

// Writes down every question, in order, and lets the system answer.
struct recording_provider : fairway::transport_provider {
  int ioctl(fairway::ioctl_call& call, int& error) override {
    note(call);
    return call.system(error);
  }
  int bind(std::uintptr_t, const void*, std::size_t, int&) override { return step("bind"); }
  int listen(std::uintptr_t, int, int&) override { return step("listen"); }
  int connect(std::uintptr_t, const void* address, std::size_t bytes, int&) override {
    return step("connect " + fairway::endpoint::from_native(address, bytes).value().to_string());
  }
  int accept(std::uintptr_t, std::uintptr_t, int&) override { return step("accept"); }

  void note(const fairway::ioctl_call& call) {
    step("ioctl " + std::string{to_string(call.command)});
    std::vector<std::byte> input(call.input, call.input + call.input_bytes);
    calls.push_back({call.command, call.code, std::move(input), call.output != nullptr,
                     call.output_bytes, call.bytes_returned != nullptr, call.overlapped,
                     call.routine, call.thread});
  }
  int step(std::string what) {
    steps.push_back(std::move(what));
    return 0;
  }

  std::vector<std::string> steps;
  std::vector<seen_ioctl> calls;
};

// Answers one command with one error.
struct failing_provider : recording_provider {
  failing_provider(fairway::control_id c, int e) : command{c}, number{e} {}
  int ioctl(fairway::ioctl_call& call, int& error) override {
    note(call);
    if (call.command != command) return call.system(error);
    error = number;
    return -1;
  }

  fairway::control_id command;
  int number;
};

// The page on SIO_LOOPBACK_FAST_PATH as a program.
struct fast_path_provider : recording_provider {
  int ioctl(fairway::ioctl_call& call, int& error) override {
    note(call);
    if (call.command == fairway::control_id::flush) return flush();
    if (call.code != 0x98000010) return call.system(error);
    if (leaves_pending && call.overlapped) {
      pending.push_back({call.token(), call.socket});
      error = fairway::io_pending;
      return -1;
    }
    return switch_on(call, error);
  }
  void cancel(const fairway::pending_ioctl& call) override {
    step("cancel");
    std::erase_if(pending, [&](const auto& p) { return p.first == call; });
  }

  int switch_on(fairway::ioctl_call& call, int& error) {
    using fairway::condition;
    std::uint32_t on = 0;
    const bool good = call.input_bytes == sizeof on && call.output_bytes == 0;
    if (call.bytes_returned == nullptr || call.input == nullptr) {
      return refuse(error, condition::bad_address);
    }
    if (!good) return refuse(error, condition::invalid_argument);
    std::memcpy(&on, call.input, sizeof on);
    asked.push_back({call.socket, on != 0});
    *call.bytes_returned = 0;
    return 0;
  }
  int flush() {
    step("flush");
    for (auto& p : std::exchange(pending, {})) {
      p.first.complete(fairway::native_error(fairway::condition::aborted), 0);
    }
    return 0;
  }
  static int refuse(int& error, fairway::condition why) {
    error = fairway::native_error(why);
    return -1;
  }

  bool leaves_pending = false;
  std::vector<std::pair<fairway::pending_ioctl, std::uintptr_t>> pending;
  std::vector<std::pair<std::uintptr_t, bool>> asked;  // in order; numbers are used again
};

}  // namespace support
