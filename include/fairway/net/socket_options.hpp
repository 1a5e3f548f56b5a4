// Socket options as types.
//
//   s.set_option(fairway::no_delay{true});
//   auto room = s.get_option<fairway::receive_buffer_bytes>();
//
// Each option is a struct with one `value` (or named fields) and says which system option it is.
// The platform's numbers stay inside the library. An option that a platform lacks answers
// "operation not supported"; a value outside the documented range "invalid argument" before
// any system call. Sources: socket(7), tcp(7), ip(7), ipv6(7), and Microsoft's page "Winsock socket
// options".
//
// Threads: as the object they are set on.
#pragma once

#include <fairway/result.hpp>

#include <cstdint>

namespace fairway {

enum class option_id : std::uint8_t {
  no_delay, keep_alive, keep_alive_idle, keep_alive_interval, keep_alive_count, linger,
  send_buffer, receive_buffer, reuse_address, reuse_port, exclusive_address, v6_only, ip_ttl,
  unicast_hops, ip_unicast_if, ipv6_unicast_if, quick_ack, user_timeout, urgent_bsd,
  conditional_accept, port_scalability, broadcast, multicast_loop, multicast_hops
};

namespace detail {

// One integer option, with its range.
template <option_id Id, int Least, int Most>
struct int_option {
  static constexpr option_id id = Id;
  static constexpr int least = Least;
  static constexpr int most = Most;
  int value = Least;
};

template <option_id Id>
struct bool_option {
  static constexpr option_id id = Id;
  static constexpr int least = 0;
  static constexpr int most = 1;
  bool value = false;
};

result<void> set_int_option(std::uintptr_t handle, option_id id, int value);
result<int> get_int_option(std::uintptr_t handle, option_id id);
boost::system::error_code out_of_range() noexcept;

inline constexpr int int_most = 0x7fffffff;

}  // namespace detail

// TCP_NODELAY: send small segments at once. Fairway's listeners and connectors set it by default.
struct no_delay : detail::bool_option<option_id::no_delay> {};
// SO_KEEPALIVE, and when probing starts, how far apart probes are, and how many go unanswered.
struct keep_alive : detail::bool_option<option_id::keep_alive> {};
struct keep_alive_idle_seconds : detail::int_option<option_id::keep_alive_idle, 1, 32767> {};
struct keep_alive_interval_seconds
    : detail::int_option<option_id::keep_alive_interval, 1, 32767> {};
struct keep_alive_count : detail::int_option<option_id::keep_alive_count, 1, 127> {};
// SO_SNDBUF, SO_RCVBUF. Linux doubles what is set and reports the double.
struct send_buffer_bytes
    : detail::int_option<option_id::send_buffer, 1, detail::int_most> {};
struct receive_buffer_bytes
    : detail::int_option<option_id::receive_buffer, 1, detail::int_most> {};
// SO_REUSEADDR. On Windows it lets others take the endpoint over: listeners do not use it there.
struct reuse_address : detail::bool_option<option_id::reuse_address> {};
// SO_REUSEPORT (Linux).
struct reuse_port : detail::bool_option<option_id::reuse_port> {};
// SO_EXCLUSIVEADDRUSE (Windows).
struct exclusive_address_use : detail::bool_option<option_id::exclusive_address> {};
// IPV6_V6ONLY; before binding.
struct v6_only : detail::bool_option<option_id::v6_only> {};
// IP_TTL and IPV6_UNICAST_HOPS.
struct ip_ttl : detail::int_option<option_id::ip_ttl, 1, 255> {};
struct unicast_hops : detail::int_option<option_id::unicast_hops, -1, 255> {};
// IP_UNICAST_IF and IPV6_UNICAST_IF: the index of the interface to send from; 0: any.
struct ip_unicast_if : detail::int_option<option_id::ip_unicast_if, 0, 0x00ffffff> {};
struct ipv6_unicast_if : detail::int_option<option_id::ipv6_unicast_if, 0, 0x00ffffff> {};
// TCP_QUICKACK (Linux; not permanent).
struct quick_ack : detail::bool_option<option_id::quick_ack> {};
// TCP_USER_TIMEOUT (Linux): how long sent data may stay unacknowledged; 0: the system's default.
struct user_timeout_milliseconds
    : detail::int_option<option_id::user_timeout, 0, detail::int_most> {};
// TCP_BSDURGENT (Windows).
struct urgent_bsd : detail::bool_option<option_id::urgent_bsd> {};
// SO_CONDITIONAL_ACCEPT and SO_PORT_SCALABILITY (Windows).
struct conditional_accept : detail::bool_option<option_id::conditional_accept> {};
struct port_scalability : detail::bool_option<option_id::port_scalability> {};
// SO_BROADCAST, IP_MULTICAST_LOOP, IP_MULTICAST_TTL: datagrams.
struct broadcast : detail::bool_option<option_id::broadcast> {};
struct multicast_loop : detail::bool_option<option_id::multicast_loop> {};
struct multicast_hops : detail::int_option<option_id::multicast_hops, 0, 255> {};

// SO_LINGER. With `on` and zero seconds a close resets the connection. Waiting in close is never
// wanted on a port's thread: other numbers of seconds are refused.
struct linger {
  static constexpr option_id id = option_id::linger;
  bool on = false;
  int seconds = 0;
};

// On a native socket; the members of stream, listener and datagram call these.
template <class Option>
result<void> set_option(std::uintptr_t handle, const Option& option) {
  const int value = static_cast<int>(option.value);
  if (value < Option::least || value > Option::most) return detail::out_of_range();
  return detail::set_int_option(handle, Option::id, value);
}
result<void> set_option(std::uintptr_t handle, const linger& option);

namespace detail {

template <class Option>
result<Option> get_option_as(std::uintptr_t handle, Option*) {
  auto got = get_int_option(handle, Option::id);
  if (!got) return got.error();
  Option option;
  option.value = static_cast<decltype(option.value)>(got.value());
  return option;
}
result<linger> get_option_as(std::uintptr_t handle, linger*);

}  // namespace detail

template <class Option>
result<Option> get_option(std::uintptr_t handle) {
  return detail::get_option_as(handle, static_cast<Option*>(nullptr));
}

}  // namespace fairway
