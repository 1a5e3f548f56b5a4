// Ports on io_uring for the tests of that backend alone.
#pragma once

#include "support/net.hpp"

#include <array>
#include <cstddef>
#include <cstdio>
#include <deque>

namespace support {

inline fairway::port_options on_ring(unsigned entries = 1024) {
  fairway::port_options options;
  options.engine = fairway::engine_kind::io_uring;
  options.queue_entries = entries;
  return options;
}

// False, after printing why, where the system refuses io_uring.
inline bool has_io_uring() {
  try {
    fairway::completion_port port{on_ring(8)};
    return true;
  } catch (const boost::system::system_error& refused) {
    std::printf("SKIP: no io_uring here: %s\n", refused.what());
    return false;
  }
}

// A stream with a read in flight.
struct reader {
  explicit reader(half_pair&& pair) : ends{std::move(pair)} {}

  void start() { ends.stream.async_read_some(boost::asio::buffer(room), got.record()); }
  std::string text() const { return {room.data(), got.bytes}; }

  half_pair ends;
  std::array<char, 64> room{};
  outcome got;
};

inline std::deque<reader> readers(fairway::completion_port& port, std::size_t count) {
  std::deque<reader> all;
  for (std::size_t i = 0; i < count; ++i) all.emplace_back(connect_peer(port));
  return all;
}

}  // namespace support
