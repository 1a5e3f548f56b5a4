// The commands whose encoding is Windows's own; structures by the pages of mstcpip.h and ws2def.h.
#include "net/control_codes.hpp"

#include <fairway/net/control_commands.hpp>

#include "engine/iocp/winsock.hpp"

#include <algorithm>
#include <cstddef>

namespace fairway {

using detail::control_request;
using detail::reply;
using detail::store;

namespace {

// tcp_keepalive of mstcpip.h.
struct native_keepalive {
  std::uint32_t on;
  std::uint32_t idle_ms;
  std::uint32_t interval_ms;
};

// TCP_INFO_v0 of mstcpip.h, which mingw's header lacks.
struct native_tcp_information {
  std::uint32_t state;
  std::uint32_t mss;
  std::uint64_t connection_ms;
  std::uint8_t timestamps;
  std::uint32_t rtt_us;
  std::uint32_t min_rtt_us;
  std::uint32_t bytes_in_flight;
  std::uint32_t cwnd;
  std::uint32_t snd_wnd;
  std::uint32_t rcv_wnd;
  std::uint32_t rcv_buf;
  std::uint64_t bytes_out;
  std::uint64_t bytes_in;
  std::uint32_t bytes_reordered;
  std::uint32_t bytes_retransmitted;
  std::uint32_t fast_retransmissions;
  std::uint32_t duplicate_acks_in;
  std::uint32_t timeout_episodes;
  std::uint8_t syn_retransmissions;
};
static_assert(sizeof(native_tcp_information) == 88);

std::uint32_t milliseconds_of(std::chrono::milliseconds time, std::uint32_t otherwise) {
  const auto count = std::clamp<std::int64_t>(time.count(), 0, 0x7fffffff);
  return count == 0 ? otherwise : static_cast<std::uint32_t>(count);
}

void ask_information(control_request& request) {
  request.set(control_codes::tcp_information, sizeof(std::uint32_t),
              sizeof(native_tcp_information));
  store(request, std::uint32_t{0});  // the version of the structure
}

}  // namespace

void keepalive::encode(control_request& request) const {
  const native_keepalive native{on ? 1u : 0u, milliseconds_of(idle, 7'200'000),
                                milliseconds_of(interval, 1000)};
  request.set(control_codes::keepalive, sizeof native, 0);
  store(request, native);
}

void tcp_information::encode(control_request& request) const { ask_information(request); }
result<tcp_information::output> tcp_information::decode(const control_request& answer) {
  BOOST_OUTCOME_TRY(const auto native, reply<native_tcp_information>(answer));
  output told;
  told.state = native.state;
  told.segment_bytes_max = native.mss;
  told.round_trip = std::chrono::microseconds{native.rtt_us};
  told.round_trip_min = std::chrono::microseconds{native.min_rtt_us};
  told.congestion_window_bytes = native.cwnd;
  told.bytes_sent = native.bytes_out;
  told.bytes_received = native.bytes_in;
  told.bytes_retransmitted = native.bytes_retransmitted;
  told.bytes = answer.returned;
  return told;
}

void bytes_unsent::encode(control_request& request) const { ask_information(request); }
result<control_value> bytes_unsent::decode(const control_request& answer) {
  BOOST_OUTCOME_TRY(const auto native, reply<native_tcp_information>(answer));
  return control_value{native.bytes_in_flight, answer.returned};
}

void address_list::encode(control_request& request) const {
  constexpr std::size_t room = 8192;  // more than a hundred addresses
  request.set(control_codes::address_list, 0, room);
}
result<address_list::output> address_list::decode(const control_request& answer) {
  output list;
  list.bytes = answer.returned;
  if (answer.returned < offsetof(SOCKET_ADDRESS_LIST, Address)) return list;
  // Its addresses point into the buffer that it was written to.
  const auto* native = reinterpret_cast<const SOCKET_ADDRESS_LIST*>(answer.output());
  for (INT i = 0; i < native->iAddressCount; ++i) {
    const SOCKET_ADDRESS& one = native->Address[i];
    const auto made =
        endpoint::from_native(one.lpSockaddr, static_cast<std::size_t>(one.iSockaddrLength));
    if (made) list.addresses.push_back(made.value().address());
  }
  return list;
}

}  // namespace fairway
