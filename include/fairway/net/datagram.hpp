// UDP.
//
//   auto d = fairway::datagram::open(port, fairway::endpoint::loopback_v4(0)).value();
//   fairway::endpoint from;
//   auto got = co_await d.async_receive_from(asio::buffer(room), from);
//
// One receive and one send may be in flight at a time. A datagram that is longer than the buffers
// completes with `boost::asio::error::message_size` and the bytes that fitted. On a connected
// socket "connection refused" tells of an earlier datagram that nobody took.
//
// Threads, lifetime and cost: as for `stream`.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/detail/handle.hpp>
#include <fairway/net/detail/transfer.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/net/socket_options.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/result.hpp>

#include <boost/asio/async_result.hpp>

#include <optional>

namespace fairway {

struct datagram_options {
  bool reuse_address = false;
  bool reuse_port = false;       // Linux: spread datagrams among sockets on one endpoint
  std::optional<bool> v6_only{};  // empty: dual stack for the any address
};

namespace detail {
result<io_object*> open_datagram(completion_port& port, const endpoint& local,
                                 const datagram_options& options);
result<void> connect_datagram_object(io_object* object, const endpoint& peer);
}  // namespace detail

class datagram {
 public:
  using executor_type = port_executor;
  using native_handle_type = std::uintptr_t;

  datagram() = default;
  datagram(datagram&&) noexcept = default;
  datagram& operator=(datagram&&) noexcept = default;

  // Makes a socket and binds it. Port 0 picks a free one.
  // Errors: address in use; access denied; no descriptors; not supported.
  static result<datagram> open(completion_port& port, const endpoint& local,
                               const datagram_options& options = {}) {
    auto made = detail::open_datagram(port, local, options);
    if (!made) return made.error();
    return datagram{made.value()};
  }

  executor_type get_executor() const noexcept {
    return port_executor{*detail::port_pointer(state_.get())};
  }
  bool is_open() const noexcept { return state_ && native_handle() != ~native_handle_type{0}; }
  explicit operator bool() const noexcept { return is_open(); }
  native_handle_type native_handle() const noexcept { return detail::handle_of(state_.get()); }
  result<endpoint> local_endpoint() const { return detail::local_endpoint_of(state_.get()); }

  // Fixes the peer: only its datagrams are received, and async_send goes there. Sends nothing.
  result<void> connect(const endpoint& peer) {
    return detail::connect_datagram_object(state_.get(), peer);
  }

  // Completes with one datagram; `sender` is set before the handler runs.
  // Lifetime: buffers and `sender` stay valid until the completion.
  template <class Buffers, class Token = default_token>
  auto async_receive_from(const Buffers& buffers, endpoint& sender,
                          Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        detail::initiation<detail::datagram_receive>{}, token, state_.get(), buffers, &sender);
  }
  template <class Buffers, class Token = default_token>
  auto async_receive(const Buffers& buffers, Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        detail::initiation<detail::datagram_receive>{}, token, state_.get(), buffers,
        static_cast<endpoint*>(nullptr));
  }

  // Completes when the system took the datagram. `to` is copied.
  template <class Buffers, class Token = default_token>
  auto async_send_to(const Buffers& buffers, const endpoint& to, Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        detail::initiation<detail::datagram_send>{}, token, state_.get(), buffers, to);
  }
  template <class Buffers, class Token = default_token>
  auto async_send(const Buffers& buffers, Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        detail::initiation<detail::datagram_send>{}, token, state_.get(), buffers);
  }

  void cancel() { state_.cancel(); }
  void close() { state_.close(); }

  template <class Option>
  result<void> set_option(const Option& option) {
    return fairway::set_option(native_handle(), option);
  }
  template <class Option>
  result<Option> get_option() const {
    return fairway::get_option<Option>(native_handle());
  }

 private:
  friend struct detail::object_access;
  explicit datagram(detail::io_object* object) noexcept : state_{object} {}
  detail::object_handle state_;
};

}  // namespace fairway
