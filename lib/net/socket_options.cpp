#include <fairway/net/socket_options.hpp>

#include "net/socket_options_os.hpp"

#include <boost/asio/error.hpp>

namespace fairway {

namespace {

result<void> change_group(std::uintptr_t handle, detail::membership change,
                          const boost::asio::ip::address& group, std::uint32_t interface_index) {
  const auto most = static_cast<std::uint32_t>(multicast_interface::most);
  if (!group.is_multicast() || interface_index > most) return detail::out_of_range();
  return detail::change_membership(handle, change, group, interface_index);
}

}  // namespace

std::string_view to_string(option_id id) noexcept {
  switch (id) {
    case option_id::broadcast: return "broadcast";
    case option_id::busy_poll: return "busy_poll";
    case option_id::conditional_accept: return "conditional_accept";
    case option_id::cork: return "cork";
    case option_id::exclusive_address_use: return "exclusive_address_use";
    case option_id::incoming_cpu: return "incoming_cpu";
    case option_id::ip_ttl: return "ip_ttl";
    case option_id::ip_unicast_if: return "ip_unicast_if";
    case option_id::ipv6_unicast_if: return "ipv6_unicast_if";
    case option_id::join_group: return "join_group";
    case option_id::keep_alive: return "keep_alive";
    case option_id::keep_alive_count: return "keep_alive_count";
    case option_id::keep_alive_idle: return "keep_alive_idle";
    case option_id::keep_alive_interval: return "keep_alive_interval";
    case option_id::leave_group: return "leave_group";
    case option_id::linger: return "linger";
    case option_id::multicast_hops: return "multicast_hops";
    case option_id::multicast_interface: return "multicast_interface";
    case option_id::multicast_loop: return "multicast_loop";
    case option_id::no_delay: return "no_delay";
    case option_id::port_scalability: return "port_scalability";
    case option_id::quick_ack: return "quick_ack";
    case option_id::receive_buffer_bytes: return "receive_buffer_bytes";
    case option_id::reuse_address: return "reuse_address";
    case option_id::reuse_port: return "reuse_port";
    case option_id::send_buffer_bytes: return "send_buffer_bytes";
    case option_id::tcp_urgent_bsd: return "tcp_urgent_bsd";
    case option_id::unicast_hops: return "unicast_hops";
    case option_id::user_timeout: return "user_timeout";
    case option_id::v6_only: return "v6_only";
  }
  return "unknown";
}

result<void> set_option(std::uintptr_t handle, const linger& option) {
  if (option.on && option.timeout.count() != 0) return detail::out_of_range();
  return detail::set_linger(handle, option.on);
}

result<void> set_option(std::uintptr_t handle, const join_group& option) {
  return change_group(handle, detail::membership::join, option.group, option.interface_index);
}

result<void> set_option(std::uintptr_t handle, const leave_group& option) {
  return change_group(handle, detail::membership::leave, option.group, option.interface_index);
}

namespace detail {

boost::system::error_code out_of_range() noexcept { return boost::asio::error::invalid_argument; }

result<linger> get_option_as(std::uintptr_t handle, linger*) { return get_linger(handle); }

}  // namespace detail

}  // namespace fairway
