// How the asynchronous calls of framed begin: on the stream's executor at once, from elsewhere by
// a post there. A connected cancellation slot is filled where the call is made; a request that
// comes before the call has arrived is kept in a flag that both share.
#pragma once

#include <fairway/protocol/detail/framed_state.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace fairway::detail {

// Set by a cancellation that overtakes its call; null for a call that has begun.
using early_cancel = std::shared_ptr<std::atomic<bool>>;

template <class State>
struct cancel_framed {
  std::weak_ptr<State> to;
  std::uint64_t ticket;
  bool read;
  early_cancel early;

  void operator()(boost::asio::cancellation_type_t type) const {
    const bool terminal =
        (type & boost::asio::cancellation_type::terminal) != boost::asio::cancellation_type::none;
    auto state = to.lock();
    if (state == nullptr || type == boost::asio::cancellation_type::none) return;
    if (early) early->store(true, std::memory_order_release);
    state->run_there([state, ticket = ticket, read = read, terminal] {
      if (read) {
        state->cancel_read(ticket);
      } else {
        state->cancel_write(ticket, terminal);
      }
    });
  }
};

// Runs `begin(state, executor, handler, ticket, slot_is_here)` on the stream's executor.
template <class State, class Handler, class Begin>
void begin_there(const std::shared_ptr<State>& state, Handler&& given, Begin begin) {
  std::decay_t<Handler> handler(std::forward<Handler>(given));
  const auto io = state->executor();
  if (runs_here(io)) {
    begin(*state, io, handler, state->next_ticket(), true);
    return;
  }
  const std::uint64_t ticket = state->next_ticket();
  auto slot = boost::asio::get_associated_cancellation_slot(handler);
  early_cancel early;
  if (slot.is_connected()) {
    early = std::make_shared<std::atomic<bool>>(false);
    slot.template emplace<cancel_framed<State>>(
        cancel_framed<State>{state, ticket, Begin::reads, early});
  }
  boost::asio::post(io, [state, io, handler = std::move(handler), ticket, early,
                         begin = std::move(begin)]() mutable {
    if (early && early->load(std::memory_order_acquire)) {
      begin.refuse(*state, io, handler, boost::asio::error::operation_aborted);
    } else {
      begin(*state, io, handler, ticket, false);
    }
  });
}

template <class State, class Handler>
void fill_slot(State& state, Handler& handler, std::uint64_t ticket, bool read) {
  auto slot = boost::asio::get_associated_cancellation_slot(handler);
  if (slot.is_connected()) {
    slot.template emplace<cancel_framed<State>>(
        cancel_framed<State>{state.weak_from_this(), ticket, read, nullptr});
  }
}

struct begin_read {
  static constexpr bool reads = true;
  bool looked = false;  // there is no whole message

  template <class State, class Executor, class Handler>
  static void refuse(State&, const Executor& io, Handler& handler, error_code ec) {
    post_completion(io, std::move(handler), ec, typename State::message{});
  }

  template <class State, class Executor, class Handler>
  void operator()(State& state, const Executor& io, Handler& handler, std::uint64_t ticket,
                  bool here) const {
    if (state.reading()) {
      refuse(state, io, handler, boost::asio::error::in_progress);
      return;
    }
    using taken = decltype(state.take());
    auto got = looked ? taken{typename taken::value_type{}} : state.take();
    if (!got) {
      refuse(state, io, handler, got.error());
    } else if (got.value()) {
      post_completion(io, std::move(handler), error_code{}, std::move(*got.value()));
    } else {
      state.join_context_of(io);
      if (here) fill_slot(state, handler, ticket, true);
      state.wait_for_message(
          State::reader::make(io, std::move(handler), here, &state.reader_memory), ticket);
    }
  }
};

template <class State>
struct initiate_read {
  using executor_type = typename State::executor_type;
  executor_type get_executor() const { return state->executor(); }

  std::shared_ptr<State> state;
  bool looked = false;

  template <class Handler>
  void operator()(Handler&& handler) const {
    begin_there(state, std::forward<Handler>(handler), begin_read{looked});
  }
};

template <class Source>
struct begin_write {
  static constexpr bool reads = false;
  Source source;
  encoding how = {};
  bool begun = false;  // `how` far it has come, and it is not over

  template <class State, class Executor, class Handler>
  static void refuse(State&, const Executor& io, Handler& handler, error_code ec) {
    post_completion(io, std::move(handler), ec);
  }

  template <class State, class Executor, class Handler>
  void operator()(State& state, const Executor& io, Handler& handler, std::uint64_t ticket,
                  bool here) {
    if (!begun && state.closed()) {
      refuse(state, io, handler, boost::asio::error::bad_descriptor);
      return;
    }
    gather all{state.out.queue, gather::lending::refused};
    if (!begun && state.out.begin(source, how)) {
      refuse(state, io, handler, how.ec);
    } else {
      try {
        state.join_context_of(io);
        if (here) fill_slot(state, handler, ticket, false);
        state.out.wait(std::move(source), how,
                       completion<error_code>::make(io, std::move(handler), here), ticket);
      } catch (...) {
        // What it lent goes with the call.
        if (!begun) all.undo();
        if (begun && how.lends) state.close();
        throw;
      }
    }
    if (how.waits || how.lends) {
      state.send_now();
    } else {
      state.kick();
    }
  }
};

template <class State>
struct initiate_write {
  using executor_type = typename State::executor_type;
  executor_type get_executor() const { return state->executor(); }

  std::shared_ptr<State> state;

  template <class Handler, class Source>
  void operator()(Handler&& handler, begin_write<Source> call) const {
    begin_there(state, std::forward<Handler>(handler), std::move(call));
  }
};

template <class Source>
begin_write<Source> call_of(Source source) {
  return {std::move(source)};
}

template <class Codec, class Message>
auto one_message_of(Codec& codec, Message&& m) {
  if constexpr (std::is_lvalue_reference_v<Message>) {
    return one_message<Codec, const std::remove_cvref_t<Message>&>{&codec, &m};
  } else {
    return one_message<Codec, std::remove_cvref_t<Message>>{&codec, std::move(m)};
  }
}

template <class Codec, class Range>
auto many_messages_of(Codec& codec, Range&& range) {
  if constexpr (std::is_lvalue_reference_v<Range>) {
    return many_messages<Codec, Range>{&codec, &range};
  } else {
    return many_messages<Codec, std::remove_cvref_t<Range>>{&codec, std::move(range)};
  }
}

template <class State, class Message>
result<void> write_now(State& state, const Message& m) {
  if (state.closed()) return error_code{boost::asio::error::bad_descriptor};
  if (state.out.error()) return state.out.error();
  if (!state.out.has_room()) return error_code{boost::asio::error::would_block};
  encoding how;
  encode_one(state.codec, m, state.out.queue, gather::lending::refused, how);
  if (how.ec) return how.ec;
  ++state.out.progress;
  state.kick();
  return boost::outcome_v2::success();
}

}  // namespace fairway::detail
