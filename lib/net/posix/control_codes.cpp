// The commands that are encoded in Linux's own way. What a provider sees of them is this encoding.
#include "net/posix/control_codes.hpp"

#include <algorithm>

namespace fairway {

using detail::control_request;
using detail::reply;
using detail::store;

namespace {

std::int32_t seconds_of(std::chrono::milliseconds time) {
  const auto whole = std::chrono::ceil<std::chrono::seconds>(time).count();
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(whole, 0, 32767));  // tcp(7)
}

}  // namespace

void keepalive::encode(control_request& request) const {
  const detail::native_keepalive native{on ? 1 : 0, seconds_of(idle), seconds_of(interval), count};
  request.set(control_codes::keepalive, sizeof native, 0);
  store(request, native);
}

void tcp_information::encode(control_request& request) const {
  request.set(control_codes::tcp_information, 0, sizeof(detail::native_tcp_information));
}
result<tcp_information::output> tcp_information::decode(const control_request& answer) {
  // An older kernel fills less of it; the rest is zero.
  detail::native_tcp_information native{};
  std::memcpy(&native, answer.output(), std::min<std::size_t>(answer.returned, sizeof native));
  output told;
  told.state = native.state;
  told.segment_bytes_max = native.snd_mss;
  told.round_trip = std::chrono::microseconds{native.rtt};
  told.round_trip_min = std::chrono::microseconds{native.min_rtt};
  told.congestion_window_bytes = std::uint64_t{native.snd_cwnd} * native.snd_mss;
  told.bytes_sent = native.bytes_sent;
  told.bytes_received = native.bytes_received;
  told.bytes_retransmitted = native.bytes_retrans;
  told.bytes = answer.returned;
  return told;
}

void bytes_unsent::encode(control_request& request) const {
  request.set(control_codes::tcp_information, 0, sizeof(std::uint32_t));
}
result<control_value> bytes_unsent::decode(const control_request& answer) {
  BOOST_OUTCOME_TRY(const auto value, reply<std::uint32_t>(answer));
  return control_value{value, answer.returned};
}

void address_list::encode(control_request& request) const {
  request.set(control_codes::address_list, 0,
              detail::native_address::count_max * sizeof(detail::native_address));
}
result<address_list::output> address_list::decode(const control_request& answer) {
  output list;
  list.bytes = answer.returned;
  const auto* at = answer.output();
  for (std::size_t left = answer.returned; left >= sizeof(detail::native_address);
       left -= sizeof(detail::native_address), at += sizeof(detail::native_address)) {
    detail::native_address one;
    std::memcpy(&one, at, sizeof one);
    if (one.v6 != 0) {
      list.addresses.push_back(boost::asio::ip::address_v6{one.bytes, one.scope});
    } else {
      list.addresses.push_back(boost::asio::ip::address_v4{
          {one.bytes[0], one.bytes[1], one.bytes[2], one.bytes[3]}});
    }
  }
  return list;
}

}  // namespace fairway
