// Every completion token of Asio's, tried on the timer.
#include "support/coroutine.hpp"
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/as_result.hpp>
#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <future>
#include <thread>
#include <tuple>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;
using support::coroutine;
using support::use_coroutine;

namespace {

// Runs `make(port)`'s coroutine to its end; exceptions that leave it leave this.
template <class Make>
void run_coroutine(completion_port& port, Make&& make) {
  auto end = asio::co_spawn(port, std::forward<Make>(make), asio::use_future);
  REQUIRE(support::run_dry(port));
  REQUIRE(end.wait_for(0s) == std::future_status::ready);
  end.get();
}

}  // namespace

TEST_CASE("co_await with use_awaitable returns on success") {
  completion_port port;
  timer soon{port, 1ms};
  bool reached = false;
  run_coroutine(port, [&]() -> coroutine<> {
    co_await soon.async_wait(use_coroutine);
    reached = true;
  });
  CHECK(reached);
}

TEST_CASE("co_await with use_awaitable throws on an error") {
  completion_port port;
  timer hour{port, 1h};
  error_code thrown;
  run_coroutine(port, [&]() -> coroutine<> {
    asio::post(port, [&] { hour.cancel(); });
    try {
      co_await hour.async_wait(use_coroutine);
    } catch (const boost::system::system_error& e) {
      thrown = e.code();
    }
  });
  CHECK(thrown == asio::error::operation_aborted);
}

TEST_CASE("co_await without a token gives a result") {
  completion_port port;
  timer soon{port, 1ms};
  timer hour{port, 1h};
  run_coroutine(port, [&]() -> coroutine<> {
    const auto good = co_await soon.async_wait();
    CHECK(good.has_value());
    asio::post(port, [&] { hour.cancel(); });
    const auto bad = co_await hour.async_wait();
    REQUIRE(bad.has_error());
    CHECK(bad.error() == asio::error::operation_aborted);
  });
}

TEST_CASE("as_tuple gives the arguments as a tuple") {
  completion_port port;
  timer soon{port, 1ms};
  run_coroutine(port, [&]() -> coroutine<> {
    const auto [ec] = co_await soon.async_wait(asio::as_tuple(use_coroutine));
    CHECK_FALSE(ec);
  });
}

TEST_CASE("redirect_error stores the error") {
  completion_port port;
  timer hour{port, 1h};
  run_coroutine(port, [&]() -> coroutine<> {
    asio::post(port, [&] { hour.cancel(); });
    error_code ec;
    co_await hour.async_wait(asio::redirect_error(use_coroutine, ec));
    CHECK(ec == asio::error::operation_aborted);
  });
}

TEST_CASE("use_future gives a future that is ready after the run") {
  completion_port port;
  timer soon{port, 1ms};
  std::future<void> done = soon.async_wait(asio::use_future);
  CHECK(support::run_dry(port));
  REQUIRE(done.wait_for(0s) == std::future_status::ready);
  CHECK_NOTHROW(done.get());
}

TEST_CASE("use_future throws a system_error out of get") {
  completion_port port;
  timer hour{port, 1h};
  std::future<void> done = hour.async_wait(asio::use_future);
  hour.cancel();
  CHECK(support::run_dry(port));
  CHECK_THROWS_AS(done.get(), boost::system::system_error);
}

TEST_CASE("as_result over use_future gives a future of a result") {
  completion_port port;
  timer hour{port, 1h};
  auto done = hour.async_wait(fairway::as_result(asio::use_future));
  hour.cancel();
  CHECK(support::run_dry(port));
  CHECK(done.get().error() == asio::error::operation_aborted);
}

TEST_CASE("deferred starts nothing until it is called") {
  completion_port port;
  timer soon{port, 1ms};
  auto operation = soon.async_wait(asio::deferred);
  CHECK(port.poll() == 0);
  CHECK(port.stopped());
  bool ran = false;
  std::move(operation)([&](error_code ec) { ran = !ec; });
  CHECK(support::run_dry(port));
  CHECK(ran);
}

TEST_CASE("a deferred operation can be awaited") {
  completion_port port;
  timer soon{port, 1ms};
  bool reached = false;
  run_coroutine(port, [&]() -> coroutine<> {
    co_await soon.async_wait(asio::deferred);
    reached = true;
  });
  CHECK(reached);
}

TEST_CASE("detached runs the operation for nobody") {
  completion_port port;
  timer soon{port, 1ms};
  soon.async_wait(asio::detached);
  CHECK(support::run_dry(port));
  CHECK(port.statistics().completions == 1);
}

TEST_CASE("bind_executor over bind_cancellation_slot honours both") {
  completion_port port;
  auto strand = asio::make_strand(port.get_executor());
  asio::cancellation_signal stop;
  timer hour{port, 1h};
  error_code end;
  bool in_strand = false;
  hour.async_wait(asio::bind_executor(
      strand, asio::bind_cancellation_slot(stop.slot(), [&](error_code ec) {
        end = ec;
        in_strand = strand.running_in_this_thread();
      })));
  stop.emit(asio::cancellation_type::terminal);
  CHECK(support::run_dry(port));
  CHECK(end == asio::error::operation_aborted);
  CHECK(in_strand);
}

TEST_CASE("a coroutine on a strand over a port resumes in the strand") {
  completion_port port;
  auto strand = asio::make_strand(asio::any_io_executor{port.get_executor()});
  timer soon{port, 1ms};
  bool in_strand = false;
  asio::co_spawn(
      strand,
      [&]() -> asio::awaitable<void> {
        co_await soon.async_wait(asio::use_awaitable);
        in_strand = strand.running_in_this_thread();
      },
      asio::detached);
  CHECK(support::run_dry(port));
  CHECK(in_strand);
}

TEST_CASE("a coroutine on a thread pool can await a port's timer while the port runs elsewhere") {
  completion_port port;
  auto guard = asio::make_work_guard(port.get_executor());
  std::thread runner([&] { port.run(); });
  asio::thread_pool pool{1};
  int waits = 0;
  auto end = asio::co_spawn(
      pool,
      [&]() -> asio::awaitable<void> {
        timer soon{port};
        for (; waits < 50; ++waits) {
          soon.expires_after(10us);
          co_await soon.async_wait(asio::use_awaitable);
        }
      },
      asio::use_future);
  CHECK(end.wait_for(support::guard_time) == std::future_status::ready);
  CHECK(waits == 50);
  guard.reset();
  runner.join();
  pool.join();
}
