// Frames that all have the same size.
//
//   fairway::framed records{std::move(stream), fairway::fixed_size_codec<>{64}};
//
// Errors: writing a payload of another size gives invalid argument; an end inside a frame is
// `error::frame_truncated`. Threads: one at a time.
#pragma once

#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/payload.hpp>

#include <boost/asio/error.hpp>

#include <cassert>
#include <cstddef>
#include <span>

namespace fairway {

template <class Payload = std::string>
class fixed_size_codec {
 public:
  using message = Payload;

  /// Preconditions: at least one byte.
  explicit fixed_size_codec(std::size_t frame_bytes) noexcept : size_{frame_bytes} {
    assert(frame_bytes != 0);
  }

  std::size_t frame_bytes_max() const noexcept { return size_; }

  result<decoded<message>> decode(std::span<const std::byte> bytes) {
    if (bytes.size() < size_) return need_bytes{size_ - bytes.size()};
    return decoded<message>{
        detail::make_payload<Payload>(detail::text_of(bytes.first(size_))), size_};
  }

  result<void> encode(payload_view payload, gather& out) const {
    if (payload.size() != size_) {
      return boost::system::error_code{boost::asio::error::invalid_argument};
    }
    out.borrow(payload.text());
    return boost::outcome_v2::success();
  }

 private:
  std::size_t size_;
};

}  // namespace fairway
