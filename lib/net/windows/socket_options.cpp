#include <fairway/net/socket_options.hpp>

#include "engine/iocp/winsock.hpp"

#include <boost/asio/error.hpp>

namespace fairway {

namespace {

using detail::iocp::socket_of;

// In Microsoft's headers of Windows 10; mingw's lack them.
constexpr int tcp_keep_idle = 3;
constexpr int tcp_keep_count = 16;
constexpr int tcp_keep_interval = 17;
constexpr int so_port_scalability = 0x3006;

struct native_option {
  int level = -1;  // -1: the platform has no such option
  int name = 0;
  bool network_order = false;
};

native_option native_of(option_id id) noexcept {
  switch (id) {
    case option_id::no_delay: return {IPPROTO_TCP, TCP_NODELAY};
    case option_id::keep_alive: return {SOL_SOCKET, SO_KEEPALIVE};
    case option_id::keep_alive_idle: return {IPPROTO_TCP, tcp_keep_idle};
    case option_id::keep_alive_interval: return {IPPROTO_TCP, tcp_keep_interval};
    case option_id::keep_alive_count: return {IPPROTO_TCP, tcp_keep_count};
    case option_id::linger: return {SOL_SOCKET, SO_LINGER};
    case option_id::send_buffer: return {SOL_SOCKET, SO_SNDBUF};
    case option_id::receive_buffer: return {SOL_SOCKET, SO_RCVBUF};
    case option_id::reuse_address: return {SOL_SOCKET, SO_REUSEADDR};
    case option_id::exclusive_address: return {SOL_SOCKET, SO_EXCLUSIVEADDRUSE};
    case option_id::v6_only: return {IPPROTO_IPV6, IPV6_V6ONLY};
    case option_id::ip_ttl: return {IPPROTO_IP, IP_TTL};
    case option_id::unicast_hops: return {IPPROTO_IPV6, IPV6_UNICAST_HOPS};
    case option_id::ip_unicast_if: return {IPPROTO_IP, IP_UNICAST_IF, true};
    case option_id::ipv6_unicast_if: return {IPPROTO_IPV6, IPV6_UNICAST_IF};
    case option_id::urgent_bsd: return {IPPROTO_TCP, TCP_BSDURGENT};
    case option_id::conditional_accept: return {SOL_SOCKET, SO_CONDITIONAL_ACCEPT};
    case option_id::port_scalability: return {SOL_SOCKET, so_port_scalability};
    case option_id::broadcast: return {SOL_SOCKET, SO_BROADCAST};
    case option_id::multicast_loop: return {IPPROTO_IP, IP_MULTICAST_LOOP};
    case option_id::multicast_hops: return {IPPROTO_IP, IP_MULTICAST_TTL};
    case option_id::reuse_port:
    case option_id::quick_ack:
    case option_id::user_timeout: break;
  }
  return {};
}

boost::system::error_code last_error() noexcept {
  return detail::iocp::system_error_code(::WSAGetLastError());
}

boost::system::error_code not_supported() noexcept {
  return boost::asio::error::operation_not_supported;
}

}  // namespace

namespace detail {

result<void> set_int_option(std::uintptr_t handle, option_id id, int value) {
  const native_option native = native_of(id);
  if (native.level < 0) return not_supported();
  if (native.network_order) value = static_cast<int>(::htonl(static_cast<u_long>(value)));
  if (::setsockopt(socket_of(handle), native.level, native.name,
                   reinterpret_cast<const char*>(&value), sizeof value) != 0) {
    return last_error();
  }
  return boost::outcome_v2::success();
}

result<int> get_int_option(std::uintptr_t handle, option_id id) {
  const native_option native = native_of(id);
  if (native.level < 0) return not_supported();
  int value = 0;  // some options write only their first byte
  int size = sizeof value;
  if (::getsockopt(socket_of(handle), native.level, native.name, reinterpret_cast<char*>(&value),
                   &size) != 0) {
    return last_error();
  }
  if (native.network_order) value = static_cast<int>(::ntohl(static_cast<u_long>(value)));
  return value;
}

boost::system::error_code out_of_range() noexcept { return boost::asio::error::invalid_argument; }

result<linger> get_option_as(std::uintptr_t handle, linger*) {
  LINGER native{};
  int size = sizeof native;
  if (::getsockopt(socket_of(handle), SOL_SOCKET, SO_LINGER, reinterpret_cast<char*>(&native),
                   &size) != 0) {
    return last_error();
  }
  return linger{native.l_onoff != 0, native.l_linger};
}

}  // namespace detail

result<void> set_option(std::uintptr_t handle, const linger& option) {
  if (option.on && option.seconds != 0) return detail::out_of_range();
  LINGER native{};
  native.l_onoff = option.on ? 1 : 0;
  if (::setsockopt(socket_of(handle), SOL_SOCKET, SO_LINGER,
                   reinterpret_cast<const char*>(&native), sizeof native) != 0) {
    return last_error();
  }
  return boost::outcome_v2::success();
}

}  // namespace fairway
