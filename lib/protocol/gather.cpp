#include <fairway/protocol/gather.hpp>

#include <fairway/protocol/detail/write_queue.hpp>

namespace fairway {

gather::gather(detail::write_queue& queue, lending how) noexcept
    : queue_{queue},
      own_bytes_before_{queue.own_bytes()},
      pieces_before_{queue.pieces()},
      how_{how} {}

std::size_t gather::size() const noexcept {
  return queue_.own_bytes() - own_bytes_before_ + queue_.lent_bytes(pieces_before_);
}

void gather::undo() noexcept {
  queue_.cut(own_bytes_before_, pieces_before_);
  borrowed_ = false;
}

void gather::append(const void* data, std::size_t size) { queue_.append(data, size); }

void gather::refer(const void* data, std::size_t size) {
  if (how_ == lending::refused || size < borrow_bytes_min) {
    queue_.append(data, size);
  } else {
    queue_.refer(data, size);
    borrowed_ = true;
  }
}

}  // namespace fairway
