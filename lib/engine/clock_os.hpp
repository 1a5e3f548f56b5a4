// A reading of the steady clock that costs next to nothing and may be old.
#pragma once

#include <fairway/engine/clock.hpp>

#include <chrono>

namespace fairway::detail {

// Never later than std::chrono::steady_clock::now(), and behind it by less than `recent_lag`.
port_clock::time_point recent_time() noexcept;

// Above the longest tick of the systems that have such a clock (10 ms, a hundred a second).
inline constexpr std::chrono::milliseconds recent_lag{16};

}  // namespace fairway::detail
