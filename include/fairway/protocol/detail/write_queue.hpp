// The bytes that wait to be written: copied ones in one block, borrowed ones between them.
//
// Two batches change places: one fills while the other one is in flight, so that whatever gathered
// meanwhile leaves in the next write. Idle, it keeps at most `idle_bytes`, in one of the two.
#pragma once

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairway::detail {

class write_queue {
 public:
  static constexpr std::size_t idle_bytes = 192;
  static constexpr std::size_t pieces_max = 64;  // of one write, as the engine takes them

  using buffers = std::span<const boost::asio::const_buffer>;

  void append(const void* data, std::size_t size);
  void refer(const void* data, std::size_t size);
  std::size_t own_bytes() const noexcept { return filling_.own.size(); }
  std::size_t pieces() const noexcept { return filling_.lent.size(); }
  std::size_t lent_bytes(std::size_t from_piece) const noexcept;
  void cut(std::size_t own_bytes, std::size_t pieces) noexcept;

  bool nothing_waits() const noexcept { return filling_.bytes == 0; }
  std::size_t waiting_bytes() const noexcept { return filling_.bytes; }
  std::size_t leaving_bytes() const noexcept { return leaving_.bytes; }
  // The bytes that wait, where they are in one piece and nothing is in flight; else empty. What of
  // them left at once is told by `written_at_once`.
  std::string_view one_piece() const noexcept {
    return filling_.lent.empty() && leaving_.bytes == 0 ? filling_.own : std::string_view{};
  }
  void written_at_once(std::size_t bytes) noexcept;
  // Waiting and in flight.
  std::size_t bytes() const noexcept { return filling_.bytes + leaving_.bytes; }
  std::uint64_t queued_total() const noexcept { return written_ + bytes(); }
  std::uint64_t written_total() const noexcept { return written_; }

  // Preconditions: nothing is in flight. What waits is now in flight.
  void begin();
  // What of that is still to be written.
  buffers next();
  // So many bytes were. Returns true while some are left.
  bool written(std::size_t bytes) noexcept;
  void drop_all() noexcept;
  // Gives back memory that an idle connection should not hold. Preconditions: bytes() == 0.
  void shrink() noexcept;
  std::size_t capacity() const noexcept {
    return filling_.capacity() + leaving_.capacity() +
           list_.capacity() * sizeof(boost::asio::const_buffer);
  }

 private:
  struct piece {
    std::size_t at;  // comes before the own byte of this number
    const void* data;
    std::size_t size;
  };
  struct batch {
    std::string own;
    std::vector<piece> lent;
    std::size_t bytes = 0;  // left to write
    void clear() noexcept {
      own.clear();
      lent.clear();
      bytes = 0;
    }
    std::size_t capacity() const noexcept {
      return own.capacity() + lent.capacity() * sizeof(piece);
    }
    // Cheaper than three moves.
    void swap(batch& other) noexcept {
      own.swap(other.own);
      lent.swap(other.lent);
      std::swap(bytes, other.bytes);
    }
  };

  batch filling_;
  batch leaving_;
  std::size_t own_done_ = 0;    // of leaving_.own
  std::size_t piece_ = 0;       // of leaving_.lent, the next one
  std::size_t piece_done_ = 0;  // bytes of that one
  std::uint64_t written_ = 0;
  std::vector<boost::asio::const_buffer> list_;
};

// A buffer sequence that refers to a list kept elsewhere until the write completes.
class buffer_view {
 public:
  explicit buffer_view(write_queue::buffers list) noexcept
      : first_{list.data()}, size_{list.size()} {}
  const boost::asio::const_buffer* begin() const noexcept { return first_; }
  const boost::asio::const_buffer* end() const noexcept { return first_ + size_; }

 private:
  const boost::asio::const_buffer* first_;
  std::size_t size_;
};

}  // namespace fairway::detail
