// Kernel entries that fail, on demand.
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>
#include <fairway/testing/fault_schedule.hpp>

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <semaphore>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;
using fairway::testing::entry_fault;
using fairway::testing::kernel_entry;

namespace {

// Lets the first waits fail with EINTR.
struct interrupted : fairway::testing::fault_schedule {
  explicit interrupted(int n) : left{n} {}
  entry_fault on_entry(kernel_entry where) override {
    ++asked;
    if (where != kernel_entry::wait || left == 0) return {};
    --left;
    return {EINTR};
  }
  int left;
  int asked = 0;
};

fairway::port_options with(fairway::testing::fault_schedule& faults) {
  fairway::port_options options;
  options.faults = &faults;
  return options;
}

}  // namespace

TEST_CASE("a thousand interrupted waits lose neither timers nor posts") {
  interrupted faults{1000};
  completion_port port{with(faults)};
  const auto due = std::chrono::steady_clock::now() + 1ms;
  timer soon{port};
  soon.expires_at(due);
  bool early = true;
  soon.async_wait([&](error_code) { early = std::chrono::steady_clock::now() < due; });
  std::size_t ran = 0;
  std::thread poster([&] {
    for (int i = 0; i < 100; ++i) asio::post(port, [&] { ++ran; });
  });
  {
    const auto guard = asio::make_work_guard(port.get_executor());
    // In short runs: the last faults meet waits that nothing else ends.
    const auto limit = std::chrono::steady_clock::now() + support::guard_time;
    while ((ran != 100 || faults.left != 0) && std::chrono::steady_clock::now() < limit) {
      port.run_one_for(1ms);
    }
  }
  poster.join();
  CHECK(support::run_dry(port));
  CHECK_FALSE(early);
  CHECK(faults.left == 0);
  CHECK(ran == 100);
}

TEST_CASE("every entry into the kernel is asked about") {
  interrupted none{0};
  completion_port port{with(none)};
  const auto guard = asio::make_work_guard(port.get_executor());
  CHECK(port.run_one_for(1ms) == 0);
  CHECK(none.asked > 0);
}

#if defined(__linux__)
TEST_CASE("a multishot that the kernel ends early costs no wake") {
  struct ends_wakes final : fairway::testing::fault_schedule {
    entry_fault on_entry(kernel_entry where) override {
      entry_fault fault;
      fault.end_multishot = where == kernel_entry::wake;
      ended += fault.end_multishot ? 1 : 0;
      return fault;
    }
    int ended = 0;
  };
  ends_wakes faults;
  completion_port port{with(faults)};
  constexpr int count = 200;
  int ran = 0;
  std::binary_semaphore done{0};
  // Each post finds the port asleep or about to be.
  std::thread poster([&] {
    for (int i = 0; i < count; ++i) {
      asio::post(port, [&] {
        ++ran;
        done.release();
      });
      done.acquire();
    }
  });
  {
    const auto guard = asio::make_work_guard(port.get_executor());
    const auto limit = std::chrono::steady_clock::now() + support::guard_time;
    while (ran != count && std::chrono::steady_clock::now() < limit) port.run_one_until(limit);
  }
  poster.join();
  CHECK(ran == count);
  if (port.engine() == fairway::engine_kind::io_uring) {
    CHECK(faults.ended > 0);
  } else {
    std::puts("SKIP: only io_uring repeats a wake by itself");
  }
}
#endif

TEST_CASE("a chain of handlers goes on while every wait is interrupted") {
  interrupted faults{1'000'000};
  completion_port port{with(faults)};
  int left = 10'000;
  struct again {
    completion_port& port;
    int& left;
    void operator()() const {
      if (--left != 0) asio::post(port, *this);
    }
  };
  asio::post(port, again{port, left});
  CHECK(support::run_dry(port));
  CHECK(left == 0);
}
