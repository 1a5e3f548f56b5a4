// A socket that is bound and listening.
//
//   auto l = fairway::listener::open(port, fairway::endpoint::loopback_v4(0)).value();
//   while (auto s = co_await l.async_accept()) fairway::spawn(port, serve(std::move(s).value()));
//
// Accepted streams belong to the listener's port, or to the port named in `async_accept`: a
// listener may hand its connections to the ports of a group. The other way to use many cores is a
// listener a port on one endpoint with `reuse_port`.
//
// Errors of single connections (a peer that reset before it was accepted) are not reported. When
// descriptors or memory run out, accepting pauses for 100 ms and goes on by itself; statistics
// count the pauses. A listening unix-domain path that nobody serves is replaced; the path of a
// listener that was opened by name is removed when it closes.
//
// Threads and lifetime: as for `stream`. One accept may be in flight at a time.
#pragma once

#include <fairway/loopback.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/net/unconnected_socket.hpp>

#include <boost/asio/async_result.hpp>

#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fairway {

struct listen_options {
  // Connections that may wait to be accepted; the system cuts it to its own maximum. That maximum
  // is the default: a short queue shows up as connection time-outs under load.
  int backlog = 0x7fffffff;

  // POSIX: bind although old connections of the endpoint linger (SO_REUSEADDR). Windows, where
  // that option would let anybody take the port over, claims the endpoint exclusively instead.
  bool reuse_address = true;

  // Several listeners on one endpoint, among which the kernel spreads connections (SO_REUSEPORT;
  // Linux). Elsewhere opening fails with "operation not supported".
  bool reuse_port = false;

  // IPv6 only, or IPv4 as well (dual stack); empty: dual stack for the any address.
  std::optional<bool> v6_only{};

  // What accepted TCP streams get. (Not over the kernel's fast path, which has no such option.)
  bool no_delay = true;

  // Faster paths for connections of this machine: see loopback.hpp. Never a reason to fail.
  fairway::loopback loopback = fairway::loopback::off;
};

namespace detail {

result<io_object*> open_listener(completion_port& port, const endpoint& local,
                                 const listen_options& options);
// Takes the socket of `object`, which is closed when listening fails.
result<io_object*> listen_with(io_object* object, const endpoint& local,
                               const listen_options& options);
result<io_object*> adopt_listener(completion_port& port, std::uintptr_t handle,
                                  const listen_options& options);

struct listener_accept {
  using values = std::tuple<boost::system::error_code, stream>;
  static io_op* claim(io_object& object) noexcept;
  static void start(io_object& object, io_op& op, completion_port* target);
  static values take(io_op& op) noexcept;
  static values failure(boost::system::error_code ec) noexcept { return {ec, stream{}}; }
};

}  // namespace detail

class listener {
 public:
  using executor_type = port_executor;
  using native_handle_type = std::uintptr_t;

  listener() = default;
  listener(listener&&) noexcept = default;
  listener& operator=(listener&&) noexcept = default;

  // Makes, binds and opens a listening socket. Port 0 picks a free one: see local_endpoint.
  // Errors: address in use; access denied; not supported; no descriptors; address not available.
  static result<listener> open(completion_port& port, const endpoint& local,
                               const listen_options& options = {}) {
    auto made = detail::open_listener(port, local, options);
    if (!made) return made.error();
    return listener{made.value()};
  }

  // The same with a socket that was made before. It is closed when listening fails.
  // Errors: as above; in progress while a control code of the socket is in flight.
  static result<listener> open(unconnected_socket socket, const endpoint& local,
                               const listen_options& options = {}) {
    auto made = detail::listen_with(socket.state_.get(), local, options);
    if (!made) return made.error();
    return listener{made.value()};
  }

  // Takes over a socket that listens already (socket activation, a restarted server).
  // Errors: not a socket; invalid argument for one that does not listen.
  static result<listener> adopt(completion_port& port, native_handle_type handle,
                                const listen_options& options = {}) {
    auto made = detail::adopt_listener(port, handle, options);
    if (!made) return made.error();
    return listener{made.value()};
  }

  executor_type get_executor() const noexcept {
    return port_executor{*detail::port_pointer(state_.get())};
  }
  bool is_open() const noexcept { return state_ && native_handle() != ~native_handle_type{0}; }
  explicit operator bool() const noexcept { return is_open(); }
  native_handle_type native_handle() const noexcept { return detail::handle_of(state_.get()); }
  result<endpoint> local_endpoint() const { return detail::local_endpoint_of(state_.get()); }

  // Completes with the next connection, as a stream of the listener's port.
  // Errors: operation aborted; in progress; no memory (one is lost); bad descriptor after close.
  // Cancellation: terminal, partial and total; a connection that was accepted is delivered.
  template <class Token = default_token>
  auto async_accept(Token&& token = default_token{}) {
    return accept_onto<Token>(nullptr, token);
  }

  // The same, as a stream of `target`, which must outlive the operation. The handler still runs on
  // this listener's port (or its own executor): move the stream to where it is used.
  template <class Token = default_token>
  auto async_accept(completion_port& target, Token&& token = default_token{}) {
    return accept_onto<Token>(&target, token);
  }

  void cancel() { state_.cancel(); }
  // Ends an accept in flight with operation aborted; the endpoint is free again.
  void close() { state_.close(); }

  // What accepted loopback connections will be carried by, and why by nothing faster.
  fairway::path path() const noexcept { return detail::path_of(state_.get()); }
  fairway::path_reason path_reason() const noexcept {
    return detail::path_reason_of(state_.get());
  }

  // Errors: conditional_accept_refused together with the kernel's fast path; as of a stream.
  template <class Option>
  result<void> set_option(const Option& option) {
    return detail::set_option_of(state_.get(), option);
  }
  template <class Option>
  result<Option> get_option() const {
    return fairway::get_option<Option>(native_handle());
  }

 private:
  friend struct detail::object_access;
  explicit listener(detail::io_object* object) noexcept : state_{object} {}

  template <class Token>
  auto accept_onto(completion_port* target, std::remove_reference_t<Token>& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, stream)>(
        detail::initiation<detail::listener_accept>{}, token, state_.get(), target);
  }

  detail::object_handle state_;
};

}  // namespace fairway
