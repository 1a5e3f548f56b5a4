#include <fairway/net/socket_options.hpp>

#include <boost/asio/error.hpp>

#include <cerrno>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace fairway {

namespace {

struct native_option {
  int level = -1;  // -1: the platform has no such option
  int name = 0;
  bool network_order = false;
};

native_option native_of(option_id id) noexcept {
  switch (id) {
    case option_id::no_delay: return {IPPROTO_TCP, TCP_NODELAY};
    case option_id::keep_alive: return {SOL_SOCKET, SO_KEEPALIVE};
    case option_id::keep_alive_idle: return {IPPROTO_TCP, TCP_KEEPIDLE};
    case option_id::keep_alive_interval: return {IPPROTO_TCP, TCP_KEEPINTVL};
    case option_id::keep_alive_count: return {IPPROTO_TCP, TCP_KEEPCNT};
    case option_id::linger: return {SOL_SOCKET, SO_LINGER};
    case option_id::send_buffer: return {SOL_SOCKET, SO_SNDBUF};
    case option_id::receive_buffer: return {SOL_SOCKET, SO_RCVBUF};
    case option_id::reuse_address: return {SOL_SOCKET, SO_REUSEADDR};
    case option_id::reuse_port: return {SOL_SOCKET, SO_REUSEPORT};
    case option_id::v6_only: return {IPPROTO_IPV6, IPV6_V6ONLY};
    case option_id::ip_ttl: return {IPPROTO_IP, IP_TTL};
    case option_id::unicast_hops: return {IPPROTO_IPV6, IPV6_UNICAST_HOPS};
    case option_id::ip_unicast_if: return {IPPROTO_IP, IP_UNICAST_IF, true};
    case option_id::ipv6_unicast_if: return {IPPROTO_IPV6, IPV6_UNICAST_IF, true};
    case option_id::quick_ack: return {IPPROTO_TCP, TCP_QUICKACK};
    case option_id::user_timeout: return {IPPROTO_TCP, TCP_USER_TIMEOUT};
    case option_id::broadcast: return {SOL_SOCKET, SO_BROADCAST};
    case option_id::multicast_loop: return {IPPROTO_IP, IP_MULTICAST_LOOP};
    case option_id::multicast_hops: return {IPPROTO_IP, IP_MULTICAST_TTL};
    case option_id::exclusive_address:
    case option_id::urgent_bsd:
    case option_id::conditional_accept:
    case option_id::port_scalability: break;
  }
  return {};
}

boost::system::error_code last_error() noexcept {
  return {errno, boost::asio::error::get_system_category()};
}

boost::system::error_code not_supported() noexcept {
  return boost::asio::error::operation_not_supported;
}

}  // namespace

namespace detail {

result<void> set_int_option(std::uintptr_t handle, option_id id, int value) {
  const native_option native = native_of(id);
  if (native.level < 0) return not_supported();
  if (native.network_order) value = static_cast<int>(htonl(static_cast<std::uint32_t>(value)));
  if (::setsockopt(static_cast<int>(handle), native.level, native.name, &value, sizeof value) !=
      0) {
    return last_error();
  }
  return boost::outcome_v2::success();
}

result<int> get_int_option(std::uintptr_t handle, option_id id) {
  const native_option native = native_of(id);
  if (native.level < 0) return not_supported();
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(static_cast<int>(handle), native.level, native.name, &value, &size) != 0) {
    return last_error();
  }
  if (native.network_order) value = static_cast<int>(ntohl(static_cast<std::uint32_t>(value)));
  return value;
}

boost::system::error_code out_of_range() noexcept { return boost::asio::error::invalid_argument; }

result<linger> get_option_as(std::uintptr_t handle, linger*) {
  ::linger native{};
  socklen_t size = sizeof native;
  if (::getsockopt(static_cast<int>(handle), SOL_SOCKET, SO_LINGER, &native, &size) != 0) {
    return last_error();
  }
  return linger{native.l_onoff != 0, native.l_linger};
}

}  // namespace detail

result<void> set_option(std::uintptr_t handle, const linger& option) {
  if (option.on && option.seconds != 0) return detail::out_of_range();
  const ::linger native{option.on ? 1 : 0, 0};
  if (::setsockopt(static_cast<int>(handle), SOL_SOCKET, SO_LINGER, &native, sizeof native) != 0) {
    return last_error();
  }
  return boost::outcome_v2::success();
}

}  // namespace fairway
