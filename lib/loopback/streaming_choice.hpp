// Whether a writer's bulk goes into the ring through the caches or past them: what has been faster.
//
// Where the two ends share a cache the bytes had better stay in it. Where they do not, each line of
// the ring is taken away from the other end twice a round, once by each; memory is faster. Which of
// them holds can change at any time, as a system or a hypervisor moves either end and tells
// nobody. So both are tried in turn: `kept` windows in one way, then a few in the other. The time
// of a window is that of the connection, with what the writer waits for; of a few windows the
// shortest counts, as others may have a pause in them. Past the caches only where that is clearly
// faster.
//
// No clock, no I/O. Threads: the writer's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace fairway::detail::shm {

class streaming_choice {
 public:
  static constexpr std::uint64_t window_bytes = 256 * 1024;
  static constexpr unsigned tried = 4;
  static constexpr unsigned kept = 128;

  bool streams() const noexcept { return streams_; }

  // True: a window is full, and `window_ended` is to be told.
  bool fills_window(std::uint64_t bytes) noexcept {
    copied_ += bytes;
    return copied_ >= window_bytes;
  }

  void window_ended(std::uint64_t now_ns) noexcept {
    const std::uint64_t took = std::min(now_ns - begun_ns_, second_ns);  // the first has no begin
    const std::uint64_t cost = took * 1000 / copied_;
    begun_ns_ = now_ns;
    copied_ = 0;
    if (left_ <= tried) least_[streams_] = std::min(least_[streams_], cost);
    if (--left_ != 0) return;
    if (trying_) {
      streams_ = least_[true] < least_[false] / 8 * 7;
      least_[false] = least_[true] = none;
    } else {
      streams_ = !streams_;
    }
    trying_ = !trying_;
    left_ = trying_ ? tried : kept;
  }

 private:
  static constexpr std::uint64_t second_ns = 1'000'000'000;
  static constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();

  bool streams_ = false;
  bool trying_ = false;     // the way that is not kept
  unsigned left_ = tried;   // windows, until it is the other way's turn
  std::uint64_t copied_ = 0;
  std::uint64_t begun_ns_ = 0;
  std::uint64_t least_[2] = {none, none};  // by way: picoseconds a byte
};

}  // namespace fairway::detail::shm
