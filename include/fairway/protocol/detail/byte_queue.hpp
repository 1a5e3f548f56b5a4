// The bytes that arrived and that no message has used up yet, in one piece.
//
// Using bytes up moves a mark and nothing else, so what refers to them stays valid until `append`
// or `prepare`. It grows with what arrives, never with what a peer declares. A block of a page or
// more begins at a multiple of 64, where kernels copy fastest (lib/engine/buffer_pool.hpp).
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace fairway::detail {

class byte_queue {
 public:
  static constexpr std::size_t idle_bytes = 256;  // what an idle connection may keep

  byte_queue() = default;
  byte_queue(const byte_queue&) = delete;
  byte_queue& operator=(const byte_queue&) = delete;

  std::span<const std::byte> bytes() const noexcept { return {data_ + begin_, size()}; }
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
  void make_room(std::size_t bytes);

  std::unique_ptr<std::byte[]> memory_;  // null: nothing was kept yet
  std::byte* data_ = nullptr;            // in it
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace fairway::detail
