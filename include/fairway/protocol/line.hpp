// Lines of text. Read: ended by LF or CR LF, which are not part of the message; the last one also
// by the end of the stream. Written: ended by LF, or CR LF when asked for.
//
//   fairway::framed lines{std::move(stream), fairway::line_codec<>{}};
//
// Errors: `error::frame_too_large` as soon as a line with its end is over the limit; writing text
// with an LF in it gives invalid argument, so that nobody can smuggle a line into another one.
// Threads: one at a time.
#pragma once

#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/delimiter.hpp>
#include <fairway/protocol/payload.hpp>

#include <cstddef>
#include <span>

namespace fairway {

enum class line_end { lf, crlf };

template <class Payload = std::string>
class line_codec {
 public:
  using message = Payload;

  static constexpr std::size_t frame_bytes_usual = 8 * 1024;

  line_codec() : line_codec{frame_bytes_usual} {}
  explicit line_codec(std::size_t frame_bytes_max, line_end written = line_end::lf)
      : search_{"\n", frame_bytes_max}, written_{written} {}

  std::size_t frame_bytes_max() const noexcept { return search_.frame_bytes_max(); }

  result<decoded<message>> decode(std::span<const std::byte> bytes) {
    const std::string_view text = detail::text_of(bytes);
    BOOST_OUTCOME_TRY(const detail::frame_place found, search_.find(text));
    if (found.end == 0) return need_bytes{found.need};
    return decoded<message>{payload(text.substr(0, found.size)), found.end};
  }

  result<decoded<message>> decode_eof(std::span<const std::byte> rest) {
    if (rest.empty()) return boost::system::error_code{boost::asio::error::eof};
    return decoded<message>{payload(detail::text_of(rest)), rest.size()};
  }

  result<void> encode(payload_view line, gather& out) const {
    if (written_ == line_end::lf) return search_.encode(line.text(), out);
    return detail::encode_crlf(line.text(), frame_bytes_max(), out);
  }

 private:
  static Payload payload(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    return detail::make_payload<Payload>(line);
  }

  detail::delimiter_search search_;
  line_end written_;
};

}  // namespace fairway
