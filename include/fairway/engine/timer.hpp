// A one-shot deadline on a port's clock.
//
//   fairway::timer pause{port};
//   pause.expires_after(100ms);
//   co_await pause.async_wait();
//
// Never early; late by what the kernel and busy handlers add. Waiting allocates nothing: the
// deadline is an entry in the port's heap. It is not an Asio timer and starts no thread.
//
// Threads: calls on one timer must not overlap; any thread (see initiate.hpp on the cost of a
// foreign one). Lifetime: destroying a timer that is awaited ends the wait with operation aborted.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/detail/handle.hpp>
#include <fairway/engine/detail/initiate.hpp>

#include <boost/asio/async_result.hpp>

#include <tuple>
#include <utility>

namespace fairway {

namespace detail {

io_object* make_timer(completion_port& port);
void cancel_timer(io_object* object);             // null: nothing
void timer_is_awaited(io_object& object) noexcept;  // cancelling it has something to do

struct timer_wait {
  static io_op* claim(io_object& object);
  static void start(io_object& object, io_op& op, port_clock::time_point when);
  static std::tuple<boost::system::error_code> take(io_op& op) noexcept;
  static std::tuple<boost::system::error_code> failure(boost::system::error_code ec) noexcept {
    return {ec};
  }
};

struct timer_initiation {
  template <class Handler>
  void operator()(Handler&& handler, io_object* object, port_clock::time_point when) const {
    timer_is_awaited(*object);
    initiation<timer_wait>{}(std::forward<Handler>(handler), object, when);
  }
};

}  // namespace detail

class timer {
 public:
  using executor_type = port_executor;
  using time_point = port_clock::time_point;
  using duration = port_clock::duration;

  explicit timer(completion_port& port) : port_{&port}, state_{detail::make_timer(port)} {}
  timer(completion_port& port, duration after) : timer{port} { expires_after(after); }
  timer(timer&&) noexcept = default;
  timer& operator=(timer&&) noexcept = default;

  executor_type get_executor() const noexcept { return port_executor{*port_}; }

  // Sets the deadline. A wait in flight ends with operation aborted, as in Asio.
  void expires_at(time_point when) {
    cancel();
    expiry_ = when;
  }
  // A time beyond what the clock can tell means never.
  void expires_after(duration after) {
    const time_point now = port_->now();
    expires_at(after > time_point::max() - now ? time_point::max() : now + after);
  }
  time_point expiry() const noexcept { return expiry_; }

  // Completes when the deadline has passed; at once, through the port's queue, when it already has.
  // Errors: operation aborted (cancel, expires_*, destruction); in progress (a second wait).
  // Cancellation: terminal, partial and total.
  template <class Token = default_token>
  auto async_wait(Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
        detail::timer_initiation{}, token, state_.get(), expiry_);
  }

  // Ends a wait in flight with operation aborted.
  void cancel() { detail::cancel_timer(state_.get()); }

 private:
  completion_port* port_;
  detail::object_handle state_;
  time_point expiry_{};
};

}  // namespace fairway
