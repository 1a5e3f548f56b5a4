// A counting semaphore for what tests count between threads.
//
// Not std::counting_semaphore: where libstdc++ has no futex (Windows), that of GCC 12 looks at its
// count and only then takes the lock to wait, so a release between the two wakes nobody
// (bits/atomic_wait.h, __waiter_pool::_M_do_wait).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace support {

class tickets {
 public:
  void release() noexcept {
    // Told under the lock: whoever takes the ticket may end the semaphore at once.
    const std::lock_guard lock{mutex_};
    ++count_;
    changed_.notify_one();
  }
  void acquire() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return count_ != 0; });
    --count_;
  }
  bool try_acquire() {
    const std::lock_guard lock{mutex_};
    return take();
  }
  bool try_acquire_for(std::chrono::steady_clock::duration most) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, most, [this] { return count_ != 0; });
    return take();
  }

 private:
  bool take() noexcept {
    if (count_ == 0) return false;
    --count_;
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t count_ = 0;
};

}  // namespace support
