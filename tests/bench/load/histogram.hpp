// Times in a table of fixed size: 64 steps a power of two, so a percentile is right to 1.6 %, and
// recording one allocates nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

class histogram {
 public:
  struct summary {
    double p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0;
  };

  void record(std::uint64_t ns) {
    ++counts_[bucket(ns)];
    ++total_;
    most_ = std::max(most_, ns);
  }
  std::uint64_t total() const { return total_; }
  summary look() const {
    return {percentile_us(0.5), percentile_us(0.99), percentile_us(0.999), max_us()};
  }
  // Gives what it has to another one and is empty.
  void move_into(histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) other.counts_[i] += counts_[i];
    other.total_ += total_;
    other.most_ = std::max(other.most_, most_);
    *this = {};
  }
  double max_us() const { return static_cast<double>(most_) / 1000.0; }

  // The time that `share` of all stayed within.
  double percentile_us(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return std::min(middle(i) / 1000.0, max_us());
    }
    return max_us();
  }

 private:
  static constexpr unsigned steps_log = 6;
  static constexpr std::uint64_t steps = 1u << steps_log;

  static std::size_t bucket(std::uint64_t ns) {
    const unsigned width = static_cast<unsigned>(std::bit_width(ns));
    if (width <= steps_log) return ns;
    const unsigned shift = width - steps_log - 1;
    return (static_cast<std::size_t>(shift + 1) << steps_log) + ((ns >> shift) & (steps - 1));
  }
  static double middle(std::size_t index) {
    if (index < steps) return static_cast<double>(index);
    const unsigned shift = static_cast<unsigned>(index >> steps_log) - 1;
    const double low = static_cast<double>(((index & (steps - 1)) + steps) << shift);
    return low + static_cast<double>(std::uint64_t{1} << shift) / 2;
  }

  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>((65 - steps_log) * steps);
  std::uint64_t total_ = 0;
  std::uint64_t most_ = 0;
};

}  // namespace bench
