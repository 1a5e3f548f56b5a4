// RESP2, the protocol of Redis, as a codec: commands in (arrays of bulk strings, or a line of
// words), replies out. https://redis.io/docs/latest/develop/reference/protocol-spec/
#pragma once

#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/payload.hpp>

#include <charconv>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace resp {

// The words of a command. Good until the next one is read: the list is the codec's, and the words
// refer to the stream's buffer.
using command = std::span<const std::string_view>;

class codec {
 public:
  using message = command;
  using outgoing = std::string;  // bytes of replies, already in RESP

  static constexpr std::size_t frame_bytes_max() { return 64 * 1024 * 1024; }
  static constexpr std::size_t line_bytes_max = 64 * 1024;
  static constexpr long words_max = 1024 * 1024;
  static constexpr long bulk_bytes_max = 32 * 1024 * 1024;

  fairway::result<fairway::decoded<command>> decode(std::span<const std::byte> bytes) {
    const std::string_view text = fairway::detail::text_of(bytes);
    while (left_ != 0 || words_.empty()) {
      if (text.size() > at_ && left_ == 0 && text[at_] != '*') return line_of_words(text);
      if (bulk_ < 0 && plain_header(text)) {
        if (left_ == 0) return skip();
        continue;
      }
      if (bulk_ < 0) {
        const std::size_t end = find_line_end(text);
        if (end == std::string_view::npos) return more(text);
        const std::string_view line = text.substr(at_, end - at_);
        if (auto done = header(line); !done) return done.error();
        seen_ = at_ = end + 2;
        if (left_ == 0) return skip();  // an empty or null array asks for nothing
        continue;
      }
      const auto size = static_cast<std::size_t>(bulk_);
      if (text.size() - at_ < size + 2) {
        return fairway::need_bytes{at_ + size + 2 - text.size()};
      }
      words_.emplace_back(at_, size);
      seen_ = at_ += size + 2;
      if (at_ > frame_bytes_max()) return fairway::error::frame_too_large;
      bulk_ = -1;
      --left_;
    }
    begin_words();
    for (const auto& [from, size] : words_) made_.push_back(text.substr(from, size));
    return fairway::decoded<command>{made_, reset()};
  }

  fairway::result<void> encode(const std::string& replies, fairway::gather& out) const {
    out.borrow(replies);
    return boost::outcome_v2::success();
  }

  // What to tell a peer that broke the protocol.
  const std::string& problem() const noexcept { return problem_; }

 private:
  // A header as nearly all are: whole, of a few digits, within the limits. False: `header` tells.
  bool plain_header(std::string_view text) {
    const bool array = left_ == 0;
    const char* at = text.data() + at_;
    const char* const end = text.data() + text.size();
    if (at == end || *at++ != (array ? '*' : '$')) return false;
    const char* const digits = at;
    long number = 0;
    while (at != end && *at >= '0' && *at <= '9' && at - digits < 9) {
      number = number * 10 + (*at++ - '0');
    }
    if (at == digits || end - at < 2 || at[0] != '\r' || at[1] != '\n') return false;
    if (number > (array ? words_max : bulk_bytes_max)) return false;
    (array ? left_ : bulk_) = number;
    seen_ = at_ = static_cast<std::size_t>(at + 2 - text.data());
    return true;
  }
  fairway::result<void> header(std::string_view line) {
    const char kind = line.empty() ? '\0' : line[0];
    long number = 0;
    const bool good = !line.empty() && number_of(line.substr(1), number);
    if (left_ == 0) {
      if (!good || number > words_max) return broken("invalid multibulk length");
      left_ = number > 0 ? number : 0;
    } else if (kind != '$') {
      return broken(std::string{"expected '$', got '"} + (kind >= ' ' ? kind : '?') + "'");
    } else if (!good || number < 0 || number > bulk_bytes_max) {
      return broken("invalid bulk length");
    } else {
      bulk_ = number;
    }
    return boost::outcome_v2::success();
  }

  fairway::result<fairway::decoded<command>> line_of_words(std::string_view text) {
    const std::size_t end = text.find('\n', seen_);
    if (end == std::string_view::npos) {
      seen_ = text.size();
      return more(text);
    }
    if (end - at_ > line_bytes_max) return broken("too big inline request");
    begin_words();
    for (std::size_t at = 0; at < end;) {
      const std::size_t from = text.find_first_not_of(" \t\r", at);
      if (from == std::string_view::npos || from >= end) break;
      at = std::min(text.find_first_of(" \t\r\n", from), end);
      made_.push_back(text.substr(from, at - from));
    }
    at_ = end + 1;
    if (made_.empty()) return skip();
    return fairway::decoded<command>{made_, reset()};
  }

  // Nearly all are short and plain.
  static bool number_of(std::string_view digits, long& number) {
    if (digits.size() - 1 < 9 && digits[0] != '-') {
      number = 0;
      for (const char c : digits) {
        if (c < '0' || c > '9') return false;
        number = number * 10 + (c - '0');
      }
      return true;
    }
    const char* const last = digits.data() + digits.size();
    const auto [end, ec] = std::from_chars(digits.data(), last, number);
    return ec == std::errc{} && end == last;
  }

  std::size_t find_line_end(std::string_view text) {
    const std::size_t end = text.find("\r\n", seen_);
    if (end == std::string_view::npos) seen_ = std::max(at_, text.size() - !text.empty());
    return end;
  }

  fairway::result<fairway::decoded<command>> more(std::string_view text) {
    if (text.size() - at_ > line_bytes_max) return broken("too big inline request");
    return fairway::need_bytes{1};
  }
  fairway::result<fairway::decoded<command>> skip() {
    return fairway::decoded<command>{fairway::need_bytes{1}, reset()};
  }
  boost::system::error_code broken(std::string what) {
    problem_ = "-ERR Protocol error: " + std::move(what) + "\r\n";
    return fairway::error::protocol_violation;
  }
  void begin_words() {
    made_.clear();
    if (words_.size() <= words_kept) shrink(made_);
  }
  // What a rare large command took is not kept for ever.
  static void shrink(auto& list) {
    if (list.capacity() > words_kept) std::remove_cvref_t<decltype(list)>{}.swap(list);
  }
  std::size_t reset() {
    words_.clear();
    shrink(words_);
    left_ = 0;
    bulk_ = -1;
    seen_ = 0;
    return std::exchange(at_, 0);
  }

  static constexpr std::size_t words_kept = 32;
  std::vector<std::pair<std::size_t, std::size_t>> words_;  // place and size of each word so far
  std::vector<std::string_view> made_;                      // of the last command
  std::size_t at_ = 0;    // where the next line or word begins
  std::size_t seen_ = 0;  // no end of line before this
  long left_ = 0;         // words that are still to come
  long bulk_ = -1;        // size of the next one; -1: its header comes first
  std::string problem_;
};

}  // namespace resp
