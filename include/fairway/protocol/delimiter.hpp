// Frames that end with a delimiter of one or more bytes, which is not part of the message.
//
//   fairway::framed f{std::move(stream), fairway::delimiter_codec<>{"\r\n.\r\n", 1024 * 1024}};
//
// A frame arrives in any pieces; each byte is looked at once (up to the delimiter's length again).
// Errors: `error::frame_too_large` as soon as the limit, delimiter included, cannot be kept;
// `error::frame_truncated` when the stream ends behind the last delimiter; writing a payload inside
// or across whose end the delimiter occurs gives invalid argument.
// Threads: one at a time.
#pragma once

#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/payload.hpp>

#include <cstddef>
#include <span>
#include <string>

namespace fairway {

namespace detail {

class delimiter_search {
 public:
  delimiter_search(std::string delimiter, std::size_t frame_bytes_max);

  std::size_t frame_bytes_max() const noexcept { return most_; }
  result<frame_place> find(std::string_view text);
  // The text, then the delimiter; nothing but that may be found in it.
  result<void> encode(std::string_view text, gather& out) const;

 private:
  std::string delimiter_;
  std::size_t most_;
  std::size_t seen_ = 0;  // bytes of this frame in which no delimiter begins
};

// A line for a codec that writes CR LF.
result<void> encode_crlf(std::string_view line, std::size_t frame_bytes_max, gather& out);

}  // namespace detail

template <class Payload = std::string>
class delimiter_codec {
 public:
  using message = Payload;

  static constexpr std::size_t frame_bytes_usual = 64 * 1024;

  /// Preconditions: the delimiter is not empty and not longer than a frame.
  explicit delimiter_codec(std::string delimiter, std::size_t frame_bytes_max = frame_bytes_usual)
      : search_{std::move(delimiter), frame_bytes_max} {}

  std::size_t frame_bytes_max() const noexcept { return search_.frame_bytes_max(); }

  result<decoded<message>> decode(std::span<const std::byte> bytes) {
    const std::string_view text = detail::text_of(bytes);
    BOOST_OUTCOME_TRY(const detail::frame_place found, search_.find(text));
    if (found.end == 0) return need_bytes{found.need};
    return decoded<message>{
        detail::make_payload<Payload>(text.substr(found.begin, found.size)), found.end};
  }

  result<void> encode(payload_view payload, gather& out) const {
    return search_.encode(payload.text(), out);
  }

 private:
  detail::delimiter_search search_;
};

}  // namespace fairway
