// Calls of a coroutine that framed answers from what it has: a message that has arrived whole, room
// for one more, a flush of what the kernel takes at once.
//
// The default token's functions are these coroutines where that is likely, and else those of
// use_awaitable, which cost less when they wait. They look first, on the port's thread, and begin a
// call for what has to wait or comes after so many of these in one handler. Both are lazy: what is
// likely when the function is called is a guess, and nothing happens before the task is awaited.
//
// Threads and lifetime: as the functions of framed.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/detail/step.hpp>
#include <fairway/engine/executor.hpp>
#include <fairway/protocol/detail/framed_initiate.hpp>
#include <fairway/result.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace fairway::detail {

// The budget is a port's: over another executor every call goes through its queue.
template <class State>
inline constexpr bool goes_on_at_once =
    std::is_same_v<typename State::executor_type, port_executor>;

template <class Value>
using at_once = boost::asio::awaitable<result<Value>, port_executor>;

// What is awaited of it has a name: GCC 12 destroys twice what a co_await's operand is made of.
using framed_token = as_result_t<boost::asio::deferred_t>;

template <class State>
bool take_step_of(State& state) {
  return take_step(state.executor().context());
}

template <class State>
bool answers_read(State& state) {
  return runs_here(state.executor()) && state.may_have_message();
}

template <class State>
bool answers_write(State& state) {
  return runs_here(state.executor());
}

template <class State>
at_once<typename State::message> read_at_once(std::shared_ptr<State> state) {
  using message = typename State::message;
  bool looked = false;
  if (answers_read(*state) && take_step_of(*state)) {
    auto got = state->take();
    if (!got) co_return got.error();
    if (got.value()) {
      co_return result<message>{boost::outcome_v2::in_place_type<message>,
                                std::move(*got.value())};
    }
    looked = true;
  }
  framed_token token{boost::asio::deferred};
  auto waits = boost::asio::async_initiate<framed_token, void(boost::system::error_code, message)>(
      initiate_read<State>{std::move(state), looked}, token);
  co_return co_await std::move(waits);
}

template <class State, class Source>
at_once<void> write_at_once(std::shared_ptr<State> state, Source source) {
  begin_write<Source> call{std::move(source)};
  if (answers_write(*state) && !state->closed() && take_step_of(*state)) {
    // What a flush waits for has often left by this.
    if (std::is_same_v<Source, no_message> && state->out.nobody_waits()) state->send_now();
    if (state->out.begin(call.source, call.how)) {
      const auto ended = call.how.ec;
      if (!std::is_same_v<Source, no_message>) state->kick();
      if (ended) co_return ended;
      co_return boost::outcome_v2::success();
    }
    call.begun = true;
  }
  const bool lends = call.how.lends;
  framed_token token{boost::asio::deferred};
  auto waits = boost::asio::async_initiate<framed_token, void(boost::system::error_code)>(
      initiate_write<State>{state}, token, std::move(call));
  try {
    co_return co_await std::move(waits);
  } catch (...) {
    // The call has not begun to wait, and what it lent goes with the coroutine.
    if (lends) state->close();
    throw;
  }
}

}  // namespace fairway::detail
