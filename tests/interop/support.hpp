// Servers and their clients on the path that FAIRWAY_TEST_PATH names.
#pragma once

#include "support/net.hpp"

#include <fairway/server/server.hpp>

namespace support {

inline fairway::loopback asked_loopback() {
  return over_shared_memory() ? fairway::loopback::shared_memory : fairway::loopback::off;
}

inline fairway::server_options server_on_path() {
  fairway::server_options options;
  options.listen.loopback = asked_loopback();
  return options;
}

inline raw_peer connect_on_path(const fairway::endpoint& to) {
  return over_shared_memory() ? raw_peer::connect_fast(to) : raw_peer::connect(to);
}

// Preconditions: both ends have transferred something.
inline void check_path(const fairway::stream& s) {
  const bool fast = s.path() == fairway::path::shared_memory;
  CHECK_MESSAGE(fast == over_shared_memory(), to_string(s.path_reason()));
}

}  // namespace support
