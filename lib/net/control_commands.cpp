// The encodings that do not depend on the platform. Code numbers: Microsoft's mstcpip.h, ws2def.h
// and mswsock.h, by the pages named after them.
#include <fairway/net/control_commands.hpp>

#include "net/control_codes.hpp"

#include <algorithm>
#include <cstring>

namespace fairway {

using detail::control_request;
using detail::reply;
using detail::store;

void loopback_fast_path::encode(control_request& request) const {
  // "A pointer to a Boolean value": the 32-bit BOOL of Winsock.
  request.set(control_codes::loopback_fast_path, sizeof(std::uint32_t), 0);
  store(request, std::uint32_t{on ? 1u : 0u});
}
result<control_done> loopback_fast_path::decode(const control_request& answer) {
  return control_done{answer.returned};
}

result<control_done> keepalive::decode(const control_request& answer) {
  return control_done{answer.returned};
}

void bytes_readable::encode(control_request& request) const {
  request.set(control_codes::bytes_readable, 0, sizeof(std::uint32_t));
}
result<control_value> bytes_readable::decode(const control_request& answer) {
  BOOST_OUTCOME_TRY(const auto value, reply<std::uint32_t>(answer));
  return control_value{value, answer.returned};
}

void address_list_change::encode(control_request& request) const {
  request.set(control_codes::address_list_change, 0, 0);
}
result<control_done> address_list_change::decode(const control_request& answer) {
  return control_done{answer.returned};
}

void routing_interface::encode(control_request& request) const {
  request.set(control_codes::routing_interface, to.size(), endpoint::native_bytes_max);
  std::memcpy(request.input(), to.data(), to.size());
}
result<routing_interface::output> routing_interface::decode(const control_request& answer) {
  BOOST_OUTCOME_TRY(const auto local, endpoint::from_native(answer.output(), answer.returned));
  return output{local, answer.returned};
}

void routing_interface_change::encode(control_request& request) const {
  request.set(control_codes::routing_interface_change, to.size(), 0);
  std::memcpy(request.input(), to.data(), to.size());
}
result<control_done> routing_interface_change::decode(const control_request& answer) {
  return control_done{answer.returned};
}

void ideal_send_backlog::encode(control_request& request) const {
  request.set(control_codes::ideal_send_backlog, 0, sizeof(std::uint32_t));
}
result<control_value> ideal_send_backlog::decode(const control_request& answer) {
  BOOST_OUTCOME_TRY(const auto value, reply<std::uint32_t>(answer));
  return control_value{value, answer.returned};
}

void ideal_send_backlog_change::encode(control_request& request) const {
  request.set(control_codes::ideal_send_backlog_change, 0, 0);
}
result<control_done> ideal_send_backlog_change::decode(const control_request& answer) {
  return control_done{answer.returned};
}

void connect_retries::encode(control_request& request) const {
  // TCP_INITIAL_RTO_PARAMETERS: 16 bits of milliseconds, all ones: the system's; 8 bits of
  // repetitions, 254 (-2): none, since zero is the system's as well.
  constexpr std::uint16_t unspecified = 0xffff;
  constexpr std::uint8_t no_repetition = 0xfe;
  const auto wait = std::clamp<std::int64_t>(first_wait.count(), 0, 0xfffe);
  const struct {
    std::uint16_t first_wait;
    std::uint8_t count;
    std::uint8_t padding;
  } native{wait == 0 ? unspecified : static_cast<std::uint16_t>(wait),
           count == 0 ? no_repetition : count, 0};
  request.set(control_codes::initial_rto, sizeof native, 0);
  store(request, native);
}
result<control_done> connect_retries::decode(const control_request& answer) {
  return control_done{answer.returned};
}

void flush::encode(control_request& request) const { request.set(control_codes::flush, 0, 0); }
result<control_done> flush::decode(const control_request& answer) {
  return control_done{answer.returned};
}

void extension_function::encode(control_request& request) const {
  request.set(control_codes::extension_function, guid.size(), sizeof(std::uintptr_t));
  std::memcpy(request.input(), guid.data(), guid.size());
}
result<extension_function::output> extension_function::decode(const control_request& answer) {
  BOOST_OUTCOME_TRY(const auto function, reply<std::uintptr_t>(answer));
  return output{function, answer.returned};
}

void base_handle::encode(control_request& request) const {
  request.set(control_codes::base_handle, 0, sizeof(std::uintptr_t));
}
result<base_handle::output> base_handle::decode(const control_request& answer) {
  BOOST_OUTCOME_TRY(const auto handle, reply<std::uintptr_t>(answer));
  return output{handle, answer.returned};
}

void raw_control::encode(control_request& request) const {
  request.set(code, input.size(), output_bytes);
  if (!input.empty()) std::memcpy(request.input(), input.data(), input.size());
}
result<raw_control::output> raw_control::decode(const control_request& answer) {
  output made;
  made.bytes = answer.returned;
  const std::size_t size = std::min<std::size_t>(answer.returned, answer.output_bytes);
  if (size != 0) made.data.assign(answer.output(), answer.output() + size);
  return made;
}

}  // namespace fairway
