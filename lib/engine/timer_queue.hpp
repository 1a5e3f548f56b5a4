// The port's deadlines: one 4-ary heap of operations, kept in user space.
//
// Arming a deadline later than the one an operation still has in the heap, which is what a stream
// with a read timeout does for every read, only stores the new time; so does disarming. The heap
// is mended when the stale entry comes up, at most once per old deadline. Owner thread only.
// Memory: 16 bytes an entry, growing by doubling; no allocation once grown.
#pragma once

#include "engine/operation.hpp"

#include <cstddef>
#include <vector>

namespace fairway::detail {

class timer_queue {
 public:
  // Makes `op.deadline` due at `when`. May allocate when the heap has never been this large.
  void arm(io_op& op, time_point when);
  // Forgets the deadline; the entry may stay in the heap until its time or `remove`.
  void disarm(io_op& op) noexcept;
  // As disarm, and the heap no longer refers to the operation.
  void remove(io_op& op) noexcept;

  // The earliest time at which `pop_due` may have something; time_point::max() when empty.
  time_point next() const noexcept {
    return heap_.empty() ? time_point::max() : heap_.front().when;
  }
  // An operation whose deadline is not after `now`, disarmed and removed; null when there is none.
  io_op* pop_due(time_point now) noexcept;

  std::size_t armed() const noexcept { return armed_; }

 private:
  struct entry {
    time_point when;
    io_op* op;
  };
  void put(std::size_t index, entry e) noexcept;
  void sift_up(std::size_t index, entry e) noexcept;
  void sift_down(std::size_t index, entry e) noexcept;
  void erase(std::size_t index) noexcept;

  std::vector<entry> heap_;
  std::size_t armed_ = 0;
};

}  // namespace fairway::detail
