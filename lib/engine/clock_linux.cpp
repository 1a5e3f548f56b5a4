#include "engine/clock_os.hpp"

#include <time.h>

namespace fairway::detail {

// The time of the last tick (clock_gettime(2)), on the time line of CLOCK_MONOTONIC, which is what
// the steady clock reads.
port_clock::time_point recent_time() noexcept {
  timespec t{};
  if (::clock_gettime(CLOCK_MONOTONIC_COARSE, &t) != 0) return std::chrono::steady_clock::now();
  return port_clock::time_point{std::chrono::seconds{t.tv_sec} +
                                std::chrono::nanoseconds{t.tv_nsec}};
}

}  // namespace fairway::detail
