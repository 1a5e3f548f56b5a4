// Control codes as Windows has them: packets, completion routines, and what Wine makes of both.

#include "support/net.hpp"
#include "support/providers.hpp"

#include <boost/asio/use_future.hpp>

#include <array>
#include <cstring>
#include <future>

#include <winsock2.h>

#include <windows.h>

using namespace support;
using fairway::async_control;
using fairway::condition;
using fairway::dispatch;
using fairway::endpoint;
using fairway::endpoint_family;
using fairway::unconnected_socket;

namespace {

using done = delivered<fairway::control_done>;

unconnected_socket fresh(fairway::completion_port& port) {
  return unconnected_socket::open(port, endpoint_family::v4).value();
}

template <class Object, class Command>
delivered<typename Command::output> ask(fairway::completion_port& port, Object& object,
                                        const Command& command, dispatch how) {
  delivered<typename Command::output> got;
  async_control(object, command, how, got.record());
  pump(port, [&] { return got.done(); });
  return got;
}

// WSAID_CONNECTEX, as its bytes lie in memory.
constexpr std::array<std::uint8_t, 16> connect_ex{0xb9, 0x07, 0xa2, 0x25, 0xf3, 0xdd, 0x60, 0x46,
                                                  0x8e, 0xe9, 0x76, 0xe5, 0x8c, 0x74, 0x06, 0x3e};

}  // namespace

TEST_CASE("a routine is for a socket without a port, which it may join afterwards") {
  recording_provider provider;
  fairway::port_options options;
  options.provider = &provider;
  fairway::completion_port port{options};
  auto socket = fresh(port);
  CHECK_FALSE(ask(port, socket, fairway::address_list{}, dispatch::routine).ec);
  CHECK_FALSE(ask(port, socket, fairway::address_list{}, dispatch::overlapped).ec);
  const auto refused = ask(port, socket, fairway::address_list{}, dispatch::routine);
  CHECK(refused.ec == fairway::error::routine_on_port);
  CHECK(refused.ec == condition::invalid_argument);
  CHECK_FALSE(ask(port, socket, fairway::address_list{}, dispatch::overlapped).ec);
}

TEST_CASE("a stream's socket has a port, so a routine is refused there before any call") {
  fairway::completion_port port;
  auto pair = connect_pair(port);
  outcome put;
  pair.a.async_write_some(asio::buffer("x", 1), put.record());
  pump(port, [&] { return put.done(); });
  const auto before = port.statistics().kernel_entries;
  done got;
  async_control(pair.a, fairway::keepalive{}, dispatch::routine, got.record());
  asio::post(port, [] {});
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == fairway::error::routine_on_port);
  static_cast<void>(before);
}

TEST_CASE("codes on a stream end, also where its packets are skipped") {
  fairway::completion_port port;
  auto pair = connect_pair(port);
  for (int i = 0; i < 3; ++i) {
    CHECK(ask(port, pair.a, fairway::raw_control{.code = 0x98000010}, dispatch::overlapped).ec ==
          condition::not_supported);
    CHECK_FALSE(ask(port, pair.a, fairway::keepalive{}, dispatch::overlapped).ec);
    const auto backlog = ask(port, pair.a, fairway::ideal_send_backlog{}, dispatch::overlapped);
    CHECK_FALSE(backlog.ec);
    CHECK(backlog.value.value > 0);
    const auto unread = ask(port, pair.a, fairway::bytes_readable{}, dispatch::overlapped);
    CHECK_FALSE(unread.ec);
    CHECK(unread.value.bytes == 4);
    done waits;
    async_control(pair.a, fairway::address_list_change{}, waits.record());
    drain(port);
    CHECK_FALSE(waits.done());
    pair.a.cancel();
    pump(port, [&] { return waits.done(); });
    CHECK(waits.ec == condition::aborted);
  }
}

TEST_CASE("the real system gives these errors of the page, and each has its condition") {
  fairway::completion_port port;
  auto socket = fresh(port);
  auto datagram = fairway::datagram::open(port, endpoint::loopback_v4(0)).value();
  // WSAEOPNOTSUPP
  CHECK(fairway::control(socket, fairway::loopback_fast_path{}).error() ==
        condition::not_supported);
  // WSAEINVAL: keep-alive times for a datagram socket.
  fairway::raw_control times{.code = 0x98000004, .input = std::vector<std::byte>(12)};
  times.input[0] = std::byte{1};  // on
  CHECK(fairway::control(datagram, times).error() == condition::invalid_argument);
  // WSAEFAULT: room for the list's head, and for none of its addresses.
  fairway::raw_control list{.code = 0x48000016, .output_bytes = 16};
  CHECK(fairway::control(socket, list).error() == condition::bad_address);
  // WSAENOTSOCK: the handle was closed behind the object's back.
  auto lost = fresh(port);
  ::closesocket(static_cast<SOCKET>(lost.native_handle()));
  CHECK(fairway::control(lost, fairway::bytes_readable{}).error() == condition::not_a_socket);
  // An unconnected socket has no backlog.
  CHECK(fairway::control(socket, fairway::ideal_send_backlog{}).error());
}

TEST_CASE("extension functions and the base handle are told") {
  fairway::completion_port port;
  auto socket = fresh(port);
  const auto found = fairway::control(socket, fairway::extension_function{connect_ex});
  REQUIRE(found.has_value());
  CHECK(found.value().function != 0);
  const auto base = fairway::control(socket, fairway::base_handle{});
  REQUIRE(base.has_value());
  CHECK(base.value().handle == socket.native_handle());
}

TEST_CASE("a routine that was asked for by a thread that has ended is aborted") {
  fairway::completion_port port;
  auto socket = fresh(port);
  std::future<fairway::control_done> future;
  std::thread runner([&] {
    asio::post(port, [&] {
      future = async_control(socket, fairway::address_list_change{}, dispatch::routine,
                             asio::use_future);
    });
    port.poll();
  });
  runner.join();
  port.restart();
  const auto begun = std::chrono::steady_clock::now();
  port.run_for(patience);
  CHECK(std::chrono::steady_clock::now() - begun < patience / 2);
  REQUIRE(future.wait_for(0s) == std::future_status::ready);
  try {
    future.get();
    FAIL("no error");
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == condition::aborted);
  }
  // The socket is as good as before.
  CHECK_FALSE(ask(port, socket, fairway::address_list{}, dispatch::routine).ec);
}

TEST_CASE("a packet outlives the thread that asked for it") {
  fairway::completion_port port;
  auto socket = fresh(port);
  done got;
  std::thread runner([&] {
    asio::post(port, [&] {
      async_control(socket, fairway::address_list_change{}, dispatch::overlapped, got.record());
    });
    port.poll();
  });
  runner.join();
  drain(port);
  CHECK_FALSE(got.done());
  socket.cancel();
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
}

TEST_CASE("a port that moved to another thread is told of the first one's routine") {
  fairway::completion_port port;
  auto socket = fresh(port);
  done got;
  const HANDLE over = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
  std::promise<void> asked;
  std::thread runner([&] {
    asio::post(port, [&] {
      async_control(socket, fairway::address_list_change{}, dispatch::routine, got.record());
    });
    port.poll();
    asked.set_value();
    // Waits alertably: the routine runs here, after the port has gone.
    while (::WaitForSingleObjectEx(over, INFINITE, TRUE) == WAIT_IO_COMPLETION) {}
  });
  asked.get_future().wait();
  drain(port);
  CHECK_FALSE(got.done());
  socket.cancel();
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
  CHECK(got.calls == 1);
  ::SetEvent(over);
  runner.join();
  ::CloseHandle(over);
}

TEST_CASE("a routine that runs inside a handler's own wait is delivered once, by the port") {
  fairway::completion_port port;
  auto socket = fresh(port);
  done got;
  asio::post(port, [&] {
    async_control(socket, fairway::loopback_fast_path{}, dispatch::routine, got.record());
    const HANDLE never = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
    CHECK(::WaitForSingleObjectEx(never, 1000, TRUE) == WAIT_IO_COMPLETION);
    ::CloseHandle(never);
    CHECK_FALSE(got.done());
  });
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::not_supported);
  drain(port);
  CHECK(got.calls == 1);
}

TEST_CASE("output memory is not written any more once the operation has ended") {
  // Tells where the output lies, which is the operation's and stays with the socket.
  struct looking : recording_provider {
    int ioctl(fairway::ioctl_call& call, int& error) override {
      output = call.output;
      return call.system(error);
    }
    std::byte* output = nullptr;
  } provider;
  fairway::port_options options;
  options.provider = &provider;
  fairway::completion_port port{options};
  constexpr std::size_t room = 400;
  for (int i = 0; i < 100; ++i) {
    auto socket = fresh(port);
    int calls = 0;
    for (const auto how : {dispatch::routine, dispatch::overlapped}) {
      const int before = calls;
      asio::post(port, [&] {
        async_control(socket, fairway::raw_control{.code = 0x48000016, .output_bytes = room}, how,
                      [&](error_code, fairway::raw_control::output) { ++calls; });
        if (i % 2 == 0) socket.cancel();
      });
      pump(port, [&] { return calls != before; });
      std::memset(provider.output, 0x5a, room);
      drain(port);
      port.run_one_for(1ms);
      for (std::size_t j = 0; j < room; ++j) REQUIRE(provider.output[j] == std::byte{0x5a});
    }
  }
}
