#include <fairway/protocol/detail/write_queue.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace fairway::detail {

namespace {
constexpr std::size_t first_bytes = write_queue::idle_bytes - 2;
}

void write_queue::append(const void* data, std::size_t size) {
  if (filling_.own.capacity() < first_bytes && size != 0) filling_.own.reserve(first_bytes);
  filling_.own.append(static_cast<const char*>(data), size);
  filling_.bytes += size;
}

void write_queue::refer(const void* data, std::size_t size) {
  if (size == 0) return;
  filling_.lent.push_back({filling_.own.size(), data, size});
  filling_.bytes += size;
}

std::size_t write_queue::lent_bytes(std::size_t from_piece) const noexcept {
  std::size_t sum = 0;
  for (std::size_t i = from_piece; i < filling_.lent.size(); ++i) sum += filling_.lent[i].size;
  return sum;
}

void write_queue::cut(std::size_t own_bytes, std::size_t pieces) noexcept {
  assert(own_bytes <= filling_.own.size() && pieces <= filling_.lent.size());
  filling_.bytes -= filling_.own.size() - own_bytes + lent_bytes(pieces);
  filling_.own.resize(own_bytes);
  filling_.lent.resize(pieces);
}

void write_queue::begin() {
  assert(leaving_.bytes == 0);
  filling_.swap(leaving_);
  filling_.clear();
  own_done_ = piece_ = piece_done_ = 0;
}

write_queue::buffers write_queue::next() {
  list_.clear();
  std::size_t own = own_done_;
  std::size_t done = piece_done_;
  for (std::size_t i = piece_;; ++i) {
    const bool last = i == leaving_.lent.size();
    const std::size_t end = last ? leaving_.own.size() : leaving_.lent[i].at;
    if (end > own) {
      list_.push_back({leaving_.own.data() + own, end - own});
      own = end;
    }
    if (last || list_.size() + 2 > pieces_max) break;
    const piece& lent = leaving_.lent[i];
    list_.push_back({static_cast<const char*>(lent.data) + done, lent.size - done});
    done = 0;
  }
  return list_;
}

bool write_queue::written(std::size_t bytes) noexcept {
  assert(bytes <= leaving_.bytes);
  leaving_.bytes -= bytes;
  written_ += bytes;
  while (bytes != 0) {
    const bool piece_left = piece_ < leaving_.lent.size();
    const std::size_t own_end = piece_left ? leaving_.lent[piece_].at : leaving_.own.size();
    if (own_done_ < own_end) {
      const std::size_t part = std::min(bytes, own_end - own_done_);
      own_done_ += part;
      bytes -= part;
      continue;
    }
    assert(piece_left);
    const std::size_t part = std::min(bytes, leaving_.lent[piece_].size - piece_done_);
    piece_done_ += part;
    bytes -= part;
    if (piece_done_ == leaving_.lent[piece_].size) {
      ++piece_;
      piece_done_ = 0;
    }
  }
  if (leaving_.bytes != 0) return true;
  leaving_.clear();
  // One block serves an answer at a time: the next message finds it where it is put.
  if (filling_.bytes == 0 && filling_.own.capacity() < leaving_.own.capacity()) {
    filling_.swap(leaving_);
  }
  return false;
}

void write_queue::written_at_once(std::size_t bytes) noexcept {
  assert(bytes <= one_piece().size());
  if (bytes != filling_.bytes) {
    begin();
    written(bytes);
    return;
  }
  written_ += bytes;
  filling_.clear();
}

void write_queue::drop_all() noexcept {
  filling_.clear();
  leaving_.clear();
}

void write_queue::shrink() noexcept {
  assert(bytes() == 0);
  // Swapped: assigning something empty would keep the memory.
  if (filling_.own.capacity() > idle_bytes) std::string{}.swap(filling_.own);
  std::string{}.swap(leaving_.own);
  std::vector<piece>{}.swap(filling_.lent);
  std::vector<piece>{}.swap(leaving_.lent);
  if (list_.capacity() > 2) std::vector<boost::asio::const_buffer>{}.swap(list_);
}

}  // namespace fairway::detail
