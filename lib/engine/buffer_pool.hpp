// The buffers that `async_receive` hands out.
//
// Fixed size, made when first needed, at most `maximum` of them; each starts with its header, so
// giving one back needs no look-up and, from another thread, no allocation. When all are out a
// receive waits: back-pressure, not failure. Owner thread only, but for `receive_block::hop`.
//
// The bytes begin at a multiple of 64. Kernels copy with `rep movsb` where the processor says that
// it is fast; on AMD's Zen 3 it takes 30 times as long when (destination - source) modulo 4,096 is
// 1 to 31. A large block of malloc begins 16 bytes into a page: that, for messages of whole pages.
#pragma once

#include "engine/operation.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace fairway::detail {

struct receive_block {
  using give_function = void (*)(receive_block& block) noexcept;

  receive_block(port_core& c, std::uint32_t i) noexcept;  // its bytes follow it
  // Of bytes that are elsewhere, and not the pool's.
  receive_block(port_core& c, give_function g) noexcept;

  port_core* core;       // null once the port is gone: freed by whoever holds it
  std::byte* bytes;
  give_function give;    // null: the pool's. Runs on the owner, or anywhere once the port is gone
  std::uint32_t id;      // index in the pool
  bool out = false;      // held by a backend or by a user
  operation hop;         // gives the block back from a foreign thread

  std::byte* data() const noexcept { return bytes; }
  static constexpr std::size_t header_bytes = 64;
  static constexpr std::align_val_t boundary{64};
  // The pool's own: made and freed with its bytes.
  static void* allocate(std::size_t bytes) {
    return ::operator new(header_bytes + bytes, boundary);
  }
  static void free(receive_block* block) noexcept { ::operator delete(block, boundary); }
};
static_assert(sizeof(receive_block) <= receive_block::header_bytes);

class buffer_pool {
 public:
  buffer_pool(port_core& core, std::size_t bytes, unsigned maximum) noexcept
      : core_{core}, bytes_{bytes}, maximum_{maximum} {}
  buffer_pool(const buffer_pool&) = delete;
  buffer_pool& operator=(const buffer_pool&) = delete;
  ~buffer_pool();

  std::size_t block_bytes() const noexcept { return bytes_; }
  unsigned maximum() const noexcept { return maximum_; }
  receive_block* at(std::uint32_t id) noexcept { return blocks_[id]; }

  // Null when all are out or memory is short.
  receive_block* take() noexcept;
  void give(receive_block& block) noexcept;
  // A block that was made before is in the pool.
  bool any_free() const noexcept { return !free_.empty(); }
  // Memory was short for the first one: none can come back.
  bool none_made() const noexcept { return blocks_.empty(); }

 private:
  port_core& core_;
  std::size_t bytes_;
  unsigned maximum_;
  std::vector<receive_block*> blocks_;  // by id
  std::vector<std::uint32_t> free_;
};

}  // namespace fairway::detail
