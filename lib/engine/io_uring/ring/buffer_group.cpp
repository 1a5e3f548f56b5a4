#include "engine/io_uring/ring/buffer_group.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

#include <sys/mman.h>

namespace fairway::detail::io_uring {

namespace {

constexpr unsigned entries_max = 32768;  // io_uring_register_buf_ring(3)
constexpr unsigned wanted_first = 64;    // a turn's worth of handlers

std::size_t bytes_of(unsigned entries) noexcept { return entries * sizeof(io_uring_buf); }

}  // namespace

buffer_group::buffer_group(buffer_pool& pool)
    : pool_{pool},
      entries_{std::bit_ceil(std::min(pool.maximum(), entries_max))},
      wanted_{std::min(pool.maximum(), wanted_first)},
      member_(entries_, false) {}

buffer_group::~buffer_group() {
  assert(inside_ == 0);
  if (shared_ != nullptr) ::munmap(shared_, bytes_of(entries_));
}

bool buffer_group::open(::io_uring& ring) noexcept {
  // Fresh memory for each ring: the kernel may still look at the old one while that ends.
  if (shared_ != nullptr) ::munmap(shared_, bytes_of(entries_));
  shared_ = nullptr;
  void* memory = ::mmap(nullptr, bytes_of(entries_), PROT_READ | PROT_WRITE,
                        MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (memory == MAP_FAILED) return false;
  io_uring_buf_reg wanted{};
  wanted.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  wanted.ring_entries = entries_;
  wanted.bgid = id;
  if (io_uring_register_buf_ring(&ring, &wanted, 0) != 0) {
    ::munmap(memory, bytes_of(entries_));
    give_back();
    return false;
  }
  shared_ = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_ring_init(shared_);
  for (unsigned i = 0; i < entries_; ++i) {
    if (member_[i]) describe(*pool_.at(i));
  }
  return true;
}

void buffer_group::describe(receive_block& block) noexcept {
  io_uring_buf_ring_add(shared_, block.data(), static_cast<unsigned>(pool_.block_bytes()),
                        static_cast<unsigned short>(block.id),
                        io_uring_buf_ring_mask(entries_), 0);
  io_uring_buf_ring_advance(shared_, 1);
}

void buffer_group::add(receive_block& block) noexcept {
  assert(usable() && !member_[block.id] && block.out);
  member_[block.id] = true;
  ++inside_;
  describe(block);
}

receive_block& buffer_group::took(unsigned block_id) noexcept {
  assert(member_[block_id] && inside_ > 0);
  member_[block_id] = false;
  --inside_;
  return *pool_.at(block_id);
}

void buffer_group::top_up() noexcept {
  if (inside_ * 2 > wanted_) return;
  while (inside_ < wanted_) {
    receive_block* block = pool_.take();
    if (block == nullptr) return;
    add(*block);
  }
}

void buffer_group::want_more() noexcept {
  wanted_ = std::min({wanted_ * 2, entries_, pool_.maximum()});
}

void buffer_group::give_back() noexcept {
  for (unsigned i = 0; i < entries_; ++i) {
    if (!member_[i]) continue;
    member_[i] = false;
    pool_.give(*pool_.at(i));
  }
  inside_ = 0;
}

}  // namespace fairway::detail::io_uring
