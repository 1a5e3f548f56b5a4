#pragma once

// as_result(token): the completion-token adapter that turns an operation's error code and values
// into one result.
//
//   void(error_code)            completes with  result<void>
//   void(error_code, T)         completes with  result<T>
//   void(error_code, T1, T2)    completes with  result<std::tuple<T1, T2>>
//   anything else               completes as it did
//
// The inner token decides what the initiating function returns: as_result(use_future) gives a
// std::future<result<T>>, as_result(callback) calls back with a result<T>, and the default token of
// Fairway's own functions, as_result(use_awaitable), makes `co_await` yield one. Binders and other
// adapters go on either side.
//
// On an error the values are dropped. Where a partial count matters, as after an async_read that
// met the end of the stream, use as_tuple in its place.
//
// Cost: no allocation; the handler is as large as the inner one, and the executor, allocator and
// cancellation slot associated with it are the inner one's. A value moves twice.
// Threads: whatever holds for the inner token.

#include <fairway/engine/executor.hpp>
#include <fairway/result.hpp>

#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

#include <tuple>
#include <type_traits>
#include <utility>

namespace fairway {

/// The type of as_result(token).
template <class Token>
struct as_result_t {
  Token token;
};

/// Makes operations that are started with it complete with a result.
///
/// Example: `auto size = stream.async_read_some(buffer, as_result(boost::asio::use_future)).get();`
template <class Token>
[[nodiscard]] constexpr as_result_t<std::decay_t<Token>> as_result(Token&& token)
{
  return {std::forward<Token>(token)};
}

/// What Fairway's own functions and members take when they are called without a token: `co_await`
/// in a `task` then yields a result. It is not the executor's default token in Asio's sense, for
/// with Boost 1.81 that would make `boost::asio::async_read(stream, buffers, token)` ambiguous.
using default_token = as_result_t<boost::asio::use_awaitable_t<port_executor>>;

namespace detail {

// A handler whose arguments pass through `Adapt` before `Handler` sees them. Everything associated
// with it is the inner handler's: see the specialisation of associator below.
template <class Handler, class Adapt>
struct adapted_handler {
  Handler handler;

  template <class... Args>
    requires std::is_invocable_v<Adapt, Handler&&, Args...>
  void operator()(Args&&... args)
  {
    Adapt{}(std::move(handler), std::forward<Args>(args)...);
  }
};

template <class... Values>
struct values_result {
  using type = result<std::tuple<Values...>>;
};

template <class Value>
struct values_result<Value> {
  using type = result<Value>;
};

template <>
struct values_result<> {
  using type = result<void>;
};

// A signature without an error code is left alone.
template <class Signature>
struct as_result_signature;

template <class R, class... Args>
struct as_result_signature<R(Args...)> {
  using type = R(Args...);

  struct adapt {
    template <class Handler>
    void operator()(Handler&& handler, Args... args) const
    {
      std::forward<Handler>(handler)(std::forward<Args>(args)...);
    }
  };
};

// The parameters are the signature's and not deduced, so that an operation may complete with what
// merely converts to them, as it may with every other token.
template <class R, class Error, class... Values>
  requires std::is_same_v<std::decay_t<Error>, boost::system::error_code>
struct as_result_signature<R(Error, Values...)> {
  using result_type = typename values_result<std::decay_t<Values>...>::type;
  using type = R(result_type);

  struct adapt {
    template <class Handler>
    void operator()(Handler&& handler, Error error, Values... values) const
    {
      if (error) {
        std::forward<Handler>(handler)(
            result_type(boost::outcome_v2::in_place_type<boost::system::error_code>, error));
      } else {
        std::forward<Handler>(handler)(
            result_type(boost::outcome_v2::in_place_type<typename result_type::value_type>,
                        std::forward<Values>(values)...));
      }
    }
  };
};

template <class Initiation, class Adapt>
struct adapted_initiation {
  Initiation initiation;

  template <class Handler, class... Args>
  void operator()(Handler&& handler, Args&&... args)
  {
    std::move(initiation)(
        adapted_handler<std::decay_t<Handler>, Adapt>{std::forward<Handler>(handler)},
        std::forward<Args>(args)...);
  }
};

}  // namespace detail
}  // namespace fairway

namespace boost::asio {

// The inner token's async_result is a base because binders read its member types.
template <class Token, class R, class... Args>
struct async_result<fairway::as_result_t<Token>, R(Args...)>
    : async_result<Token, typename fairway::detail::as_result_signature<R(Args...)>::type> {
  using adapted = fairway::detail::as_result_signature<R(Args...)>;

  template <class Initiation, class RawToken, class... InitArgs>
  static decltype(auto) initiate(Initiation&& initiation, RawToken&& token, InitArgs&&... args)
  {
    // async_initiate takes its token by non-const reference.
    Token inner(std::forward<RawToken>(token).token);
    return async_initiate<Token, typename adapted::type>(
        fairway::detail::adapted_initiation<std::decay_t<Initiation>, typename adapted::adapt>{
            std::forward<Initiation>(initiation)},
        inner, std::forward<InitArgs>(args)...);
  }
};

template <template <class, class> class Associator, class Handler, class Adapt, class Candidate>
struct associator<Associator, fairway::detail::adapted_handler<Handler, Adapt>, Candidate>
    : Associator<Handler, Candidate> {
  using adapted = fairway::detail::adapted_handler<Handler, Adapt>;

  static auto get(const adapted& handler) noexcept
  {
    return Associator<Handler, Candidate>::get(handler.handler);
  }

  static decltype(auto) get(const adapted& handler, const Candidate& candidate) noexcept
  {
    return Associator<Handler, Candidate>::get(handler.handler, candidate);
  }
};

}  // namespace boost::asio
