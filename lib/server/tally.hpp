// A number that one thread writes and any thread reads.
//
// Relaxed: each is a number of its own, and nothing else is read by it.
#pragma once

#include <atomic>
#include <cstdint>

namespace fairway::detail {

class tally {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace fairway::detail
