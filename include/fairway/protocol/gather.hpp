// Where a codec puts the bytes of a message: a queue of bytes that leave in as few writes as
// possible.
//
//   out.copy(header);           // few bytes: copied
//   out.borrow(body);           // many: referred to until they have left
//
// `borrow` copies too when the bytes are few (below `borrow_bytes_min`) or when the message is a
// temporary of the caller. A message that was borrowed from is needed until its write completes,
// and its write completes when the bytes have left.
//
// Threads: one at a time. Lifetime: used inside `encode` only.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace fairway {

namespace detail {
class write_queue;
}

class gather {
 public:
  // Below this, copying costs less than one more piece in a gather list.
  static constexpr std::size_t borrow_bytes_min = 4096;

  void copy(std::span<const std::byte> bytes) { append(bytes.data(), bytes.size()); }
  void copy(std::string_view text) { append(text.data(), text.size()); }
  void copy(char byte) { append(&byte, 1); }
  void borrow(std::span<const std::byte> bytes) { refer(bytes.data(), bytes.size()); }
  void borrow(std::string_view text) { refer(text.data(), text.size()); }

  /// How many bytes this message has put here so far.
  std::size_t size() const noexcept;

  // For framed and the tests of codecs.
  enum class lending { allowed, refused };
  gather(detail::write_queue& queue, lending how) noexcept;
  gather(const gather&) = delete;
  gather& operator=(const gather&) = delete;
  bool borrowed() const noexcept { return borrowed_; }
  /// Takes back what this message has put here.
  void undo() noexcept;

 private:
  void append(const void* data, std::size_t size);
  void refer(const void* data, std::size_t size);

  detail::write_queue& queue_;
  std::size_t own_bytes_before_;
  std::size_t pieces_before_;
  lending how_;
  bool borrowed_ = false;
};

}  // namespace fairway
