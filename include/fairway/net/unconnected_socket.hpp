// A stream socket that is open, but neither bound nor connected: what connectors and listeners are
// made of, for those who want to say something to the socket first.
//
//   auto socket = fairway::unconnected_socket::open(port, fairway::endpoint_family::v4).value();
//   co_await fairway::async_control(socket, fairway::connect_retries{.count = 0});
//   auto s = co_await dial.async_connect(std::move(socket), peer);        // fairway::connector
//   auto l = fairway::listener::open(std::move(other), here, options);    // fairway::listener
//
// Threads, lifetime: as for `stream`.
#pragma once

#include <fairway/engine/detail/handle.hpp>
#include <fairway/net/control.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/result.hpp>

#include <cstdint>

namespace fairway {

namespace detail {
result<io_object*> open_unconnected(completion_port& port, endpoint_family family);
}  // namespace detail

class unconnected_socket {
 public:
  using executor_type = port_executor;
  using native_handle_type = std::uintptr_t;

  unconnected_socket() = default;
  unconnected_socket(unconnected_socket&&) noexcept = default;
  unconnected_socket& operator=(unconnected_socket&&) noexcept = default;

  /// Errors: not supported; no descriptors.
  static result<unconnected_socket> open(completion_port& port, endpoint_family family) {
    auto made = detail::open_unconnected(port, family);
    if (!made) return made.error();
    return unconnected_socket{made.value()};
  }

  executor_type get_executor() const noexcept {
    return port_executor{*detail::port_pointer(state_.get())};
  }
  bool is_open() const noexcept { return state_ && native_handle() != ~native_handle_type{0}; }
  explicit operator bool() const noexcept { return is_open(); }
  native_handle_type native_handle() const noexcept { return detail::handle_of(state_.get()); }

  template <class Option>
  result<void> set_option(const Option& option) {
    return detail::set_option_of(state_.get(), option);
  }
  template <class Option>
  result<Option> get_option() const {
    return fairway::get_option<Option>(native_handle());
  }

  /// Ends a control code in flight with operation aborted.
  void cancel() { state_.cancel(); }
  void close() { state_.close(); }

 private:
  friend class connector;
  friend class listener;
  friend struct detail::object_access;
  explicit unconnected_socket(detail::io_object* object) noexcept : state_{object} {}
  detail::object_handle state_;
};

}  // namespace fairway
