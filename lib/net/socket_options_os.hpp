// What an operating system supplies for the options that are no plain integers; integers go through
// `set_int_option` and `get_int_option`, implemented in the same files (`posix/socket_options.cpp`,
// `windows/socket_options.cpp`). Values have been checked before.
#pragma once

#include <fairway/net/socket_options.hpp>

#include <boost/asio/error.hpp>

namespace fairway::detail {

// What a plain integer option is called by the system.
struct native_option {
  int level = -1;  // -1: the platform has no such option
  int name = 0;
  bool network_order = false;
};

inline boost::system::error_code option_not_supported() noexcept {
  return boost::asio::error::operation_not_supported;
}

// Whether the option's name depends on the socket's family.
inline bool by_family(option_id id) noexcept {
  return id == option_id::multicast_hops || id == option_id::multicast_interface ||
         id == option_id::multicast_loop;
}

result<void> set_linger(std::uintptr_t handle, bool on);
result<linger> get_linger(std::uintptr_t handle);

enum class membership { join, leave };
result<void> change_membership(std::uintptr_t handle, membership change,
                               const boost::asio::ip::address& group,
                               std::uint32_t interface_index);

// What the system may hold of a stream that it cannot send yet: server_limits::unsent_bytes. Only a
// connection that is gone refuses.
void limit_unsent(std::uintptr_t handle, int bytes) noexcept;

}  // namespace fairway::detail
