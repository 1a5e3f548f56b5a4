// What became of the connections when a server ended: every one that was open is in exactly one of
// the two lists, with the reason that logs and metrics give too.
//
// Threads and lifetime: a value.
#pragma once

#include <fairway/engine/clock.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/server/end_reason.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fairway {

struct drained_connection {
  std::uint64_t id = 0;
  endpoint remote;
  end_reason reason = end_reason::none;
  port_clock::duration age{};  // when it ended
};

struct drain_report {
  std::size_t open_at_start = 0;  // always finished.size() + cut.size()
  std::vector<drained_connection> finished;  // idle ones, and those that ended by themselves
  std::vector<drained_connection> cut;       // still busy at the deadline, or stopped
  port_clock::duration took{};

  /// One line.
  std::string text() const;
};

}  // namespace fairway
