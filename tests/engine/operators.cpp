// awaitable_operators: one of several operations, or all of them.
#include "support/coroutine.hpp"
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <exception>
#include <future>
#include <thread>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
using fairway::completion_port;
using fairway::timer;
using support::coroutine;
using support::use_coroutine;

namespace {

fairway::port_options on(fairway::port_clock& clock) {
  fairway::port_options options;
  options.clock = &clock;
  return options;
}

}  // namespace

TEST_CASE("a || b ends with the first and cancels the other") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer hour{port, 1h};
  timer second{port, 1s};
  std::size_t which = 9;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        const auto first =
            co_await (hour.async_wait(use_coroutine) || second.async_wait(use_coroutine));
        which = first.index();
      },
      asio::detached);
  port.poll();
  clock.advance(1s);
  CHECK(support::run_dry(port));
  CHECK(which == 1);
  CHECK(port.statistics().operations_in_flight == 0);
}

TEST_CASE("a && b ends when both have") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer one{port, 1s};
  timer two{port, 2s};
  bool done = false;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        co_await (one.async_wait(use_coroutine) && two.async_wait(use_coroutine));
        done = true;
      },
      asio::detached);
  port.poll();
  clock.advance(1s);
  port.poll();
  CHECK_FALSE(done);
  clock.advance(1s);
  CHECK(support::run_dry(port));
  CHECK(done);
}

TEST_CASE("a && b gives up both when one throws") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer hour{port, 1h};
  timer cancelled{port, 1h};
  bool thrown = false;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        try {
          co_await (hour.async_wait(use_coroutine) && cancelled.async_wait(use_coroutine));
        } catch (const std::exception&) {
          thrown = true;  // both ends are errors: boost::asio::multiple_exceptions
        }
      },
      asio::detached);
  port.poll();
  cancelled.cancel();
  CHECK(support::run_dry(port));
  CHECK(thrown);
  CHECK(port.statistics().operations_in_flight == 0);
}

TEST_CASE("cancelling a coroutine cancels what both of its branches wait for") {
  completion_port port;
  timer one{port, 1h};
  timer two{port, 1h};
  asio::cancellation_signal stop;
  bool ended = false;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        co_await (one.async_wait(use_coroutine) && two.async_wait(use_coroutine));
      },
      asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr error) {
        ended = error != nullptr;
      }));
  port.poll();
  stop.emit(asio::cancellation_type::terminal);
  CHECK(support::run_dry(port));
  CHECK(ended);
}

TEST_CASE("a || b nests and repeats") {
  completion_port port;
  timer hour{port, 1h};
  timer soon{port};
  int rounds = 0;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        for (; rounds < 1000; ++rounds) {
          soon.expires_after(1us);
          hour.expires_after(1h);
          timer other{port, 1h};
          co_await (hour.async_wait(use_coroutine) || soon.async_wait(use_coroutine) ||
                    other.async_wait(use_coroutine));
        }
      },
      asio::detached);
  CHECK(support::run_dry(port));
  CHECK(rounds == 1000);
  CHECK(port.statistics().operations_in_flight == 0);
}

TEST_CASE("a || b cancels an operation of a port that another thread runs") {
  completion_port home;
  completion_port away;
  auto guard = asio::make_work_guard(away.get_executor());
  std::thread runner([&] { away.run(); });
  int rounds = 0;
  asio::co_spawn(
      home,
      [&]() -> coroutine<> {
        for (; rounds < 100; ++rounds) {
          timer hour{away, 1h};
          timer soon{home, 10us};
          co_await (hour.async_wait(use_coroutine) || soon.async_wait(use_coroutine));
        }
      },
      asio::detached);
  CHECK(support::run_dry(home));
  CHECK(rounds == 100);
  guard.reset();
  if (rounds < 100) away.stop();
  runner.join();
}
