#include "net/socket_options_os.hpp"

#include <fairway/net/endpoint.hpp>

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace fairway {

namespace detail {

namespace {

boost::system::error_code last_error() noexcept {
  return {errno, boost::system::system_category()};
}

int fd_of(std::uintptr_t handle) noexcept { return static_cast<int>(handle); }

template <class T>
result<void> set(std::uintptr_t handle, int level, int name, const T& value) {
  if (::setsockopt(fd_of(handle), level, name, &value, sizeof value) != 0) return last_error();
  return boost::outcome_v2::success();
}

template <class T>
result<T> get(std::uintptr_t handle, int level, int name) {
  T value{};
  socklen_t size = sizeof value;
  if (::getsockopt(fd_of(handle), level, name, &value, &size) != 0) return last_error();
  return value;
}

// The options whose name depends on the socket's family.
native_option native_of_family(option_id id, int family) noexcept {
  const bool v6 = family == AF_INET6;
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  switch (id) {
    case option_id::multicast_hops: return {level, v6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL};
    case option_id::multicast_interface: return {level, v6 ? IPV6_MULTICAST_IF : IP_MULTICAST_IF};
    case option_id::multicast_loop: return {level, v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP};
    default: return {};
  }
}

native_option native_of(option_id id) noexcept {
  switch (id) {
    case option_id::broadcast: return {SOL_SOCKET, SO_BROADCAST};
    case option_id::busy_poll: return {SOL_SOCKET, SO_BUSY_POLL};
    case option_id::cork: return {IPPROTO_TCP, TCP_CORK};
    case option_id::incoming_cpu: return {SOL_SOCKET, SO_INCOMING_CPU};
    case option_id::ip_ttl: return {IPPROTO_IP, IP_TTL};
    case option_id::ip_unicast_if: return {IPPROTO_IP, IP_UNICAST_IF, true};
    case option_id::ipv6_unicast_if: return {IPPROTO_IPV6, IPV6_UNICAST_IF, true};
    case option_id::keep_alive: return {SOL_SOCKET, SO_KEEPALIVE};
    case option_id::keep_alive_count: return {IPPROTO_TCP, TCP_KEEPCNT};
    case option_id::keep_alive_idle: return {IPPROTO_TCP, TCP_KEEPIDLE};
    case option_id::keep_alive_interval: return {IPPROTO_TCP, TCP_KEEPINTVL};
    case option_id::no_delay: return {IPPROTO_TCP, TCP_NODELAY};
    case option_id::quick_ack: return {IPPROTO_TCP, TCP_QUICKACK};
    case option_id::receive_buffer_bytes: return {SOL_SOCKET, SO_RCVBUF};
    case option_id::reuse_address: return {SOL_SOCKET, SO_REUSEADDR};
    case option_id::reuse_port: return {SOL_SOCKET, SO_REUSEPORT};
    case option_id::send_buffer_bytes: return {SOL_SOCKET, SO_SNDBUF};
    case option_id::unicast_hops: return {IPPROTO_IPV6, IPV6_UNICAST_HOPS};
    case option_id::user_timeout: return {IPPROTO_TCP, TCP_USER_TIMEOUT};
    case option_id::v6_only: return {IPPROTO_IPV6, IPV6_V6ONLY};
    default: return {};
  }
}

result<native_option> find(std::uintptr_t handle, option_id id) {
  native_option native = native_of(id);
  if (by_family(id)) {
    BOOST_OUTCOME_TRY(const int family, get<int>(handle, SOL_SOCKET, SO_DOMAIN));
    native = native_of_family(id, family);
  }
  if (native.level < 0) return option_not_supported();
  return native;
}

}  // namespace

result<void> set_int_option(std::uintptr_t handle, option_id id, int value) {
  BOOST_OUTCOME_TRY(const native_option native, find(handle, id));
  if (native.level == IPPROTO_IP && native.name == IP_MULTICAST_IF) {
    ip_mreqn by_index{};
    by_index.imr_ifindex = value;
    return set(handle, native.level, native.name, by_index);
  }
  if (native.network_order) value = static_cast<int>(htonl(static_cast<std::uint32_t>(value)));
  return set(handle, native.level, native.name, value);
}

result<int> get_int_option(std::uintptr_t handle, option_id id) {
  if (id == option_id::multicast_interface) return option_not_supported();
  BOOST_OUTCOME_TRY(const native_option native, find(handle, id));
  BOOST_OUTCOME_TRY(const int value, get<int>(handle, native.level, native.name));
  if (!native.network_order) return value;
  return static_cast<int>(ntohl(static_cast<std::uint32_t>(value)));
}

result<void> set_linger(std::uintptr_t handle, bool on) {
  return set(handle, SOL_SOCKET, SO_LINGER, ::linger{on ? 1 : 0, 0});
}

result<linger> get_linger(std::uintptr_t handle) {
  BOOST_OUTCOME_TRY(const auto native, get<::linger>(handle, SOL_SOCKET, SO_LINGER));
  return linger{native.l_onoff != 0, std::chrono::seconds{native.l_linger}};
}

void limit_unsent(std::uintptr_t handle, int bytes) noexcept {
  const int fd = fd_of(handle);
  if (::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes) == 0) return;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

result<void> change_membership(std::uintptr_t handle, membership change,
                               const boost::asio::ip::address& group,
                               std::uint32_t interface_index) {
  const endpoint address{group, 0};
  group_req request{};
  request.gr_interface = interface_index;
  static_assert(endpoint::native_bytes_max <= sizeof request.gr_group);
  std::memcpy(&request.gr_group, address.data(), address.size());
  return set(handle, group.is_v6() ? IPPROTO_IPV6 : IPPROTO_IP,
             change == membership::join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, request);
}

}  // namespace detail

bool is_supported(option_id id) noexcept {
  return id == option_id::linger || id == option_id::join_group || id == option_id::leave_group ||
         detail::by_family(id) || detail::native_of(id).level >= 0;
}

}  // namespace fairway
