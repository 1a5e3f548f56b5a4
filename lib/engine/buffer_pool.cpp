#include "engine/buffer_pool.hpp"

#include "engine/port_core.hpp"

#include <cassert>

namespace fairway::detail {

namespace {

void give_back(operation* base, owner_side& side, act) {
  auto* block = reinterpret_cast<receive_block*>(reinterpret_cast<std::byte*>(base) -
                                                 offsetof(receive_block, hop));
  static_cast<port_core&>(side).give_block(*block);
}

}  // namespace

receive_block::receive_block(port_core& c, std::uint32_t i) noexcept
    : core{&c},
      bytes{reinterpret_cast<std::byte*>(this) + header_bytes},
      give{nullptr},
      id{i},
      hop{&give_back} {}

receive_block::receive_block(port_core& c, give_function g) noexcept
    : core{&c}, bytes{nullptr}, give{g}, id{0}, hop{&give_back} {}

buffer_pool::~buffer_pool() {
  for (receive_block* block : blocks_) {
    if (block->out) {
      block->core = nullptr;  // its holder frees it
    } else {
      receive_block::free(block);
    }
  }
}

receive_block* buffer_pool::take() noexcept {
  if (free_.empty()) {
    if (blocks_.size() >= maximum_) return nullptr;
    try {
      // So that giving back never allocates; by doubling, as each growth copies all.
      if (blocks_.size() == blocks_.capacity()) blocks_.reserve(2 * blocks_.size() + 8);
      free_.reserve(blocks_.capacity());
      void* memory = receive_block::allocate(bytes_);
      const auto id = static_cast<std::uint32_t>(blocks_.size());
      blocks_.push_back(::new (memory) receive_block(core_, id));
      free_.push_back(id);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  receive_block* block = blocks_[free_.back()];
  free_.pop_back();
  block->out = true;
  return block;
}

void buffer_pool::give(receive_block& block) noexcept {
  assert(block.out);
  block.out = false;
  free_.push_back(block.id);
}

}  // namespace fairway::detail
