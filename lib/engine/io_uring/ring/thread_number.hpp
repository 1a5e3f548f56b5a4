// A number that is this thread's alone for the whole process: unlike an identifier of the system
// or an address in its storage, it does not come again when the thread has ended.
#pragma once

#include <atomic>
#include <cstdint>

namespace fairway::detail::io_uring {

inline std::uint64_t this_thread_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  static thread_local std::uint64_t mine = 0;
  // Relaxed: the numbers only have to differ.
  if (mine == 0) [[unlikely]] mine = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return mine;
}

}  // namespace fairway::detail::io_uring
