#include "engine/clock_os.hpp"

namespace fairway::detail {

// The tick count of the system is on another time line than the performance counter, which the
// steady clock reads; the two drift apart.
port_clock::time_point recent_time() noexcept { return std::chrono::steady_clock::now(); }

}  // namespace fairway::detail
