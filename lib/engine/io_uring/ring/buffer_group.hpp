// The buffers from which the kernel takes one when data for a receive has come.
//
// A ring of descriptions of receive blocks, shared with the kernel (io_uring_register_buf_ring(3)),
// so that an idle receive holds no buffer. A block is in the group, or its data is with a user, or
// it is free in the port's pool. The group asks the pool for more when the kernel ran out, and
// starts with few.
//
// Threads: the owner of the port; `add` needs no entry into the kernel. Memory order: the tail is
// shared with the kernel, release.
#pragma once

#include "engine/buffer_pool.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <liburing.h>

namespace fairway::detail::io_uring {

class buffer_group {
 public:
  static constexpr unsigned short id = 1;

  explicit buffer_group(buffer_pool& pool);
  buffer_group(const buffer_group&) = delete;
  buffer_group& operator=(const buffer_group&) = delete;
  ~buffer_group();

  // Registers with a ring, and describes to it again what the last one held. False: refused, the
  // group stays empty. Before the ring is enabled, or on its thread.
  bool open(::io_uring& ring) noexcept;
  bool usable() const noexcept { return shared_ != nullptr; }

  // Blocks that the kernel may take from.
  unsigned inside() const noexcept { return inside_; }
  void add(receive_block& block) noexcept;
  // The block that a completion names; it is not in the group any more.
  receive_block& took(unsigned block_id) noexcept;
  // Fills up from the pool when less than half of what is wanted is there.
  void top_up() noexcept;
  // The kernel ran out: wants twice as many from now on.
  void want_more() noexcept;
  // Gives all blocks back to the pool; the ring they were described to is gone.
  void give_back() noexcept;

 private:
  void describe(receive_block& block) noexcept;

  buffer_pool& pool_;
  unsigned entries_;
  unsigned wanted_;
  unsigned inside_ = 0;
  std::vector<bool> member_;  // by block id
  io_uring_buf_ring* shared_ = nullptr;  // null: not registered
};

}  // namespace fairway::detail::io_uring
