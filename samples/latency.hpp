// Round-trip times in a table of fixed size: 16 steps a power of two, so a percentile is right to
// about 6 %, from 1 ns to 500 years, and recording one allocates nothing.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>

namespace samples {

class latency {
 public:
  void record(std::chrono::nanoseconds time) {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 1));
    ++counts_[bucket(ns)];
    ++total_;
    most_ = std::max(most_, ns);
  }

  double max_us() const { return static_cast<double>(most_) / 1000.0; }

  // The time that `share` of all round trips stayed within.
  double percentile_us(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return std::min(static_cast<double>(top(i)) / 1000.0, max_us());
    }
    return max_us();
  }

 private:
  static constexpr unsigned steps_log = 4;

  static std::size_t bucket(std::uint64_t ns) {
    const unsigned width = static_cast<unsigned>(std::bit_width(ns));
    if (width <= steps_log) return ns;
    const unsigned shift = width - steps_log - 1;
    return (static_cast<std::size_t>(shift + 1) << steps_log) + ((ns >> shift) & 15);
  }
  static std::uint64_t top(std::size_t index) {
    if (index < 16) return index;
    const unsigned shift = static_cast<unsigned>(index >> steps_log) - 1;
    return ((index & 15) + 16 + 1) << shift;
  }

  std::array<std::uint64_t, 62 * 16> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t most_ = 0;
};

}  // namespace samples
