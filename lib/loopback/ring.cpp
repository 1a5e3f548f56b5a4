#include "loopback/ring.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace fairway::detail::shm {

namespace {

constexpr unsigned lines_ahead = 2;
constexpr std::uint64_t claiming_max = 512;  // for writes up to this, which the fence dominates

// Moves `bytes` of one piece that neither wraps nor is much of the ring: most messages. False: it
// is not like that, and nothing was moved.
template <class Move>
bool move_at_once(const ring_place& place, std::uint64_t& index, word& shared, const io_vec& piece,
                  std::uint64_t bytes, Move move_piece) noexcept {
  const std::uint64_t offset = index & (place.capacity - 1);
  if (bytes > piece.size || bytes > place.capacity / 4 || bytes > place.capacity - offset) {
    return false;
  }
  move_piece(place.data + offset, static_cast<std::byte*>(piece.data),
             static_cast<std::size_t>(bytes));
  index += bytes;
  shared.store(index, std::memory_order_release);
  return true;
}

// memcpy in pieces. glibc leaves longer ones (2 KiB on, x86-64) to `rep movsb`, and GCC those of a
// known size to `rep movsq`. Where the target is not aligned AMD's Zen 3 does that many times
// slower than vectors (https://lunnova.dev/articles/ryzen-slow-short-rep-mov), as into a large
// block of malloc, which begins 16 bytes after a page: `sh tests/bench/run.sh --only bulk` tells.
void copy(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  constexpr std::size_t piece_max = 1024;
  while (size != 0) {
    const std::size_t piece = std::min(size, piece_max);
    std::memcpy(to, from, piece);
    to += piece;
    from += piece;
    size -= piece;
  }
}

// Asks for the line that a writer writes next, which its reader had last, so that the fence after
// the next publish does not wait for it. Nothing comes of it where it is not to be had.
void claim_line(std::byte* at) noexcept {
#if defined(__x86_64__)
  // The builtin asks for a line to read unless it is told of the processor.
  asm volatile("prefetchw %0" : : "m"(*at));
#else
  __builtin_prefetch(at, 1);
#endif
}

// Moves `bytes` between user memory and the ring from a free-running index on. What is moved is
// published a quarter of the ring at a time, so that the other end copies at the same time.
template <class Move>
void move(const ring_place& place, std::uint64_t& index, word& shared, const io_vec* pieces,
          std::uint64_t bytes, Move move_piece) noexcept {
  std::uint64_t unpublished = 0;
  for (; bytes != 0; ++pieces) {
    auto* user = static_cast<std::byte*>(pieces->data);
    auto left = static_cast<std::size_t>(std::min<std::uint64_t>(pieces->size, bytes));
    while (left != 0) {
      const std::uint64_t offset = index & (place.capacity - 1);
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(
          {left, place.capacity - offset, place.capacity / 4 - unpublished}));
      move_piece(place.data + offset, user, size);
      user += size;
      left -= size;
      index += size;
      bytes -= size;
      unpublished += size;
      if (unpublished != place.capacity / 4 && bytes != 0) continue;
      shared.store(index, std::memory_order_release);
      unpublished = 0;
    }
  }
}

}  // namespace

void full_fence() noexcept {
#if defined(__SANITIZE_THREAD__)
  // GCC's thread sanitizer knows no fences; an exchange of one shared word orders as well.
  static word stand_in{0};
  stand_in.exchange(0, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

std::uint64_t ring_writer::space(std::uint64_t wanted) noexcept {
  if (broken_) return 0;
  const std::uint64_t known = at_.capacity - (tail_ - head_);
  if (known >= wanted) return known;
  const std::uint64_t head = at_.shared->head.load(std::memory_order_acquire);
  if (head - head_ > tail_ - head_) {  // backwards, or past what was written
    broken_ = true;
    return 0;
  }
  head_ = head;
  return at_.capacity - (tail_ - head_);
}

std::size_t ring_writer::write(const io_vec* pieces, unsigned count) noexcept {
  std::uint64_t wanted = 0;
  for (unsigned i = 0; i < count; ++i) wanted += pieces[i].size;
  const std::uint64_t room = std::min(space(wanted), wanted);
  if (room == 0) return 0;
  const auto in = [](std::byte* ring, const std::byte* user, std::size_t n) {
    copy(ring, user, n);
  };
  if (!move_at_once(at_, tail_, at_.shared->tail, *pieces, room, in)) {
    move(at_, tail_, at_.shared->tail, pieces, room, in);
  }
  // Not in a full ring, where the reader is at these lines.
  if (room <= claiming_max && at_.capacity - (tail_ - head_) > claiming_max) {
    for (unsigned i = 1; i <= lines_ahead; ++i) {
      claim_line(at_.data + ((tail_ + i * 64) & (at_.capacity - 1)));
    }
  }
  return static_cast<std::size_t>(room);
}

bool ring_writer::wake_reader() noexcept {
  full_fence();
  word& armed = at_.shared->data_armed;
  // Relaxed: the fence orders it after the publish; the exchange decides.
  return armed.load(std::memory_order_relaxed) != 0 &&
         armed.exchange(0, std::memory_order_acq_rel) != 0;
}

void ring_writer::arm(std::uint64_t wanted) noexcept {
  assert(wanted != 0 && wanted <= at_.capacity);
  at_.shared->space_armed.store(wanted, std::memory_order_relaxed);  // a full fence follows
}

void ring_writer::disarm() noexcept {
  at_.shared->space_armed.store(0, std::memory_order_relaxed);  // a bell too many is harmless
}

bool ring_writer::take_back() noexcept {
  return at_.shared->space_armed.exchange(0, std::memory_order_acq_rel) != 0;
}

bool ring_writer::reader_closed() const noexcept {
  return at_.shared->closed.load(std::memory_order_acquire) != 0;
}

std::uint64_t ring_reader::refresh() noexcept {
  if (broken_) return 0;
  const std::uint64_t tail = at_.shared->tail.load(std::memory_order_acquire);
  if (tail - freed_ > at_.capacity || tail - freed_ < tail_ - freed_) {
    broken_ = true;
    return 0;
  }
  tail_ = tail;
  return tail_ - head_;
}

std::size_t ring_reader::read(const io_vec* pieces, unsigned count) noexcept {
  std::uint64_t wanted = 0;
  for (unsigned i = 0; i < count; ++i) wanted += pieces[i].size;
  std::uint64_t left = tail_ - head_;
  if (left < wanted) left = refresh();
  left = std::min(left, wanted);
  if (left == 0) return 0;
  const auto out = [](const std::byte* ring, std::byte* user, std::size_t n) {
    copy(user, ring, n);
  };
  // Released: the writer may overwrite only what has been copied out, and is not shown.
  word nowhere{0};
  word& freed = shows_ ? nowhere : at_.shared->head;
  if (!move_at_once(at_, head_, freed, *pieces, left, out)) {
    move(at_, head_, freed, pieces, left, out);
  }
  if (!shows_) freed_ = head_;
  return static_cast<std::size_t>(left);
}

std::size_t ring_reader::show(std::uint64_t most, std::byte*& bytes) noexcept {
  assert(!shows_);
  std::uint64_t left = tail_ - head_;
  if (left < most) left = refresh();
  const std::uint64_t offset = head_ & (at_.capacity - 1);
  left = std::min({left, most, at_.capacity - offset});
  if (left == 0) return 0;
  bytes = at_.data + offset;
  head_ += left;
  shows_ = true;
  return static_cast<std::size_t>(left);
}

void ring_reader::show_no_more() noexcept {
  assert(shows_);
  shows_ = false;
  freed_ = head_;
  at_.shared->head.store(head_, std::memory_order_release);
}

// Relaxed and without a fence: what was published last had one, so either the peer had armed before
// that, which is seen here, or it looked afterwards and knows of the room. The exchange decides.
bool ring_reader::wake_writer_for_any() noexcept {
  word& armed = at_.shared->space_armed;
  return room() != 0 && armed.load(std::memory_order_relaxed) != 0 &&
         armed.exchange(0, std::memory_order_acq_rel) != 0;
}

bool ring_reader::wake_writer() noexcept {
  full_fence();
  word& armed = at_.shared->space_armed;
  // Relaxed: the fence orders it after the publish; the exchange decides.
  const std::uint64_t wanted = armed.load(std::memory_order_relaxed);
  if (wanted == 0 || room() < wanted) return false;
  return armed.exchange(0, std::memory_order_acq_rel) != 0;
}

void ring_reader::arm() noexcept {
  at_.shared->data_armed.store(1, std::memory_order_relaxed);  // a full fence follows
}

void ring_reader::disarm() noexcept {
  at_.shared->data_armed.store(0, std::memory_order_relaxed);  // a bell too many is harmless
}

bool ring_reader::take_back() noexcept {
  return at_.shared->data_armed.exchange(0, std::memory_order_acq_rel) != 0;
}

}  // namespace fairway::detail::shm
