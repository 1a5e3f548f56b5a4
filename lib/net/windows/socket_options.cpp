#include "net/socket_options_os.hpp"

#include "engine/iocp/winsock.hpp"

#include <cstring>

namespace fairway {

namespace detail {

namespace {

using iocp::socket_of;

// In Microsoft's headers of Windows 10; mingw's lack them.
constexpr int tcp_keep_idle = 3;
constexpr int tcp_keep_count = 16;
constexpr int tcp_keep_interval = 17;
constexpr int so_port_scalability = 0x3006;

boost::system::error_code last_error() noexcept {
  return iocp::system_error_code(::WSAGetLastError());
}

template <class T>
result<void> set(std::uintptr_t handle, int level, int name, const T& value) {
  if (::setsockopt(socket_of(handle), level, name, reinterpret_cast<const char*>(&value),
                   sizeof value) != 0) {
    return last_error();
  }
  return boost::outcome_v2::success();
}

template <class T>
result<T> get(std::uintptr_t handle, int level, int name) {
  T value{};  // zeros, because some options write only their first byte
  int size = sizeof value;
  if (::getsockopt(socket_of(handle), level, name, reinterpret_cast<char*>(&value), &size) != 0) {
    return last_error();
  }
  return value;
}

// The options whose name depends on the socket's family.
native_option native_of_family(option_id id, int family) noexcept {
  const bool v6 = family == AF_INET6;
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  switch (id) {
    case option_id::multicast_hops: return {level, v6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL};
    case option_id::multicast_interface:
      return {level, v6 ? IPV6_MULTICAST_IF : IP_MULTICAST_IF, !v6};
    case option_id::multicast_loop: return {level, v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP};
    default: return {};
  }
}

native_option native_of(option_id id) noexcept {
  switch (id) {
    case option_id::broadcast: return {SOL_SOCKET, SO_BROADCAST};
    case option_id::conditional_accept: return {SOL_SOCKET, SO_CONDITIONAL_ACCEPT};
    case option_id::exclusive_address_use: return {SOL_SOCKET, SO_EXCLUSIVEADDRUSE};
    case option_id::ip_ttl: return {IPPROTO_IP, IP_TTL};
    // Microsoft's page: network byte order for IPv4, host byte order for IPv6.
    case option_id::ip_unicast_if: return {IPPROTO_IP, IP_UNICAST_IF, true};
    case option_id::ipv6_unicast_if: return {IPPROTO_IPV6, IPV6_UNICAST_IF};
    case option_id::keep_alive: return {SOL_SOCKET, SO_KEEPALIVE};
    case option_id::keep_alive_count: return {IPPROTO_TCP, tcp_keep_count};
    case option_id::keep_alive_idle: return {IPPROTO_TCP, tcp_keep_idle};
    case option_id::keep_alive_interval: return {IPPROTO_TCP, tcp_keep_interval};
    case option_id::no_delay: return {IPPROTO_TCP, TCP_NODELAY};
    case option_id::port_scalability: return {SOL_SOCKET, so_port_scalability};
    case option_id::receive_buffer_bytes: return {SOL_SOCKET, SO_RCVBUF};
    case option_id::reuse_address: return {SOL_SOCKET, SO_REUSEADDR};
    case option_id::send_buffer_bytes: return {SOL_SOCKET, SO_SNDBUF};
    case option_id::tcp_urgent_bsd: return {IPPROTO_TCP, TCP_BSDURGENT};
    case option_id::unicast_hops: return {IPPROTO_IPV6, IPV6_UNICAST_HOPS};
    case option_id::v6_only: return {IPPROTO_IPV6, IPV6_V6ONLY};
    default: return {};
  }
}

result<native_option> find(std::uintptr_t handle, option_id id) {
  native_option native = native_of(id);
  if (by_family(id)) {
    // Also for a socket that is not bound, which has no name to take the family from.
    BOOST_OUTCOME_TRY(const auto info,
                      get<WSAPROTOCOL_INFOW>(handle, SOL_SOCKET, SO_PROTOCOL_INFOW));
    native = native_of_family(id, info.iAddressFamily);
  }
  if (native.level < 0) return option_not_supported();
  return native;
}

}  // namespace

result<void> set_int_option(std::uintptr_t handle, option_id id, int value) {
  BOOST_OUTCOME_TRY(const native_option native, find(handle, id));
  if (native.network_order) value = static_cast<int>(::htonl(static_cast<u_long>(value)));
  return set(handle, native.level, native.name, value);
}

result<int> get_int_option(std::uintptr_t handle, option_id id) {
  if (id == option_id::multicast_interface) return option_not_supported();
  BOOST_OUTCOME_TRY(const native_option native, find(handle, id));
  BOOST_OUTCOME_TRY(const int value, get<int>(handle, native.level, native.name));
  if (!native.network_order) return value;
  return static_cast<int>(::ntohl(static_cast<u_long>(value)));
}

result<void> set_linger(std::uintptr_t handle, bool on) {
  LINGER native{};
  native.l_onoff = on ? 1 : 0;
  return set(handle, SOL_SOCKET, SO_LINGER, native);
}

result<linger> get_linger(std::uintptr_t handle) {
  BOOST_OUTCOME_TRY(const auto native, get<LINGER>(handle, SOL_SOCKET, SO_LINGER));
  return linger{native.l_onoff != 0, std::chrono::seconds{native.l_linger}};
}

void limit_unsent(std::uintptr_t handle, int bytes) noexcept {
  ::setsockopt(static_cast<SOCKET>(handle), SOL_SOCKET, SO_SNDBUF,
               reinterpret_cast<const char*>(&bytes), sizeof bytes);
}

result<void> change_membership(std::uintptr_t handle, membership change,
                               const boost::asio::ip::address& group,
                               std::uint32_t interface_index) {
  const bool join = change == membership::join;
  if (group.is_v6()) {
    ipv6_mreq request{};
    const auto bytes = group.to_v6().to_bytes();
    std::memcpy(&request.ipv6mr_multiaddr, bytes.data(), bytes.size());
    request.ipv6mr_interface = interface_index;
    return set(handle, IPPROTO_IPV6, join ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP, request);
  }
  // An address in 0.0.0.0/8 is read as an interface index.
  ip_mreq request{};
  const auto bytes = group.to_v4().to_bytes();
  std::memcpy(&request.imr_multiaddr, bytes.data(), bytes.size());
  request.imr_interface.s_addr = ::htonl(interface_index);
  return set(handle, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, request);
}

}  // namespace detail

bool is_supported(option_id id) noexcept {
  return id == option_id::linger || id == option_id::join_group || id == option_id::leave_group ||
         detail::by_family(id) || detail::native_of(id).level >= 0;
}

}  // namespace fairway
