// A reading of the steady clock that costs next to nothing and may be ahead.
#pragma once

#include <fairway/engine/clock.hpp>

#include <chrono>

namespace fairway::detail {

// Above the longest tick of the systems that have such a clock (10 ms, a hundred a second).
inline constexpr std::chrono::milliseconds ahead_max{16};

// Never earlier than std::chrono::steady_clock::now(), and ahead of it by `ahead_max` at most.
port_clock::time_point near_future() noexcept;

}  // namespace fairway::detail
