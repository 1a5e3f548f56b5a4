#include <fairway/protocol/detail/byte_queue.hpp>

#include <boost/align/align_up.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace fairway::detail {

namespace {

// By hand: glibc keeps no cache of what an aligned `operator new` gives.
constexpr std::size_t boundary = 64;
constexpr std::size_t aligned_from = 4096;

std::byte* aligned(std::byte* memory) noexcept {
  return static_cast<std::byte*>(boost::alignment::align_up(memory, boundary));
}

}  // namespace

void byte_queue::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  make_room(bytes.size());
  std::memcpy(data_ + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

std::span<std::byte> byte_queue::prepare(std::size_t least) {
  make_room(least);
  return {data_ + end_, capacity_ - end_};
}

void byte_queue::shrink() noexcept {
  if (!empty()) return;
  begin_ = end_ = 0;
  if (capacity_ > idle_bytes) {
    memory_.reset();
    data_ = nullptr;
    capacity_ = 0;
  }
}

void byte_queue::make_room(std::size_t bytes) {
  if (empty()) begin_ = end_ = 0;
  if (capacity_ - end_ >= bytes) return;
  const std::size_t used = size();
  // Moving to the front pays only when half of the block becomes free by it.
  if (capacity_ >= used + bytes && begin_ >= capacity_ / 2) {
    std::memmove(data_, data_ + begin_, used);
  } else {
    const std::size_t wanted = std::max({idle_bytes, used + bytes, used * 2});
    const bool large = wanted >= aligned_from;
    std::unique_ptr<std::byte[]> grown{new std::byte[large ? wanted + boundary : wanted]};
    std::byte* const to = large ? aligned(grown.get()) : grown.get();
    if (used != 0) std::memcpy(to, data_ + begin_, used);
    memory_ = std::move(grown);
    data_ = to;
    capacity_ = wanted;
  }
  begin_ = 0;
  end_ = used;
}

}  // namespace fairway::detail
