#include <fairway/protocol/delimiter.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace fairway::detail {

namespace {

boost::system::error_code invalid() noexcept { return boost::asio::error::invalid_argument; }

}  // namespace

delimiter_search::delimiter_search(std::string delimiter, std::size_t frame_bytes_max)
    : delimiter_{std::move(delimiter)}, most_{frame_bytes_max} {
  assert(!delimiter_.empty() && delimiter_.size() <= most_);
}

result<frame_place> delimiter_search::find(std::string_view text) {
  const std::size_t at = text.substr(0, most_).find(delimiter_, seen_);
  if (at == std::string_view::npos) {
    if (text.size() >= most_) return error::frame_too_large;
    // The last bytes may be the beginning of a delimiter.
    const std::size_t tail = delimiter_.size() - 1;
    seen_ = std::max(seen_, text.size() > tail ? text.size() - tail : 0);
    return frame_place{.need = 1};
  }
  seen_ = 0;
  return frame_place{.size = at, .end = at + delimiter_.size()};
}

result<void> delimiter_search::encode(std::string_view text, gather& out) const {
  if (text.size() + delimiter_.size() > most_) return error::frame_too_large;
  if (text.find(delimiter_) != std::string_view::npos) return invalid();
  if (delimiter_.size() > 1) {
    const std::size_t tail = std::min(text.size(), delimiter_.size() - 1);
    const std::string end = std::string{text.substr(text.size() - tail)} + delimiter_;
    if (end.find(delimiter_) != tail) return invalid();
  }
  out.borrow(text);
  out.copy(delimiter_);
  return boost::outcome_v2::success();
}

result<void> encode_crlf(std::string_view line, std::size_t frame_bytes_max, gather& out) {
  if (line.size() + 2 > frame_bytes_max) return error::frame_too_large;
  if (line.find('\n') != std::string_view::npos) return invalid();
  out.borrow(line);
  out.copy("\r\n");
  return boost::outcome_v2::success();
}

}  // namespace fairway::detail
