#include <fairway/as_result.hpp>

#include <doctest/doctest.h>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include <cstddef>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

// An adapter knows no engine, so these cases run on Asio's own context; those of the engines' own
// operations are tests/engine and tests/net.

namespace asio = boost::asio;
namespace error = boost::asio::error;
using boost::system::error_code;
using fairway::as_result;
using fairway::result;

namespace {

using executor = asio::io_context::executor_type;
template <class T>
using coroutine = asio::awaitable<T, executor>;
constexpr asio::use_awaitable_t<executor> use_coroutine;

// Stands for a connected stream: can be moved, and made only with an argument.
struct connection {
  explicit connection(int number) : id(std::make_unique<int>(number)) {}
  std::unique_ptr<int> id;
};

// An operation that completes by a post, with whatever it is given.
template <class Signature, class Token, class... Values>
auto async_complete(asio::io_context& context, Token&& token, Values&&... values)
{
  return asio::async_initiate<Token, Signature>(
      [&context](auto handler, auto... results) {
        const auto on = asio::get_associated_executor(handler, context.get_executor());
        asio::post(on, [handler = std::move(handler), ... results = std::move(results)]() mutable {
          std::move(handler)(std::move(results)...);
        });
      },
      token, std::forward<Values>(values)...);
}

// An operation that never completes but by cancellation.
template <class Token>
auto async_never(asio::io_context& context, Token&& token)
{
  return asio::async_initiate<Token, void(error_code, std::size_t)>(
      [&context](auto handler) {
        auto timer = std::make_unique<asio::steady_timer>(context);
        auto& waiting = *timer;
        waiting.expires_at(asio::steady_timer::time_point::max());
        const auto slot = asio::get_associated_cancellation_slot(handler);
        const auto on = asio::get_associated_executor(handler, context.get_executor());
        waiting.async_wait(asio::bind_cancellation_slot(
            slot,
            asio::bind_executor(on, [handler = std::move(handler),
                                     timer = std::move(timer)](error_code ec) mutable {
              timer.reset();
              std::move(handler)(ec, 0);
            })));
      },
      token);
}

template <class T>
void run_to_end(asio::io_context& context, coroutine<T> body)
{
  asio::co_spawn(context, std::move(body), [](std::exception_ptr e) {
    if (e) {
      std::rethrow_exception(e);
    }
  });
  context.run();
}

}  // namespace

TEST_CASE("an error code alone becomes a result without a value")
{
  asio::io_context context;
  std::optional<result<void>> good;
  std::optional<result<void>> bad;
  async_complete<void(error_code)>(
      context, as_result([&](result<void> r) { good = r; }), error_code());
  async_complete<void(error_code)>(
      context, as_result([&](result<void> r) { bad = r; }), error_code(error::eof));
  context.run();
  REQUIRE(good.has_value());
  CHECK(good->has_value());
  REQUIRE(bad.has_value());
  CHECK(bad->error() == error::eof);
}

TEST_CASE("a value becomes the result's value, and on an error it is dropped")
{
  asio::io_context context;
  std::optional<result<std::size_t>> good;
  std::optional<result<std::size_t>> bad;
  async_complete<void(error_code, std::size_t)>(
      context, as_result([&](result<std::size_t> r) { good = r; }), error_code(), 7u);
  async_complete<void(error_code, std::size_t)>(
      context, as_result([&](result<std::size_t> r) { bad = r; }), error_code(error::eof), 3u);
  context.run();
  REQUIRE(good.has_value());
  CHECK(good->value() == 7);
  REQUIRE(bad.has_value());
  CHECK(bad->error() == error::eof);
}

TEST_CASE("several values become a tuple")
{
  asio::io_context context;
  auto future = async_complete<void(error_code, int, std::string)>(
      context, as_result(asio::use_future), error_code(), 3, "three");
  context.run();
  using expected = std::future<result<std::tuple<int, std::string>>>;
  static_assert(std::is_same_v<decltype(future), expected>);
  CHECK(future.get().value() == std::tuple(3, std::string("three")));
}

TEST_CASE("a signature without an error code stays what it is")
{
  asio::io_context context;
  int seen = 0;
  async_complete<void(int)>(context, as_result([&](int value) { seen = value; }), 5);
  async_complete<void()>(context, as_result([&] { ++seen; }));
  context.run();
  CHECK(seen == 6);
}

TEST_CASE("a value that can only be moved arrives")
{
  asio::io_context context;
  auto future = async_complete<void(error_code, connection)>(
      context, as_result(asio::use_future), error_code(), connection(4));
  context.run();
  auto arrived = future.get();
  REQUIRE(arrived.has_value());
  CHECK(*arrived.value().id == 4);
}

TEST_CASE("an operation may complete with what converts to its signature")
{
  std::size_t seen = 0;
  auto token = as_result([&](result<std::size_t> r) { seen = r.value(); });
  asio::async_initiate<decltype(token), void(error_code, std::size_t)>(
      [](auto handler) { std::move(handler)(error_code(), 9); }, token);
  CHECK(seen == 9);
}

TEST_CASE("the token may be a constant or a variable that is used twice")
{
  asio::io_context context;
  const auto token = as_result(asio::use_future);
  auto first = async_complete<void(error_code, int)>(context, token, error_code(), 1);
  auto second = async_complete<void(error_code, int)>(context, token, error_code(), 2);
  context.run();
  CHECK(first.get().value() == 1);
  CHECK(second.get().value() == 2);
}

TEST_CASE("co_await of an operation yields its result")
{
  asio::io_context context;
  std::optional<result<connection>> seen;
  run_to_end(context, [&]() -> coroutine<void> {
    seen = co_await async_complete<void(error_code, connection)>(
        context, as_result(use_coroutine), error_code(), connection(8));
  }());
  REQUIRE(seen.has_value());
  CHECK(*seen->value().id == 8);
}

TEST_CASE("an error is a result in a coroutine, not an exception")
{
  asio::io_context context;
  std::optional<result<int>> seen;
  run_to_end(context, [&]() -> coroutine<void> {
    seen = co_await async_complete<void(error_code, int)>(
        context, as_result(use_coroutine), error_code(error::connection_reset), 0);
  }());
  REQUIRE(seen.has_value());
  CHECK(seen->error() == error::connection_reset);
}

TEST_CASE("a deferred operation starts when it is called, and yields a result when awaited")
{
  asio::io_context context;
  auto operation = async_complete<void(error_code, int)>(
      context, as_result(asio::deferred), error_code(), 6);
  CHECK(context.poll() == 0);
  context.restart();
  std::optional<result<int>> awaited;
  run_to_end(context, [&]() -> coroutine<void> {
    awaited = co_await std::move(operation);
  }());
  REQUIRE(awaited.has_value());
  CHECK(awaited->value() == 6);
}

TEST_CASE("a detached operation needs no receiver")
{
  asio::io_context context;
  async_complete<void(error_code, int)>(context, as_result(asio::detached), error_code(), 6);
  CHECK(context.run() == 1);
}

TEST_CASE("a binder inside and a binder outside both reach the operation")
{
  asio::io_context context;
  asio::io_context other;
  int calls = 0;
  const auto count = [&](result<int> r) { calls += r.value(); };
  async_complete<void(error_code, int)>(
      context, as_result(asio::bind_executor(other, count)), error_code(), 1);
  async_complete<void(error_code, int)>(
      context, asio::bind_executor(other, as_result(count)), error_code(), 1);
  CHECK(context.run() == 0);
  CHECK(other.run() == 2);
  CHECK(calls == 2);
}

TEST_CASE("binders go around tokens that return something")
{
  asio::io_context context;
  auto outside = async_complete<void(error_code, int)>(
      context, asio::bind_executor(context, as_result(asio::use_future)), error_code(), 1);
  auto inside = async_complete<void(error_code, int)>(
      context, as_result(asio::bind_executor(context, asio::use_future)), error_code(), 2);
  context.run();
  CHECK(outside.get().value() == 1);
  CHECK(inside.get().value() == 2);
  context.restart();
  int sum = 0;
  run_to_end(context, [&]() -> coroutine<void> {
    asio::cancellation_signal signal;
    const auto first = co_await async_complete<void(error_code, int)>(
        context, asio::bind_executor(context, as_result(use_coroutine)), error_code(), 3);
    const auto second = co_await async_complete<void(error_code, int)>(
        context, asio::bind_cancellation_slot(signal.slot(), as_result(use_coroutine)),
        error_code(), 4);
    sum = first.value() + second.value();
  }());
  CHECK(sum == 7);
}

TEST_CASE("a cancellation slot inside or outside cancels the operation")
{
  asio::io_context context;
  asio::cancellation_signal inside;
  asio::cancellation_signal outside;
  auto first = async_never(
      context, as_result(asio::bind_cancellation_slot(inside.slot(), asio::use_future)));
  auto second = async_never(
      context, asio::bind_cancellation_slot(outside.slot(), as_result(asio::use_future)));
  inside.emit(asio::cancellation_type::terminal);
  outside.emit(asio::cancellation_type::terminal);
  context.run();
  CHECK(first.get().error() == error::operation_aborted);
  CHECK(second.get().error() == error::operation_aborted);
}

TEST_CASE("the associated allocator is the inner handler's")
{
  std::allocator<int> allocator;
  auto inner = asio::bind_allocator(allocator, [](result<int>) {});
  using adapted = fairway::detail::adapted_handler<
      decltype(inner), fairway::detail::as_result_signature<void(error_code, int)>::adapt>;
  static_assert(std::is_same_v<asio::associated_allocator_t<adapted>, std::allocator<int>>);
}

TEST_CASE("the handler is as large as the inner one and moves without throwing")
{
  const auto check = [](auto inner) {
    using handler = decltype(inner);
    using adapted = fairway::detail::adapted_handler<
        handler, fairway::detail::as_result_signature<void(error_code, std::size_t)>::adapt>;
    CHECK(sizeof(adapted) == sizeof(handler));
    CHECK(std::is_nothrow_move_constructible_v<adapted> ==
          std::is_nothrow_move_constructible_v<handler>);
  };
  check([](result<std::size_t>) {});
  check([pointer = std::make_unique<int>()](result<std::size_t>) {});
  check(asio::detached);
}

TEST_CASE("of two awaited with || the first that completes wins, with an error too")
{
  using namespace asio::experimental::awaitable_operators;
  asio::io_context context;
  std::size_t winner = 9;
  std::optional<error_code> seen;
  run_to_end(context, [&]() -> coroutine<void> {
    auto either = co_await (async_never(context, as_result(use_coroutine)) ||
                            async_complete<void(error_code, int)>(
                                context, as_result(use_coroutine), error_code(error::eof), 0));
    winner = either.index();
    seen = std::get<1>(either).error();
  }());
  CHECK(winner == 1);
  CHECK(seen == error_code(error::eof));
}

TEST_CASE("two awaited with && both arrive, an error beside a value")
{
  using namespace asio::experimental::awaitable_operators;
  asio::io_context context;
  std::optional<std::tuple<result<int>, result<connection>>> both;
  run_to_end(context, [&]() -> coroutine<void> {
    both = co_await (
        async_complete<void(error_code, int)>(
            context, as_result(use_coroutine), error_code(error::eof), 0) &&
        async_complete<void(error_code, connection)>(
            context, as_result(use_coroutine), error_code(), connection(2)));
  }());
  REQUIRE(both.has_value());
  CHECK(std::get<0>(*both).error() == error::eof);
  CHECK(*std::get<1>(*both).value().id == 2);
}
