#include "loopback/fast_path.hpp"

#include "loopback/channel.hpp"

namespace fairway::detail::shm {

namespace {

channel& channel_of(io_object& stream) noexcept { return static_cast<channel&>(*stream.attached); }

}  // namespace

result<void> shutdown(io_object& stream, bool receive, bool send) noexcept {
  return channel_of(stream).shutdown(receive, send);
}

std::size_t write_now(io_object& stream, const io_vec* from, unsigned count) noexcept {
  return channel_of(stream).write_now(from, count);
}

std::size_t read_now(io_object& stream, const io_vec* into, unsigned count,
                     std::size_t least) noexcept {
  return channel_of(stream).read_now(into, count, least);
}

bool leave(io_object& stream) noexcept { return channel_of(stream).leave(); }

}  // namespace fairway::detail::shm
