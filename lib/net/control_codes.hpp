// The numbers of the control codes, and small helpers for what is sent and answered.
#pragma once

#include <fairway/net/detail/control_request.hpp>

#include <boost/asio/error.hpp>

#include <cstring>
#include <type_traits>

namespace fairway {

// As Winsock has them; on every system, so that a provider sees the same everywhere. Written out
// because the SDK's headers of some systems lack the newer ones.
namespace control_codes {
inline constexpr std::uint32_t flush = 0x28000004;                      // SIO_FLUSH
inline constexpr std::uint32_t address_list_change = 0x28000017;        // SIO_ADDRESS_LIST_CHANGE
inline constexpr std::uint32_t ideal_send_backlog_change = 0x2000747a;  // SIO_IDEAL_SEND_..._CHANGE
inline constexpr std::uint32_t ideal_send_backlog = 0x4004747b;         // SIO_IDEAL_SEND_..._QUERY
inline constexpr std::uint32_t bytes_readable = 0x4004667f;             // FIONREAD
inline constexpr std::uint32_t address_list = 0x48000016;               // SIO_ADDRESS_LIST_QUERY
inline constexpr std::uint32_t base_handle = 0x48000022;                // SIO_BASE_HANDLE
inline constexpr std::uint32_t routing_interface_change = 0x88000015;   // SIO_ROUTING_..._CHANGE
inline constexpr std::uint32_t keepalive = 0x98000004;                  // SIO_KEEPALIVE_VALS
inline constexpr std::uint32_t loopback_fast_path = 0x98000010;         // SIO_LOOPBACK_FAST_PATH
inline constexpr std::uint32_t initial_rto = 0x98000011;                // SIO_TCP_INITIAL_RTO
inline constexpr std::uint32_t extension_function = 0xc8000006;  // SIO_GET_EXTENSION_FUNCTION_...
inline constexpr std::uint32_t routing_interface = 0xc8000014;   // SIO_ROUTING_INTERFACE_QUERY
inline constexpr std::uint32_t tcp_information = 0xd8000027;     // SIO_TCP_INFO
}  // namespace control_codes

namespace detail {

template <class T>
void store(control_request& request, const T& value) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(request.input(), &value, sizeof value);
}

// The answer as a T. Errors: invalid argument for one that is too short.
template <class T>
result<T> reply(const control_request& answer) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (answer.returned < sizeof(T) || answer.output_bytes < sizeof(T)) {
    return boost::system::error_code{boost::asio::error::invalid_argument};
  }
  T value;
  std::memcpy(&value, answer.output(), sizeof value);
  return value;
}

}  // namespace detail

}  // namespace fairway
