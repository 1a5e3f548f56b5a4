// Whose a ring is: a number that is this thread's alone for the whole process (unlike an identifier
// of the system or an address in its storage it does not come again when the thread has ended), and
// one that is another in a child made by fork.
#pragma once

#include <atomic>
#include <cstdint>

#include <pthread.h>

namespace fairway::detail::io_uring {

inline std::uint64_t this_thread_number() noexcept {
  static std::atomic<std::uint64_t> last{0};
  static thread_local std::uint64_t mine = 0;
  // Relaxed: the numbers only have to differ.
  if (mine == 0) [[unlikely]] mine = last.fetch_add(1, std::memory_order_relaxed) + 1;
  return mine;
}

// How many forks lie between this process and the first one, as far as this library saw them.
inline std::atomic<unsigned> fork_count{0};

// Relaxed: it changes only in a child that has one thread. The kernel cannot be asked for each
// operation: getpid(2) is a system call.
inline unsigned this_process_number() noexcept {
  static const int counting = ::pthread_atfork(
      nullptr, nullptr, [] { fork_count.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(counting);
  return fork_count.load(std::memory_order_relaxed);
}

}  // namespace fairway::detail::io_uring
