// Cancelling at every point of an operation's life: one completion, and only the one meant.
#include "support/coroutine.hpp"
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/as_result.hpp>
#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;

namespace {

// Collects how the waits ended.
struct ends {
  std::vector<error_code> all;
  auto handler() {
    return [this](error_code ec) { all.push_back(ec); };
  }
};

fairway::port_options on(fairway::port_clock& clock) {
  fairway::port_options options;
  options.clock = &clock;
  return options;
}

}  // namespace

TEST_CASE("cancelling before anything was started has no effect on what comes") {
  completion_port port;
  timer soon{port, 1ms};
  ends e;
  soon.cancel();
  soon.cancel();
  soon.async_wait(e.handler());
  CHECK(support::run_dry(port));
  REQUIRE(e.all.size() == 1);
  CHECK_FALSE(e.all[0]);
}

TEST_CASE("cancelling a pending wait ends it with operation aborted, once") {
  completion_port port;
  timer hour{port, 1h};
  ends e;
  hour.async_wait(e.handler());
  port.poll();
  hour.cancel();
  hour.cancel();
  CHECK(e.all.empty());
  CHECK(support::run_dry(port));
  REQUIRE(e.all.size() == 1);
  CHECK(e.all[0] == asio::error::operation_aborted);
}

TEST_CASE("cancelling after an inline success changes nothing") {
  completion_port port;
  timer past{port, 0s};
  ends e;
  past.async_wait(e.handler());
  past.cancel();
  CHECK(support::run_dry(port));
  REQUIRE(e.all.size() == 1);
  CHECK_FALSE(e.all[0]);
}

TEST_CASE("cancelling between completion and handler changes nothing") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer first{port, 1s};
  timer second{port, 2s};
  ends e;
  first.async_wait([&](error_code) { second.cancel(); });
  second.async_wait(e.handler());
  port.poll();
  clock.advance(2s);
  CHECK(support::run_dry(port));
  REQUIRE(e.all.size() == 1);
  CHECK_FALSE(e.all[0]);
}

TEST_CASE("each type of cancellation ends a wait") {
  for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                          asio::cancellation_type::total, asio::cancellation_type::all}) {
    completion_port port;
    timer hour{port, 1h};
    asio::cancellation_signal stop;
    ends e;
    hour.async_wait(asio::bind_cancellation_slot(stop.slot(), e.handler()));
    stop.emit(type);
    stop.emit(type);
    CHECK(support::run_dry(port));
    REQUIRE(e.all.size() == 1);
    CHECK(e.all[0] == asio::error::operation_aborted);
  }
}

TEST_CASE("a cancellation of no type is none") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer hour{port, 1h};
  asio::cancellation_signal stop;
  ends e;
  hour.async_wait(asio::bind_cancellation_slot(stop.slot(), e.handler()));
  stop.emit(asio::cancellation_type::none);
  port.poll();
  CHECK(e.all.empty());
  clock.advance(1h);
  CHECK(support::run_dry(port));
  CHECK_FALSE(e.all.at(0));
}

TEST_CASE("a late signal does not reach the next wait on the same memory") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer t{port, 0s};
  asio::cancellation_signal stop;
  ends first;
  ends second;
  t.async_wait(asio::bind_cancellation_slot(stop.slot(), first.handler()));
  port.poll();
  t.expires_after(1s);
  t.async_wait(second.handler());
  stop.emit(asio::cancellation_type::terminal);
  port.poll();
  CHECK(second.all.empty());
  clock.advance(1s);
  CHECK(support::run_dry(port));
  REQUIRE(second.all.size() == 1);
  CHECK_FALSE(second.all[0]);
}

TEST_CASE("a signal emitted between completion and handler changes nothing") {
  completion_port port;
  timer past{port, 0s};
  asio::cancellation_signal stop;
  ends e;
  past.async_wait(asio::bind_cancellation_slot(stop.slot(), e.handler()));
  stop.emit(asio::cancellation_type::terminal);
  CHECK(support::run_dry(port));
  CHECK_FALSE(e.all.at(0));
}

TEST_CASE("a signal emitted inside a handler of the port ends a wait") {
  completion_port port;
  timer hour{port, 1h};
  asio::cancellation_signal stop;
  ends e;
  hour.async_wait(asio::bind_cancellation_slot(stop.slot(), e.handler()));
  asio::post(port, [&] {
    stop.emit(asio::cancellation_type::terminal);
    CHECK(e.all.empty());
  });
  CHECK(support::run_dry(port));
  CHECK(e.all.at(0) == asio::error::operation_aborted);
}

TEST_CASE("destroying a timer ends its wait with operation aborted") {
  completion_port port;
  auto hour = std::make_unique<timer>(port, 1h);
  ends e;
  hour->async_wait(e.handler());
  hour.reset();
  CHECK(e.all.empty());
  CHECK(support::run_dry(port));
  CHECK(e.all.at(0) == asio::error::operation_aborted);
}

TEST_CASE("assigning to a timer ends the wait of the one that it was") {
  completion_port port;
  timer hour{port, 1h};
  ends e;
  hour.async_wait(e.handler());
  hour = timer{port, 1h};
  CHECK(support::run_dry(port));
  CHECK(e.all.at(0) == asio::error::operation_aborted);
}

TEST_CASE("a coroutine cancelled before it begins to wait does not wait") {
  completion_port port;
  timer past{port, 0s};
  timer hour{port, 1h};
  asio::cancellation_signal stop;
  bool ended = false;
  asio::co_spawn(
      port,
      [&]() -> support::coroutine<> {
        co_await past.async_wait(support::use_coroutine);
        stop.emit(asio::cancellation_type::terminal);
        co_await hour.async_wait(support::use_coroutine);
      },
      asio::bind_cancellation_slot(stop.slot(),
                                   [&](std::exception_ptr error) { ended = error != nullptr; }));
  CHECK(support::run_dry(port));
  CHECK(ended);
}

TEST_CASE("cancel on another thread ends a wait of a port that runs") {
  completion_port port;
  auto guard = asio::make_work_guard(port.get_executor());
  std::thread runner([&] { port.run(); });
  timer hour{port, 1h};
  for (int i = 0; i < 100; ++i) {
    hour.expires_after(1h);
    auto done = hour.async_wait(fairway::as_result(asio::use_future));
    hour.cancel();
    REQUIRE(done.wait_for(support::guard_time) == std::future_status::ready);
    CHECK(done.get().error() == asio::error::operation_aborted);
  }
  guard.reset();
  runner.join();
}

TEST_CASE("a signal emitted where the operation was started reaches a port that runs elsewhere") {
  completion_port port;
  auto guard = asio::make_work_guard(port.get_executor());
  std::thread runner([&] { port.run(); });
  timer hour{port, 1h};
  asio::cancellation_signal stop;
  for (int i = 0; i < 100; ++i) {
    auto done = hour.async_wait(
        asio::bind_cancellation_slot(stop.slot(), fairway::as_result(asio::use_future)));
    stop.emit(asio::cancellation_type::terminal);
    if (done.wait_for(support::guard_time) != std::future_status::ready) {
      FAIL_CHECK("the wait was not cancelled");
      break;
    }
    CHECK(done.get().error() == asio::error::operation_aborted);
  }
  hour.cancel();
  guard.reset();
  runner.join();
}

TEST_CASE("a signal emitted after the port has gone changes nothing") {
  asio::cancellation_signal stop;
  asio::cancellation_signal stop_refused;
  int ends = 0;
  {
    completion_port port;
    timer soon{port, 1ms};
    soon.async_wait(asio::bind_cancellation_slot(stop.slot(), [&](error_code) { ++ends; }));
    soon.async_wait(asio::bind_cancellation_slot(stop_refused.slot(), [&](error_code) { ++ends; }));
    CHECK(support::run_dry(port));
  }
  CHECK(ends == 2);
  stop.emit(asio::cancellation_type::terminal);
  stop_refused.emit(asio::cancellation_type::terminal);
  CHECK(ends == 2);
}
