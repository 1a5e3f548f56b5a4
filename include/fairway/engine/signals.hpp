// Process signals as an awaitable: SIGINT, SIGTERM and SIGHUP, console control events on Windows.
//
//   using enum fairway::signal_kind;
//   fairway::signals quit{port, {interrupt, terminate}};
//   auto which = co_await quit.async_wait();
//
// While a `signals` for a kind exists its default action (ending the process) is off; when the last
// one is destroyed, what was there before is back. A signal that comes while nobody waits is kept
// for the next wait, once a kind. Every `signals` of the process that watches a kind sees it.
// No thread is started: the handler stores a bit and wakes the ports concerned (Windows runs
// console handlers on a thread of its own).
//
// On Windows: interrupt is CTRL_C, terminate is CTRL_BREAK, hangup is CTRL_CLOSE, log-off and
// shutdown. At most 64 `signals` exist at a time; the constructor throws `std::length_error`.
//
// Threads and lifetime: as for `timer`.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/detail/handle.hpp>
#include <fairway/engine/detail/initiate.hpp>

#include <boost/asio/async_result.hpp>

#include <initializer_list>
#include <tuple>

namespace fairway {

enum class signal_kind { interrupt = 1, terminate = 2, hangup = 4 };

namespace detail {

io_object* make_signals(completion_port& port, unsigned kinds);

struct signals_wait {
  using values = std::tuple<boost::system::error_code, signal_kind>;
  static io_op* claim(io_object& object) noexcept;
  static void start(io_object& object, io_op& op);
  static values take(io_op& op) noexcept;
  static values failure(boost::system::error_code ec) noexcept {
    return {ec, signal_kind::interrupt};
  }
};

}  // namespace detail

class signals {
 public:
  using executor_type = port_executor;

  signals(completion_port& port, std::initializer_list<signal_kind> kinds) : port_{&port} {
    unsigned all = 0;
    for (signal_kind kind : kinds) all |= static_cast<unsigned>(kind);
    state_ = detail::object_handle{detail::make_signals(port, all)};
  }
  signals(signals&&) noexcept = default;
  signals& operator=(signals&&) noexcept = default;

  executor_type get_executor() const noexcept { return port_executor{*port_}; }

  // Completes with the next signal of the watched kinds.
  // Errors: operation aborted; in progress (a second wait).
  // Cancellation: terminal, partial and total; a signal is not lost to it.
  template <class Token = default_token>
  auto async_wait(Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, signal_kind)>(
        detail::initiation<detail::signals_wait>{}, token, state_.get());
  }

  void cancel() { state_.cancel(); }

 private:
  completion_port* port_;
  detail::object_handle state_;
};

}  // namespace fairway
