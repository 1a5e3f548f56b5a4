#pragma once

// task<T>, a coroutine that runs on a completion port, and spawn(), which starts one.
//
//   fairway::task<fairway::result<void>> greet(fairway::stream s)
//   {
//     BOOST_OUTCOME_CO_TRY(co_await fairway::async_write(s, boost::asio::buffer("hello", 5)));
//     co_return s.close();
//   }
//   fairway::spawn(port, greet(std::move(s)));
//
// A task is lazy: it runs once it is awaited or spawned. It is Boost.Asio's awaitable, so Asio's
// operators and utilities for coroutines take it. Two of their rules surprise:
//
// - Once a task was cancelled with type terminal, its next co_await throws system_error with
//   operation_aborted, before it starts anything. A task that wants results only, or that awaits
//   while it cleans up, says first: `co_await boost::asio::this_coro::throw_if_cancelled(false)`.
// - `a || b` ends with the first side that completes without an exception, and `a && b` gives up
//   only for one. An error result is a completion like any other: look into the result.
//
// Cost: one frame for a spawned task, one more when its T is not default-constructible.
// Threads: a task runs on the thread that runs its port; spawn may be called on any thread.

#include <fairway/as_result.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace fairway {

/// A coroutine on a completion port that ends with a T.
template <class T = void>
using task = boost::asio::awaitable<T, port_executor>;

/// Asio's use_awaitable for a task; Asio's own constant names another executor than a task's. An
/// operation or spawn() started with it returns a task, whose errors are thrown by its `co_await`.
/// `boost::asio::deferred`, also inside as_tuple or as_result, is awaited without a frame of its
/// own; with Boost 1.81 a spawned task's value is awaited with `use_task` only.
inline constexpr boost::asio::use_awaitable_t<port_executor> use_task;

namespace detail {

struct rethrow_exception {
  template <class... Values>
  void operator()(std::exception_ptr error, Values&&...) const
  {
    if (error) {
      std::rethrow_exception(error);
    }
  }
};

template <class What>
inline constexpr bool is_awaitable = false;

template <class T, class Executor>
inline constexpr bool is_awaitable<boost::asio::awaitable<T, Executor>> = true;

// A task becomes the callable that gives it away; a callable stays what it is.
template <class What>
auto as_callable(What&& what)
{
  if constexpr (is_awaitable<std::decay_t<What>>) {
    return [awaitable = std::forward<What>(what)]() mutable { return std::move(awaitable); };
  } else {
    return std::decay_t<What>(std::forward<What>(what));
  }
}

template <class Where>
auto executor_of(Where&& where)
{
  if constexpr (std::is_convertible_v<Where&, boost::asio::execution_context&>) {
    return where.get_executor();
  } else {
    return where;
  }
}

template <class What>
using callable_of = decltype(as_callable(std::declval<What>()));

template <class Callable>
using awaitable_of = std::invoke_result_t<std::decay_t<Callable>&>;

template <class Where, class What>
concept spawnable = is_awaitable<awaitable_of<callable_of<What>>> &&
                    std::is_convertible_v<decltype(executor_of(std::declval<Where>())),
                                          typename awaitable_of<callable_of<What>>::executor_type>;

// co_spawn passes a T made from nothing beside an exception. This stands in for a T that cannot be
// made so; the token gets its value.
template <class T>
struct spawned {
  std::optional<T> value;
};

template <class T>
struct spawned<result<T>> {
  result<T> value = make_error_code(boost::asio::error::operation_aborted);
};

struct unbox_spawned {
  template <class Handler, class T>
  void operator()(Handler&& handler, std::exception_ptr error, spawned<T> box) const
  {
    std::forward<Handler>(handler)(std::move(error), std::move(box.value));
  }
};

template <class T, class Executor>
struct initiate_spawn {
  using executor_type = Executor;
  executor_type get_executor() const noexcept { return executor; }

  Executor executor;

  template <class Handler, class Callable>
  void operator()(Handler&& handler, Callable&& callable) const
  {
    // The closure lives in co_spawn's frame until the coroutine that it becomes has ended.
    boost::asio::co_spawn(
        executor,
        [callable = std::forward<Callable>(callable)]() mutable
        -> boost::asio::awaitable<spawned<T>, Executor> {
          // Named, because GCC 12 miscompiles co_await inside an aggregate's braces.
          T value(co_await callable());
          co_return spawned<T>{std::move(value)};
        },
        adapted_handler<std::decay_t<Handler>, unbox_spawned>{std::forward<Handler>(handler)});
  }
};

}  // namespace detail

/// Starts a task, or the task that a callable returns, on a port or executor.
///
/// Completes when the task has ended, with
///   `void(std::exception_ptr)` for a `task<>`,
///   `void(std::exception_ptr, T)` for a `task<T>`, also when T is a result,
///   `void(std::exception_ptr, std::optional<T>)` when T has no default constructor and is no
///   result.
/// Beside an exception the T is a default-constructed one, the result is "operation aborted" and
/// the optional is empty. `co_await` and futures throw the exception instead.
/// Without a token the value is dropped, an error result too, and an exception leaves the port's
/// `run()`, which may be called again.
///
/// Cancellation: what the token's slot emits reaches the operation that the task awaits. A task
/// reacts to type terminal only, unless it calls `this_coro::reset_cancellation_state`.
/// Threads: any. On the port's own thread the task runs up to its first suspension inside this
/// call; the completion never comes inside it.
/// Lifetime: a callable is kept until its task has ended, so that a lambda's captures may be used
/// throughout. What a task's parameters refer to is the caller's to keep.
/// Example: `fairway::spawn(port, [&]() -> fairway::task<> { co_await serve(port); });`
template <class Where, class What, class Token = detail::rethrow_exception>
  requires detail::spawnable<Where, What>
auto spawn(Where&& where, What&& what, Token&& token = Token())
{
  using callable = detail::callable_of<What>;
  using awaitable = detail::awaitable_of<callable>;
  using executor = typename awaitable::executor_type;
  using value = typename awaitable::value_type;
  const executor on = detail::executor_of(where);
  if constexpr (std::is_void_v<value> || std::is_default_constructible_v<value>) {
    return boost::asio::co_spawn(on, detail::as_callable(std::forward<What>(what)),
                                 std::forward<Token>(token));
  } else {
    using completed = decltype(detail::spawned<value>::value);
    return boost::asio::async_initiate<Token, void(std::exception_ptr, completed)>(
        detail::initiate_spawn<value, executor>{on}, token,
        detail::as_callable(std::forward<What>(what)));
  }
}

}  // namespace fairway
