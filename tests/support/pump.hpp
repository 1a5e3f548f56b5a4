// Running a port by hand until something has happened.
#pragma once

#include "support/limits.hpp"

#include <fairway/engine/completion_port.hpp>

#include <chrono>

namespace support {

// Runs handlers one at a time until `done()`; false when the port ran dry or the guard time passed.
template <class Done>
bool pump_until(fairway::completion_port& port, Done&& done) {
  const auto limit = std::chrono::steady_clock::now() + guard_time;
  while (!done()) {
    if (port.stopped()) port.restart();
    if (port.run_one_until(limit) == 0 && !done()) return false;
  }
  return true;
}

// Runs the port to its end; false when work was left after the guard time.
inline bool run_dry(fairway::completion_port& port) {
  if (port.stopped()) port.restart();
  port.run_for(guard_time);
  return port.stopped();
}

}  // namespace support
