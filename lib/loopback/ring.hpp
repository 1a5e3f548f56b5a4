// One direction of a channel: a ring of bytes between one writer and one reader.
//
// Own index and capacity are private; the shared copy of an index is only published. The peer's
// index is loaded once into a local and checked; after a lie the ring is `broken`, moves nothing.
// Memory order: bytes are copied before the release store of the index and after its acquire load.
// `publish` and `park` pair by full fences, see layout.hpp. Bulk (a quarter of the ring and more)
// goes in through the caches or past them, whichever streaming_choice.hpp finds the faster.
//
// The reader may show bytes where they are: what it reads meanwhile is copied, and the writer gets
// all of that room back at once, when it is shown no more.
//
// Threads: each object belongs to one thread; the two ends of a ring may be on any two threads or
// processes.
#pragma once

#include "loopback/layout.hpp"
#include "loopback/streaming_choice.hpp"

#include <fairway/engine/detail/initiate.hpp>

#include <cstddef>
#include <cstdint>

namespace fairway::detail::shm {

// What both ends know of a ring for themselves.
struct ring_place {
  direction* shared = nullptr;
  std::byte* data = nullptr;
  std::uint64_t capacity = 0;  // a power of two
  std::uint64_t start = 0;     // where the indices begin; not zero in tests only
};

class ring_writer {
 public:
  ring_writer() = default;
  explicit ring_writer(const ring_place& place) noexcept
      : at_{place}, tail_{place.start}, head_{place.start} {}

  bool broken() const noexcept { return broken_; }
  std::uint64_t capacity() const noexcept { return at_.capacity; }
  // Free bytes, with the peer's index loaded anew when fewer than `wanted` are known to be free.
  std::uint64_t space(std::uint64_t wanted) noexcept;
  // Copies what fits and publishes it; returns the number of bytes.
  std::size_t write(const io_vec* pieces, unsigned count) noexcept;
  // After a publish or a mark: true when the reader waits and is to be rung by the caller.
  bool wake_reader() noexcept;
  // The caller looks at `space` again after the fence that follows (see `full_fence`).
  void arm(std::uint64_t wanted) noexcept;
  void disarm() noexcept;
  // Disarms, where each bell counts. False: the peer took the token, and its bell is owed.
  bool take_back() noexcept;
  // All that was published has been read.
  bool all_read() noexcept { return space(at_.capacity) == at_.capacity; }
  // The reader has read something.
  bool any_read() noexcept { return space(at_.capacity) != 0 && head_ != at_.start; }
  // Something was written.
  bool used() const noexcept { return tail_ != at_.start; }
  bool reader_closed() const noexcept;

 private:
  void write_bulk(const io_vec* pieces, std::uint64_t bytes) noexcept;

  ring_place at_;
  std::uint64_t tail_ = 0;
  std::uint64_t head_ = 0;  // the peer's, as last loaded
  streaming_choice choice_;
  bool broken_ = false;
};

class ring_reader {
 public:
  ring_reader() = default;
  explicit ring_reader(const ring_place& place) noexcept
      : at_{place}, head_{place.start}, tail_{place.start}, freed_{place.start} {}

  bool broken() const noexcept { return broken_; }
  // Bytes to read; the peer's index is loaded anew when none are known.
  std::uint64_t available() noexcept { return tail_ != head_ ? tail_ - head_ : refresh(); }
  bool any_known() const noexcept { return tail_ != head_; }
  std::uint64_t refresh() noexcept;
  std::size_t read(const io_vec* pieces, unsigned count) noexcept;
  // After a read: true when the writer waits for no more space than there is, and is to be rung.
  bool wake_writer() noexcept;

  // Reads up to `most` bytes that lie together, where they are; zero: there are none. Only while
  // nothing is shown.
  std::size_t show(std::uint64_t most, std::byte*& bytes) noexcept;
  bool shows() const noexcept { return shows_; }
  // The room of what was shown, and of what has been read since, is the writer's again.
  void show_no_more() noexcept;
  // What is free for all that is known: the writer may have used some of it already.
  std::uint64_t room() const noexcept { return at_.capacity - (tail_ - freed_); }
  // For a reader that waits while something is shown: its writer is to fill what room there is,
  // even if it sleeps until there is more. True: it is to be rung.
  bool wake_writer_for_any() noexcept;

  void arm() noexcept;
  void disarm() noexcept;
  bool take_back() noexcept;  // as the writer's

 private:
  ring_place at_;
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;   // the peer's, as last loaded
  std::uint64_t freed_ = 0;  // as last published: `head_`, or where what is shown begins
  bool shows_ = false;
  bool broken_ = false;
};

// Between publishing and looking who waits, and between arming and looking again.
void full_fence() noexcept;

}  // namespace fairway::detail::shm
