// How long to look for something before sleeping until it comes.
//
// The whole window at first; half after each that found nothing, not at all after four, whole again
// after a find. A sleep that ended soon tells that looking might have been enough: it earns one
// window on trial. Trials that find nothing become rare, each twice as rare as the one before, so
// that two ends which share a processor, or whose waits are a little longer than any window, pay
// next to nothing for them.
//
// Threads: none of its own.
#pragma once

#include <fairway/engine/clock.hpp>

#include <algorithm>
#include <utility>

namespace fairway::detail {

class poll_window {
 public:
  using duration = port_clock::duration;

  // `whole` = 0: never.
  explicit poll_window(duration whole) noexcept : whole_{whole}, length_{whole} {}

  bool is_ever() const noexcept { return whole_ > duration::zero(); }
  duration length() const noexcept { return length_; }

  // Looked for `time` without a find: a window when it has become so long.
  void missed(duration time) noexcept {
    looked_ += time;
    in_vain_ += time;
    if (in_vain_ < length_) return;
    in_vain_ = duration::zero();
    length_ = ++misses_ >= misses_max ? duration::zero() : length_ / 2;
  }
  // That long, after a window or without one. Sleeps that something else ended are one wait.
  void slept(duration time) noexcept {
    if (waited_ == duration::max()) waited_ = duration::zero();
    waited_ += std::exchange(looked_, duration::zero()) + time;
  }
  // What ended the sleep is what looking might have found.
  void woken() noexcept {
    const duration waited = std::exchange(waited_, duration::max());
    if (length_ == whole_ || waited > short_windows_max * whole_) return;
    if (++short_waits_ < trial_after_) return;
    short_waits_ = 0;
    trial_after_ = std::min(2 * trial_after_, trial_after_max);
    length_ = whole_;
    misses_ = misses_max - 1;  // one window, unless it finds something
  }
  void found() noexcept {
    looked_ = in_vain_ = duration::zero();
    waited_ = duration::max();
    length_ = whole_;
    misses_ = 0;
    short_waits_ = 0;
    trial_after_ = trial_after_min;
  }

 private:
  static constexpr unsigned misses_max = 4;
  // A wait that is no longer than so many windows may be one of two ends that both sleep.
  static constexpr int short_windows_max = 2;
  // So many short waits, and after each trial that found nothing twice as many, until a trial.
  static constexpr unsigned trial_after_min = 1;
  static constexpr unsigned trial_after_max = 1024;

  duration whole_;
  duration length_;
  unsigned misses_ = 0;
  duration in_vain_{};                 // of the window that is not over
  duration looked_{};                  // in vain, before the sleep that follows
  duration waited_ = duration::max();  // looking and sleeping, since the last that came
  unsigned short_waits_ = 0;           // since the last whole window
  unsigned trial_after_ = trial_after_min;
};

}  // namespace fairway::detail
