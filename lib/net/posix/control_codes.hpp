// What stands in the input and output of a command on Linux, where no header of the system says it.
#pragma once

#include "net/control_codes.hpp"

#include <fairway/net/control_commands.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace fairway::detail {

struct native_keepalive {
  std::int32_t on;
  std::int32_t idle_seconds;      // 0: the system's
  std::int32_t interval_seconds;  // 0: the system's
  std::int32_t count;             // 0: the system's
};

// The kernel's tcp_info (linux/tcp.h) as far as it is read; the C library's is older and shorter.
struct native_tcp_information {
  std::uint8_t state, ca_state, retransmits, probes, backoff, options, wscale, limits;
  std::uint32_t rto, ato, snd_mss, rcv_mss;
  std::uint32_t unacked, sacked, lost, retrans, fackets;
  std::uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
  std::uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
  std::uint32_t rcv_rtt, rcv_space, total_retrans;
  std::uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
  std::uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
  std::uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
  std::uint32_t delivered, delivered_ce;
  std::uint64_t bytes_sent, bytes_retrans;
};
static_assert(offsetof(native_tcp_information, bytes_sent) == 200);

struct native_address {
  static constexpr std::size_t count_max = 128;  // longer lists are cut
  std::uint32_t v6;
  std::uint32_t scope;
  std::array<std::uint8_t, 16> bytes;  // IPv4: the first four
};

}  // namespace fairway::detail
