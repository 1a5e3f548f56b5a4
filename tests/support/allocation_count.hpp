// Counts heap allocations of the calling thread, or lets one of them fail.
//
//   support::allocation_count count;
//   port.poll();
//   CHECK(count.made() == 0);
//
//   for (std::uint64_t nth = 1;; ++nth) {
//     support::allocation_failure failure{nth};
//     ...
//     if (!failure.happened()) break;
//   }
//
// On Linux the whole malloc family is interposed: Asio takes coroutine frames from
// `aligned_alloc`, which a counting `operator new` does not see. On Windows only `operator new`
// is counted. A sanitizer brings its own allocator; nothing is counted then (`available` is false).
#pragma once

#include "support/limits.hpp"

#include <cstdint>

namespace support {

std::uint64_t allocations_of_this_thread() noexcept;
// 0: none.
void fail_allocation_of_this_thread(std::uint64_t number) noexcept;

class allocation_count {
 public:
  static constexpr bool available = !thread_sanitizer && !address_sanitizer;

  allocation_count() noexcept : before_{allocations_of_this_thread()} {}
  std::uint64_t made() const noexcept { return allocations_of_this_thread() - before_; }

 private:
  std::uint64_t before_;
};

// The `nth` allocation from now on fails, counted from 1, while this lives.
class allocation_failure {
 public:
  // Elsewhere only `operator new` would fail.
  static constexpr bool available = allocation_count::available && !on_windows;

  explicit allocation_failure(std::uint64_t nth) noexcept
      : number_{allocations_of_this_thread() + nth} {
    fail_allocation_of_this_thread(number_);
  }
  allocation_failure(const allocation_failure&) = delete;
  allocation_failure& operator=(const allocation_failure&) = delete;
  ~allocation_failure() { fail_allocation_of_this_thread(0); }
  bool happened() const noexcept { return allocations_of_this_thread() >= number_; }

 private:
  std::uint64_t number_;
};

}  // namespace support
