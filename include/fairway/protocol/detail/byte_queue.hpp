// The bytes that arrived and that no message has used up yet, in one piece.
//
// Using bytes up moves a mark and nothing else, so what refers to them stays valid until `append`
// or `prepare`. It grows with what arrives, never with what a peer declares. Its memory begins at a
// multiple of 64, where the kernel copies fastest (lib/engine/buffer_pool.hpp).
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <span>

namespace fairway::detail {

class byte_queue {
 public:
  static constexpr std::size_t idle_bytes = 256;  // what an idle connection may keep

  std::span<const std::byte> bytes() const noexcept { return {data_.get() + begin_, size()}; }
  std::size_t size() const noexcept { return end_ - begin_; }
  bool empty() const noexcept { return begin_ == end_; }
  std::size_t capacity() const noexcept { return capacity_; }

  void consume(std::size_t bytes) noexcept { begin_ += bytes; }
  void append(std::span<const std::byte> bytes);
  // Room behind the bytes, at least `least`; `commit` says how much of it was filled.
  std::span<std::byte> prepare(std::size_t least);
  void commit(std::size_t bytes) noexcept { end_ += bytes; }
  // Gives back memory above `idle_bytes`. Does nothing unless empty.
  void shrink() noexcept;

 private:
  static constexpr std::align_val_t boundary{64};
  struct free {
    void operator()(std::byte* memory) const noexcept { ::operator delete(memory, boundary); }
  };

  void make_room(std::size_t bytes);

  std::unique_ptr<std::byte[], free> data_;  // null: nothing was kept yet
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace fairway::detail
