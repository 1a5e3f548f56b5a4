#include "loopback/ring.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace fairway::detail::shm {

namespace {

// Moves `size` bytes between a piece of user memory and the ring at a free-running index.
template <class Copy>
void at_index(const ring_place& place, std::uint64_t index, std::byte* user, std::size_t size,
              Copy copy) noexcept {
  const auto offset = static_cast<std::size_t>(index & (place.capacity - 1));
  const std::size_t first = std::min(size, static_cast<std::size_t>(place.capacity) - offset);
  copy(place.data + offset, user, first);
  if (first < size) copy(place.data, user + first, size - first);
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
  std::uint64_t room = std::min(space(wanted), wanted);
  const auto total = static_cast<std::size_t>(room);
  std::uint64_t tail = tail_;
  for (unsigned i = 0; i < count && room != 0; ++i) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(pieces[i].size, room));
    at_index(at_, tail, static_cast<std::byte*>(pieces[i].data), size,
             [](std::byte* ring, const std::byte* user, std::size_t n) {
               std::memcpy(ring, user, n);
             });
    tail += size;
    room -= size;
  }
  if (total != 0) {
    tail_ = tail;
    at_.shared->tail.store(tail, std::memory_order_release);
  }
  return total;
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

bool ring_writer::reader_closed() const noexcept {
  return at_.shared->closed.load(std::memory_order_acquire) != 0;
}

std::uint64_t ring_reader::refresh() noexcept {
  if (broken_) return 0;
  const std::uint64_t tail = at_.shared->tail.load(std::memory_order_acquire);
  if (tail - head_ > at_.capacity || tail - head_ < tail_ - head_) {
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
  const auto total = static_cast<std::size_t>(left);
  std::uint64_t head = head_;
  for (unsigned i = 0; i < count && left != 0; ++i) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(pieces[i].size, left));
    at_index(at_, head, static_cast<std::byte*>(pieces[i].data), size,
             [](const std::byte* ring, std::byte* user, std::size_t n) {
               std::memcpy(user, ring, n);
             });
    head += size;
    left -= size;
  }
  if (total != 0) {
    head_ = head;
    // Release: the writer may overwrite only what has been copied out.
    at_.shared->head.store(head, std::memory_order_release);
  }
  return total;
}

bool ring_reader::wake_writer() noexcept {
  full_fence();
  word& armed = at_.shared->space_armed;
  // Relaxed: the fence orders it after the publish; the exchange decides.
  const std::uint64_t wanted = armed.load(std::memory_order_relaxed);
  if (wanted == 0 || at_.capacity - (tail_ - head_) < wanted) return false;
  return armed.exchange(0, std::memory_order_acq_rel) != 0;
}

void ring_reader::arm() noexcept {
  at_.shared->data_armed.store(1, std::memory_order_relaxed);  // a full fence follows
}

void ring_reader::disarm() noexcept {
  at_.shared->data_armed.store(0, std::memory_order_relaxed);  // a bell too many is harmless
}

}  // namespace fairway::detail::shm
