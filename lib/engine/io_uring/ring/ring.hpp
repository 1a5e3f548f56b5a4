// One io_uring instance: its set-up, its two queues and its end. It knows no operations.
//
// Set-up asks for everything that makes a ring of one thread fast (SINGLE_ISSUER, DEFER_TASKRUN,
// see io_uring_setup(2)) and drops, one by one, what the kernel refuses. Such a ring is made
// disabled and belongs to the thread that enables it: no other thread can enter or register with
// it. A ring that is not `bound` may be entered by any thread, one at a time.
//
// The end of a ring is asynchronous: closing it cancels what it holds, some time later (measured:
// 40 ms). A pipe tells when: its write end is a registered file of the ring, so the read end sees
// the hang-up when the kernel has dropped the ring and every request in it.
//
// Threads: the owner of the port. Memory order: the queues' heads and tails are shared with the
// kernel; acquire and release, as io_uring(7) asks.
#pragma once

#include "engine/operation.hpp"

#include <string>

#include <liburing.h>

namespace fairway::detail::io_uring {

class ring {
 public:
  using setup_call = int (*)(unsigned entries, ::io_uring* made, io_uring_params* wanted);

  // Throws system_error with the kernel's reason. `setup` is replaced by tests.
  ring(unsigned entries, bool bound, setup_call setup = &io_uring_queue_init_params);
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring();

  // "without X, Y": the flags that the kernel refused; empty when it took all.
  const std::string& dropped() const noexcept { return dropped_; }
  bool bound() const noexcept { return (ring_.flags & IORING_SETUP_SINGLE_ISSUER) != 0; }
  ::io_uring& native() noexcept { return ring_; }

  // Binds the ring to this thread. Returns 0 or an errno value.
  int enable() noexcept;
  // Null: the submission queue is full.
  io_uring_sqe* next() noexcept { return io_uring_get_sqe(&ring_); }
  unsigned unsubmitted() const noexcept;
  // Completions that only an entry can bring: deferred work, or an overflow to be flushed.
  bool wants_entry() const noexcept;
  bool overflowed() const noexcept;
  bool empty() const noexcept;

  // One io_uring_enter: submits all, waits for `count` completions until `until`, runs deferred
  // work. Returns the number submitted or a negated errno value.
  int enter(unsigned count, time_point until) noexcept;

  // Takes the oldest completion out of the queue; false: there is none.
  bool take(io_uring_cqe& copy) noexcept;

  // Ends the ring; returns when the kernel has let go of everything, or after `patience`.
  void end(duration patience) noexcept;

 private:
  void probe();

  ::io_uring ring_{};
  int gone_ = -1;  // read end of the pipe; -1: none
  bool open_ = false;
  unsigned enter_flags_ = 0;
  std::string dropped_;
};

}  // namespace fairway::detail::io_uring
