#include <fairway/protocol/detail/byte_queue.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace fairway::detail {

void byte_queue::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  make_room(bytes.size());
  std::memcpy(data_.get() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

std::span<std::byte> byte_queue::prepare(std::size_t least) {
  make_room(least);
  return {data_.get() + end_, capacity_ - end_};
}

void byte_queue::shrink() noexcept {
  if (!empty()) return;
  begin_ = end_ = 0;
  if (capacity_ > idle_bytes) {
    data_.reset();
    capacity_ = 0;
  }
}

void byte_queue::make_room(std::size_t bytes) {
  if (empty()) begin_ = end_ = 0;
  if (capacity_ - end_ >= bytes) return;
  const std::size_t used = size();
  // Moving to the front pays only when half of the block becomes free by it.
  if (capacity_ >= used + bytes && begin_ >= capacity_ / 2) {
    std::memmove(data_.get(), data_.get() + begin_, used);
  } else {
    const std::size_t wanted = std::max({idle_bytes, used + bytes, used * 2});
    std::unique_ptr<std::byte[], free> grown{
        static_cast<std::byte*>(::operator new(wanted, boundary))};
    if (used != 0) std::memcpy(grown.get(), data_.get() + begin_, used);
    data_ = std::move(grown);
    capacity_ = wanted;
  }
  begin_ = 0;
  end_ = used;
}

}  // namespace fairway::detail
