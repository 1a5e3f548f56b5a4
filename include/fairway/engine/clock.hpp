// The time a port lives by.
//
// Timers, deadlines, back-off and idle sweeps all read the port's clock. By default that is the
// steady clock. A `manual_clock` stands still until a test advances it, so an hour of idling is
// tested in a millisecond; a port on a manual clock waits in the kernel without a timeout and is
// woken by `advance`.
//
// Threads: a manual_clock may be read and advanced on any thread.
// Lifetime: a clock outlives every port that was made with it.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <vector>

namespace fairway {

class completion_port;
namespace detail {
class port_core;
}

class port_clock {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  virtual ~port_clock() = default;
  virtual time_point now() const noexcept = 0;

 protected:
  port_clock() = default;
  port_clock(const port_clock&) = delete;
  port_clock& operator=(const port_clock&) = delete;

 private:
  friend class detail::port_core;
  // A port tells the clock that it reads it, so that a jump in time can wake the port.
  virtual void attach(completion_port& port) = 0;
  virtual void detach(completion_port& port) noexcept = 0;
};

class manual_clock final : public port_clock {
 public:
  explicit manual_clock(time_point start = time_point{std::chrono::hours{1}}) noexcept;
  ~manual_clock() override;

  time_point now() const noexcept override;

  // Moves the clock forward and wakes the ports that read it. Timers run when their port runs.
  void advance(duration by);

 private:
  void attach(completion_port& port) override;
  void detach(completion_port& port) noexcept override;

  std::atomic<duration::rep> now_;
  std::mutex mutex_;
  std::vector<completion_port*> ports_;
};

}  // namespace fairway
