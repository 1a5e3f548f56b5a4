// What a server counts, and its text in the OpenMetrics format.
//
//   std::string page = server.metrics().text();   // served by samples/http_server.cpp
//
// Each port counts for itself; reading stops nobody, and the numbers of one snapshot are not of one
// moment. Names and units (labels in braces):
//
//   fairway_connections                       gauge    open now {port}
//   fairway_connections_idle                  gauge    of those, idle {port}
//   fairway_accepted_total                    counter  connections {port}
//   fairway_refused_total                     counter  {cause: full, peer, draining}
//   fairway_ended_total                       counter  connections {port, reason}
//   fairway_requests_total                    counter  changes from idle to busy {port}
//   fairway_received_bytes_total, fairway_sent_bytes_total    counter {port}
//   fairway_connection_seconds                histogram  age at the end {port}
//   fairway_accept_pauses_total               counter  times that accepting waited for a limit
//   fairway_listeners_failed_total            counter  listeners that an error ended
//   fairway_port_handlers_total, _kernel_entries_total, _operations_in_flight   per port
//
// Threads: any.
#pragma once

#include <fairway/engine/statistics.hpp>
#include <fairway/server/end_reason.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fairway {

struct port_metrics {
  // Upper bounds of the buckets of `ages`, in seconds; the last bucket has none.
  static constexpr std::array<double, 7> age_bounds{0.01, 0.1, 1, 10, 60, 600, 3600};

  std::uint64_t open = 0;
  std::uint64_t idle = 0;
  std::uint64_t accepted = 0;
  std::array<std::uint64_t, end_reasons> ended{};
  std::uint64_t requests = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::array<std::uint64_t, age_bounds.size() + 1> ages{};
  std::uint64_t age_sum_ms = 0;
  port_statistics port;
};

struct server_metrics {
  std::vector<port_metrics> ports;
  std::uint64_t refused_full = 0;
  std::uint64_t refused_peer = 0;
  std::uint64_t refused_draining = 0;
  std::uint64_t accept_pauses = 0;
  std::uint64_t listeners_failed = 0;

  std::uint64_t open() const noexcept;
  std::uint64_t ended(end_reason reason) const noexcept;
  /// OpenMetrics 1.0 text, ended by "# EOF". Serve it as
  /// `application/openmetrics-text; version=1.0.0; charset=utf-8`.
  std::string text() const;
};

}  // namespace fairway
