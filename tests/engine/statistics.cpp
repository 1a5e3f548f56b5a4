// What a port counts: the numbers fit what was done.
#include "support/limits.hpp"
#include "support/pump.hpp"
#include "support/tickets.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;

TEST_CASE("a new port has counted nothing") {
  completion_port port;
  const auto s = port.statistics();
  CHECK(s.handlers_run == 0);
  CHECK(s.completions == 0);
  CHECK(s.operations_in_flight == 0);
  CHECK(s.timers == 0);
  CHECK(s.overflows == 0);
}

TEST_CASE("every handler that ran was counted") {
  completion_port port;
  timer past{port, 0s};
  past.async_wait([](error_code) {});
  for (int i = 0; i < 9; ++i) asio::post(port, [] {});
  CHECK(port.run() == 10);
  CHECK(port.statistics().handlers_run == 10);
}

TEST_CASE("an operation is in flight from its start until its handler runs") {
  completion_port port;
  timer hour{port, 1h};
  CHECK(port.statistics().operations_in_flight == 0);
  hour.async_wait([&](error_code) { CHECK(port.statistics().operations_in_flight == 0); });
  CHECK(port.statistics().operations_in_flight == 1);
  CHECK(port.statistics().timers == 1);
  hour.cancel();
  CHECK(port.statistics().operations_in_flight == 1);
  CHECK(port.statistics().timers == 0);
  CHECK(support::run_dry(port));
  CHECK(port.statistics().operations_in_flight == 0);
  CHECK(port.statistics().completions == 1);
}

TEST_CASE("a wake of a sleeping port is counted on both sides") {
  completion_port port;
  auto guard = asio::make_work_guard(port.get_executor());
  std::thread runner([&] { port.run(); });
  support::tickets ran;
  // The port may be on its way to sleep: post until one of them had to wake it.
  const auto limit = std::chrono::steady_clock::now() + support::guard_time;
  bool all_ran = true;
  while (all_ran && port.statistics().wakeups_sent == 0 &&
         std::chrono::steady_clock::now() < limit) {
    asio::post(port, [&] { ran.release(); });
    all_ran = ran.try_acquire_for(support::guard_time);
  }
  CHECK(all_ran);
  CHECK(port.statistics().wakeups_sent > 0);
  guard.reset();
  runner.join();
  CHECK(port.statistics().wakeups_received > 0);
  CHECK(port.statistics().wakeups_received <= port.statistics().wakeups_sent);
}

TEST_CASE("waiting for a timer costs a few kernel entries, not a spin") {
  completion_port port;
  timer pause{port, 20ms};
  pause.async_wait([](error_code) {});
  CHECK(support::run_dry(port));
  CHECK(port.statistics().kernel_entries <= 10);
}

TEST_CASE("statistics may be read on another thread while the port runs") {
  completion_port port;
  auto guard = asio::make_work_guard(port.get_executor());
  std::thread runner([&] { port.run(); });
  std::uint64_t last = 0;
  bool monotonic = true;
  for (int i = 0; i < 1000; ++i) {
    asio::post(port, [] {});
    const auto now = port.statistics().handlers_run;
    monotonic = monotonic && now >= last;
    last = now;
  }
  CHECK(monotonic);
  guard.reset();
  runner.join();
  CHECK(port.statistics().handlers_run == 1000);
}
