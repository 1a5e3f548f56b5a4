#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>
#include <fairway/task.hpp>

#include "support/allocation_count.hpp"

#include <doctest/doctest.h>

#include <boost/asio.hpp>

#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace asio = boost::asio;
namespace error = boost::asio::error;
using boost::system::error_code;
using fairway::completion_port;
using fairway::result;
using fairway::spawn;
using fairway::task;

namespace {

// Stands for what can be moved but not made from nothing, as many results' values are.
struct connection {
  explicit connection(int number) : id(std::make_unique<int>(number)) {}
  std::unique_ptr<int> id;
};

task<> yield_once()
{
  co_await asio::post(asio::deferred);
}

task<result<int>> give(result<int> value)
{
  co_await yield_once();
  co_return value;
}

template <class T>
task<T> fail(std::string why)
{
  co_await yield_once();
  throw std::runtime_error(why);
}

// Never completes but by cancellation.
task<result<void>> forever(completion_port& port)
{
  fairway::timer timer(port);
  timer.expires_at(fairway::timer::time_point::max());
  co_return co_await timer.async_wait();
}

}  // namespace

TEST_CASE("a task runs when its port runs, on that port's executor")
{
  completion_port port;
  bool here = false;
  spawn(port, [](completion_port& wanted, bool& seen) -> task<> {
    const auto executor = co_await asio::this_coro::executor;
    seen = &executor.context() == &wanted;
  }(port, here));
  CHECK_FALSE(here);
  port.run();
  CHECK(here);
}

TEST_CASE("a task is spawned on an executor as on its port")
{
  completion_port port;
  auto future = spawn(port.get_executor(), give(3), asio::use_future);
  port.run();
  CHECK(future.get().value() == 3);
}

TEST_CASE("a lambda's captures live until its task has ended")
{
  completion_port port;
  std::string seen;
  spawn(port, [&seen, text = std::make_unique<std::string>("kept")]() -> task<> {
    co_await yield_once();
    seen = *text;
  });
  port.run();
  CHECK(seen == "kept");
}

TEST_CASE("without a token an exception leaves run, which then goes on")
{
  completion_port port;
  int after = 0;
  spawn(port, fail<void>("left"));
  spawn(port, [&after]() -> task<> {
    for (int turn = 0; turn < 5; ++turn) {
      co_await yield_once();
    }
    ++after;
  });
  CHECK_THROWS_WITH_AS(port.run(), "left", std::runtime_error);
  port.run();
  CHECK(after == 1);
}

TEST_CASE("without a token an exception leaves run from a task of a result too")
{
  completion_port port;
  spawn(port, fail<result<connection>>("left"));
  CHECK_THROWS_WITH_AS(port.run(), "left", std::runtime_error);
}

TEST_CASE("without a token an error result is dropped")
{
  completion_port port;
  spawn(port, give(error_code(error::eof)));
  CHECK(port.run() > 0);
}

TEST_CASE("a callback gets the exception and the value")
{
  completion_port port;
  std::exception_ptr error;
  int seen = 0;
  spawn(port, []() -> task<int> { co_return 5; },
        [&](std::exception_ptr e, int value) {
          error = e;
          seen = value;
        });
  port.run();
  CHECK(error == nullptr);
  CHECK(seen == 5);
}

TEST_CASE("a callback of a task of a result gets the result, with a value or with an error")
{
  completion_port port;
  std::optional<result<int>> good;
  std::optional<result<int>> bad;
  spawn(port, give(4), [&](std::exception_ptr, result<int> r) { good = r; });
  spawn(port, give(error_code(error::eof)), [&](std::exception_ptr, result<int> r) { bad = r; });
  port.run();
  REQUIRE(good.has_value());
  CHECK(good->value() == 4);
  REQUIRE(bad.has_value());
  CHECK(bad->error() == error::eof);
}

TEST_CASE("beside an exception a result says operation aborted")
{
  completion_port port;
  std::exception_ptr error;
  std::optional<error_code> seen;
  spawn(port, fail<result<connection>>("why"), [&](std::exception_ptr e, result<connection> r) {
    error = e;
    seen = r.error();
  });
  port.run();
  REQUIRE(error != nullptr);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(error), "why", std::runtime_error);
  CHECK(seen == error_code(error::operation_aborted));
}

TEST_CASE("a future of a task of a result holds the result, or the exception")
{
  completion_port port;
  std::future<result<int>> good = spawn(port, give(4), asio::use_future);
  std::future<result<int>> bad = spawn(port, fail<result<int>>("thrown"), asio::use_future);
  port.run();
  CHECK(good.get().value() == 4);
  CHECK_THROWS_WITH_AS(static_cast<void>(bad.get()), "thrown", std::runtime_error);
}

TEST_CASE("a value without a default constructor arrives in an optional, empty by an exception")
{
  completion_port port;
  std::future<std::optional<connection>> good =
      spawn(port, []() -> task<connection> { co_return connection(6); }, asio::use_future);
  bool empty = false;
  spawn(port, fail<connection>("none"),
        [&](std::exception_ptr, std::optional<connection> value) { empty = !value.has_value(); });
  port.run();
  CHECK(*good.get().value().id == 6);
  CHECK(empty);
}

TEST_CASE("a value that can only be moved arrives as it is")
{
  completion_port port;
  auto future = spawn(
      port, []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); },
      asio::use_future);
  port.run();
  CHECK(*future.get() == 7);
}

TEST_CASE("a task awaits a task that it spawns")
{
  completion_port port;
  std::optional<result<int>> seen;
  spawn(port, [&]() -> task<> {
    seen = co_await spawn(port, give(8), fairway::use_task);
  });
  port.run();
  REQUIRE(seen.has_value());
  CHECK(seen->value() == 8);
}

TEST_CASE("the completion of a task that ends at once does not come inside spawn")
{
  completion_port port;
  bool inside = false;
  bool completed = false;
  bool completed_inside = false;
  asio::post(port, [&] {
    inside = true;
    spawn(port, []() -> task<result<int>> { co_return 1; },
          [&](std::exception_ptr, const result<int>&) {
            completed = true;
            completed_inside = inside;
          });
    inside = false;
  });
  port.run();
  CHECK(completed);
  CHECK_FALSE(completed_inside);
}

TEST_CASE("a task that another thread spawns runs where its port runs")
{
  completion_port port;
  std::thread::id ran_on;
  std::thread([&] {
    spawn(port, [&]() -> task<> {
      ran_on = std::this_thread::get_id();
      co_return;
    });
  }).join();
  port.run();
  CHECK(ran_on == std::this_thread::get_id());
}

TEST_CASE("a port that is destroyed destroys the tasks that wait on it")
{
  auto held = std::make_shared<int>(1);
  {
    completion_port port;
    spawn(port, [held, &port]() -> task<result<void>> {
      co_return co_await forever(port);
    });
    spawn(port, [held]() -> task<> { co_await yield_once(); });
    port.run_one();
    CHECK(held.use_count() == 3);
  }
  CHECK(held.use_count() == 1);
}

TEST_CASE("BOOST_OUTCOME_CO_TRY takes the value, or ends the task with the error")
{
  completion_port port;
  bool reached = false;
  const auto twice = [&reached](result<int> first) -> task<result<int>> {
    BOOST_OUTCOME_CO_TRY(auto value, co_await give(first));
    BOOST_OUTCOME_CO_TRY(co_await give(value));
    reached = true;
    co_return value * 2;
  };
  auto good = spawn(port, twice(21), asio::use_future);
  port.run();
  CHECK(good.get().value() == 42);
  CHECK(reached);
  reached = false;
  port.restart();
  auto bad = spawn(port, twice(error_code(error::connection_reset)), asio::use_future);
  port.run();
  CHECK(bad.get().error() == error::connection_reset);
  CHECK_FALSE(reached);
}

TEST_CASE("after a terminal cancel the awaited operation ends and the next co_await throws")
{
  completion_port port;
  asio::cancellation_signal signal;
  std::optional<error_code> first;
  std::exception_ptr thrown;
  spawn(port,
        [&]() -> task<result<void>> {
          first = (co_await forever(port)).error();
          co_await yield_once();
          co_return boost::outcome_v2::success();
        },
        asio::bind_cancellation_slot(
            signal.slot(), [&](std::exception_ptr e, const result<void>&) { thrown = e; }));
  port.poll();
  signal.emit(asio::cancellation_type::terminal);
  port.restart();
  port.run();
  CHECK(first == error_code(error::operation_aborted));
  REQUIRE(thrown != nullptr);
  CHECK_THROWS_AS(std::rethrow_exception(thrown), boost::system::system_error);
}

TEST_CASE("with throw_if_cancelled(false) a task goes on awaiting after a terminal cancel")
{
  completion_port port;
  asio::cancellation_signal signal;
  bool cleaned_up = false;
  spawn(port,
        [&]() -> task<> {
          co_await asio::this_coro::throw_if_cancelled(false);
          const auto waited = co_await forever(port);
          CHECK(waited.error() == error::operation_aborted);
          co_await yield_once();
          cleaned_up = true;
        },
        asio::bind_cancellation_slot(signal.slot(), asio::detached));
  port.poll();
  signal.emit(asio::cancellation_type::terminal);
  port.restart();
  port.run();
  CHECK(cleaned_up);
}

TEST_CASE("awaiting results allocates nothing once the first have come")
{
  if (!support::allocation_count::available) {
    MESSAGE("SKIP: a sanitizer brings its own allocator");
    return;
  }
  completion_port port;
  std::optional<std::uint64_t> made;
  spawn(port, [&]() -> task<> {
    fairway::timer passed(port);
    for (int turn = 0; turn < 10; ++turn) {
      CHECK(co_await passed.async_wait());
    }
    const support::allocation_count count;
    bool every_one = true;
    for (int turn = 0; turn < 1000; ++turn) {
      const auto waited = co_await passed.async_wait();
      every_one = every_one && waited.has_value();
    }
    made = count.made();
    CHECK(every_one);
  });
  port.run();
  CHECK(made == 0u);
}

TEST_CASE("spawn is found without ambiguity beside Asio's names")
{
  using namespace boost::asio;
  using namespace fairway;
  completion_port port;
  auto one = spawn(port, give(1), use_future);
  auto two = spawn(port.get_executor(), [] { return give(2); }, use_future);
  spawn(port, give(3));
  port.run();
  CHECK(one.get().value() + two.get().value() == 3);
}
