// A buffer that the engine filled: what `stream::async_receive` completes with.
//
//   while (auto r = co_await s.async_receive()) consume(r.value().data(), r.value().size());
//
// Move-only. The bytes stay valid until it is destroyed; then the buffer goes back to its port,
// also from another thread. Buffers are bounded (port_options): holding many of them holds up
// receiving on that port. Empty after a move and when default-constructed.
//
// Of a stream in shared memory it is a view, one at a time: no copy, the bytes are where the peer
// has put them, in memory that both processes have. Two things follow.
// - A hostile peer can change the bytes of a view at any moment, also between two looks at one of
//   them: parse each byte once, or copy first what is checked and then used. `framed` and
//   `async_read_some` copy. What came by TCP, or while another view was out, is no view.
// - Its room is the peer's again only when it is destroyed, with the room of all that is read
//   meanwhile: copy what is to be kept. A peer that has filled the rest waits, and a read that can
//   bring nothing ends with error::ring_is_held (stream.hpp). Until then its bytes count as unread
//   (who dies with them resets the peer), its memory as used (loopback_memory), whatever closes.
//
// Threads: any, one at a time; what another thread gives back is there once the port has taken it.
// Lifetime: may outlive the stream and the port; another thread must not give one back while the
// port is being destroyed. In a child made by fork a view is the parent's: not to be read.
#pragma once

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <span>
#include <utility>

namespace fairway {

namespace detail {
struct receive_block;
void give_received(receive_block* block) noexcept;
const std::byte* received_data(const receive_block* block) noexcept;
}  // namespace detail

class received {
 public:
  received() = default;
  received(received&& other) noexcept
      : block_{std::exchange(other.block_, nullptr)}, size_{std::exchange(other.size_, 0)} {}
  received& operator=(received&& other) noexcept {
    received moved{std::move(other)};
    std::swap(block_, moved.block_);
    std::swap(size_, moved.size_);
    return *this;
  }
  ~received() {
    if (block_ != nullptr) detail::give_received(block_);
  }

  const std::byte* data() const noexcept {
    return block_ != nullptr ? detail::received_data(block_) : nullptr;
  }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::span<const std::byte> bytes() const noexcept { return {data(), size_}; }
  boost::asio::const_buffer buffer() const noexcept { return {data(), size_}; }

  // For the engine.
  received(detail::receive_block* block, std::size_t size) noexcept : block_{block}, size_{size} {}

 private:
  detail::receive_block* block_ = nullptr;  // null: empty
  std::size_t size_ = 0;
};

}  // namespace fairway
