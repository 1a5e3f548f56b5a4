// Counts heap allocations of the calling thread.
//
//   support::allocation_count count;
//   port.poll();
//   CHECK(count.made() == 0);
//
// On Linux the whole malloc family is interposed: Asio takes coroutine frames from
// `aligned_alloc`, which a counting `operator new` does not see. On Windows only `operator new`
// is counted. A sanitizer brings its own allocator; nothing is counted then (`available` is false).
#pragma once

#include "support/limits.hpp"

#include <cstdint>

namespace support {

std::uint64_t allocations_of_this_thread() noexcept;

class allocation_count {
 public:
  static constexpr bool available = !thread_sanitizer && !address_sanitizer;

  allocation_count() noexcept : before_{allocations_of_this_thread()} {}
  std::uint64_t made() const noexcept { return allocations_of_this_thread() - before_; }

 private:
  std::uint64_t before_;
};

}  // namespace support
