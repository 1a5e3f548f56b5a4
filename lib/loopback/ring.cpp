#include "loopback/ring.hpp"

#include "loopback/copy.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>

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

std::uint64_t now_ns() noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
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
  if (wanted >= at_.capacity / 4) {
    write_bulk(pieces, room);
  } else if (!move_at_once(at_, tail_, at_.shared->tail, *pieces, room, copy_into_ring)) {
    move(at_, tail_, at_.shared->tail, pieces, room, copy_into_ring);
  }
  // Of the lines that are written next the reader had the bytes last: asked for now, they are here
  // when the fence of the next wake_reader waits for the stores into them. Not in a full ring,
  // where the reader is at these lines.
  if (room <= claiming_max && at_.capacity - (tail_ - head_) > claiming_max) {
    for (unsigned i = 1; i <= lines_ahead; ++i) {
      claim_line(at_.data + ((tail_ + i * 64) & (at_.capacity - 1)));
    }
  }
  return static_cast<std::size_t>(room);
}

void ring_writer::write_bulk(const io_vec* pieces, std::uint64_t bytes) noexcept {
  if (can_stream && choice_.streams()) {
    move(at_, tail_, at_.shared->tail, pieces, bytes, stream_into_ring);
  } else {
    move(at_, tail_, at_.shared->tail, pieces, bytes, copy_into_ring);
  }
  if (can_stream && choice_.fills_window(bytes)) choice_.window_ended(now_ns());
}

bool ring_writer::wake_reader() noexcept {
  // The tail is to be stored before the armed word is loaded, which release and acquire do not
  // give: with the store still on its way this end would find nobody waiting, while the reader has
  // armed, has looked again at the old tail and sleeps, for good. The reader's fence is the same.
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
    copy_out_of_ring(user, ring, n);
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
