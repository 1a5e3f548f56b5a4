// Socket options as types.
//
//   s.set_option(fairway::no_delay{true});
//   auto room = s.get_option<fairway::receive_buffer_bytes>();
//
// Each option is a struct with one `value` (or named fields) and says which system option it is.
// The platform's numbers stay inside the library. An option that a platform lacks answers
// "operation not supported"; a value outside the documented range "invalid argument" before any
// system call. One system call each, no allocation.
//
// Sources: socket(7), tcp(7), ip(7), ipv6(7), and Microsoft's "Winsock socket options".
// Threads: as the object they are set on.
#pragma once

#include <fairway/result.hpp>

#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fairway {

enum class option_id : std::uint8_t {
  broadcast, busy_poll, conditional_accept, cork, exclusive_address_use, incoming_cpu,
  ip_ttl, ip_unicast_if, ipv6_unicast_if, join_group, keep_alive, keep_alive_count,
  keep_alive_idle, keep_alive_interval, leave_group, linger, multicast_hops, multicast_interface,
  multicast_loop, no_delay, port_scalability, quick_ack, receive_buffer_bytes, reuse_address,
  reuse_port, send_buffer_bytes, tcp_urgent_bsd, unicast_hops, user_timeout, v6_only
};

inline constexpr std::size_t option_count = static_cast<std::size_t>(option_id::v6_only) + 1;

/// The name of the option's type: "no_delay".
std::string_view to_string(option_id id) noexcept;

/// Whether the platform that the library was built for has the option at all.
bool is_supported(option_id id) noexcept;

namespace detail {

inline constexpr int int_most = 0x7fffffff;

// One integer option, with its range.
template <option_id Id, int Least, int Most>
struct int_option {
  static constexpr option_id id = Id;
  static constexpr std::int64_t least = Least;
  static constexpr std::int64_t most = Most;
  int value = Least;
  std::int64_t encoded() const noexcept { return value; }
  void decode(int from) noexcept { value = from; }
};

template <option_id Id>
struct bool_option {
  static constexpr option_id id = Id;
  static constexpr std::int64_t least = 0;
  static constexpr std::int64_t most = 1;
  bool value = false;
  std::int64_t encoded() const noexcept { return value ? 1 : 0; }
  void decode(int from) noexcept { value = from != 0; }
};

template <option_id Id, class Duration, int Least, int Most>
struct duration_option {
  static constexpr option_id id = Id;
  static constexpr std::int64_t least = Least;
  static constexpr std::int64_t most = Most;
  Duration value{Least};
  std::int64_t encoded() const noexcept { return value.count(); }
  void decode(int from) noexcept { value = Duration{from}; }
};

result<void> set_int_option(std::uintptr_t handle, option_id id, int value);
result<int> get_int_option(std::uintptr_t handle, option_id id);
boost::system::error_code out_of_range() noexcept;

}  // namespace detail

// TCP

/// TCP_NODELAY: sends small segments at once. Listeners and connectors set it by default.
struct no_delay : detail::bool_option<option_id::no_delay> {};
/// TCP_CORK (Linux): holds small segments back until it is cleared, 200 ms at most.
struct cork : detail::bool_option<option_id::cork> {};
/// TCP_QUICKACK (Linux): acknowledges at once. Not permanent: the kernel may leave that mode again.
struct quick_ack : detail::bool_option<option_id::quick_ack> {};
/// TCP_USER_TIMEOUT (Linux): how long sent data may stay unacknowledged; 0: the system's default.
struct user_timeout : detail::duration_option<option_id::user_timeout, std::chrono::milliseconds,
                                              0, detail::int_most> {};
/// TCP_BSDURGENT (Windows): where urgent data ends, in the BSD reading.
struct tcp_urgent_bsd : detail::bool_option<option_id::tcp_urgent_bsd> {};

/// SO_KEEPALIVE: probes an idle connection.
struct keep_alive : detail::bool_option<option_id::keep_alive> {};
/// TCP_KEEPIDLE: idle time before the first probe, 1 to 32,767 s.
struct keep_alive_idle
    : detail::duration_option<option_id::keep_alive_idle, std::chrono::seconds, 1, 32767> {};
/// TCP_KEEPINTVL: time between probes, 1 to 32,767 s.
struct keep_alive_interval
    : detail::duration_option<option_id::keep_alive_interval, std::chrono::seconds, 1, 32767> {};
/// TCP_KEEPCNT: unanswered probes that end the connection with "timed out", 1 to 127.
struct keep_alive_count : detail::int_option<option_id::keep_alive_count, 1, 127> {};

// Every socket

/// SO_SNDBUF, SO_RCVBUF. Linux doubles what is set, within its limits, and reports the result.
struct send_buffer_bytes
    : detail::int_option<option_id::send_buffer_bytes, 1, detail::int_most> {};
struct receive_buffer_bytes
    : detail::int_option<option_id::receive_buffer_bytes, 1, detail::int_most> {};
/// SO_BUSY_POLL (Linux): how long a receive polls the device; above the system's own value it takes
/// a privilege.
struct busy_poll : detail::duration_option<option_id::busy_poll, std::chrono::microseconds, 0,
                                           detail::int_most> {};
/// SO_INCOMING_CPU (Linux): which processor's packets the socket wants; read: which it got, -1 for
/// none yet.
struct incoming_cpu : detail::int_option<option_id::incoming_cpu, 0, 65535> {};

/// SO_LINGER. With `on` and no timeout a close resets the connection. Waiting in close would stop
/// every connection of the port: any other timeout is refused with "invalid argument".
struct linger {
  static constexpr option_id id = option_id::linger;
  bool on = false;
  std::chrono::seconds timeout{0};
};

// Binding

/// SO_REUSEADDR. On Windows it lets others take the endpoint over: listeners do not use it there.
struct reuse_address : detail::bool_option<option_id::reuse_address> {};
/// SO_REUSEPORT (Linux): several sockets on one endpoint share its connections or datagrams.
struct reuse_port : detail::bool_option<option_id::reuse_port> {};
/// SO_EXCLUSIVEADDRUSE (Windows): nobody can take the endpoint over.
struct exclusive_address_use : detail::bool_option<option_id::exclusive_address_use> {};
/// SO_PORT_SCALABILITY (Windows): local ports of outgoing connections are shared more widely.
struct port_scalability : detail::bool_option<option_id::port_scalability> {};
/// SO_CONDITIONAL_ACCEPT (Windows): a connection is acknowledged when it is accepted.
struct conditional_accept : detail::bool_option<option_id::conditional_accept> {};
/// IPV6_V6ONLY; before binding.
struct v6_only : detail::bool_option<option_id::v6_only> {};

// Routing

/// IP_TTL, 1 to 255.
struct ip_ttl : detail::int_option<option_id::ip_ttl, 1, 255> {};
/// IPV6_UNICAST_HOPS, 0 to 255; -1: the system's default.
struct unicast_hops : detail::int_option<option_id::unicast_hops, -1, 255> {};
/// IP_UNICAST_IF and IPV6_UNICAST_IF: the index of the interface to send from; 0: any. Windows
/// takes 24 bits, so that is the range.
struct ip_unicast_if : detail::int_option<option_id::ip_unicast_if, 0, 0x00ffffff> {};
struct ipv6_unicast_if : detail::int_option<option_id::ipv6_unicast_if, 0, 0x00ffffff> {};

// Datagrams

/// SO_BROADCAST: broadcast addresses may be sent to.
struct broadcast : detail::bool_option<option_id::broadcast> {};
/// IP_MULTICAST_LOOP or IPV6_MULTICAST_LOOP, by the socket's family: what is sent to a group also
/// comes back to this machine. (Windows reads it from the receiving socket.)
struct multicast_loop : detail::bool_option<option_id::multicast_loop> {};
/// IP_MULTICAST_TTL or IPV6_MULTICAST_HOPS, by the socket's family.
struct multicast_hops : detail::int_option<option_id::multicast_hops, 0, 255> {};
/// IP_MULTICAST_IF or IPV6_MULTICAST_IF, by the socket's family: the index of the interface that
/// groups are reached through; 0: the system chooses. It can be set, not read.
struct multicast_interface : detail::int_option<option_id::multicast_interface, 0, 0x00ffffff> {};

/// Joins or leaves a multicast group, on one interface or (index 0) on the system's choice.
/// Errors: invalid argument when the address is no multicast address.
struct join_group {
  static constexpr option_id id = option_id::join_group;
  boost::asio::ip::address group;
  std::uint32_t interface_index = 0;
};
struct leave_group {
  static constexpr option_id id = option_id::leave_group;
  boost::asio::ip::address group;
  std::uint32_t interface_index = 0;
};

/// Sets an option of a native socket; the members of stream, listener and datagram call these.
/// Errors: operation not supported · invalid argument · the system's.
template <class Option>
result<void> set_option(std::uintptr_t handle, const Option& option) {
  const std::int64_t value = option.encoded();
  if (value < Option::least || value > Option::most) return detail::out_of_range();
  return detail::set_int_option(handle, Option::id, static_cast<int>(value));
}
result<void> set_option(std::uintptr_t handle, const linger& option);
result<void> set_option(std::uintptr_t handle, const join_group& option);
result<void> set_option(std::uintptr_t handle, const leave_group& option);

namespace detail {

template <class Option>
result<Option> get_option_as(std::uintptr_t handle, Option*) {
  auto got = get_int_option(handle, Option::id);
  if (!got) return got.error();
  Option option;
  option.decode(got.value());
  return option;
}
result<linger> get_option_as(std::uintptr_t handle, linger*);

}  // namespace detail

/// Reads an option of a native socket. The value is the system's, also outside the range for
/// setting it.
/// Errors: operation not supported · the system's.
template <class Option>
result<Option> get_option(std::uintptr_t handle) {
  return detail::get_option_as(handle, static_cast<Option*>(nullptr));
}

}  // namespace fairway
