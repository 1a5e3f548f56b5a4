// Everything that a network and a hostile peer can do to a codec, without a network.
//
//   auto report = fairway::testing::torture(
//       [] { return fairway::line_codec<>{}; }, std::vector<std::string>{"", "a", "hello"});
//   if (!report.ok()) std::puts(report.text().c_str());
//
// It encodes the messages, then decodes them in one piece, split at every place, a byte at a time,
// cut off at every place, and with garbage behind every beginning. It feeds garbage alone. Each
// piece is given in memory of exactly its size, so that a sanitizer sees a codec read too far or
// keep a pointer. `oversize`, when given, is a frame that is over the limit by one byte.
//
// No test framework is needed: the report is a list of sentences. The same seed gives the same run.
// Messages are compared with `==`.
#pragma once

#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/detail/write_queue.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace fairway::testing {

struct torture_options {
  std::string oversize;                // empty: not tried
  std::size_t garbage_rounds = 200;
  std::size_t garbage_bytes_max = 64;
  std::uint64_t seed = 1;
  std::size_t failures_max = 20;       // of each kind more would say nothing new
};

struct torture_report {
  std::size_t tries = 0;
  std::vector<std::string> failures;

  bool ok() const noexcept { return failures.empty(); }
  std::string text() const {
    std::string all;
    for (const std::string& each : failures) all += each + "\n";
    return all;
  }
};

/// The bytes that a codec makes of messages.
template <class Codec, class Messages>
result<std::string> encode_all(Codec codec, const Messages& messages) {
  fairway::detail::write_queue queue;
  for (const auto& m : messages) {
    gather out{queue, gather::lending::allowed};
    if (result<void> done = codec.encode(m, out); !done) return done.error();
  }
  queue.begin();
  std::string bytes;
  while (queue.bytes() != 0) {
    const std::size_t before = bytes.size();
    for (const auto& piece : queue.next()) {
      bytes.append(static_cast<const char*>(piece.data()), piece.size());
    }
    queue.written(bytes.size() - before);
  }
  return bytes;
}

namespace detail {

// Plays framed: keeps what is not used up, and checks what the codec may not do.
template <decoder Codec>
class feeder {
 public:
  using message = typename Codec::message;

  explicit feeder(Codec codec) : codec_(std::move(codec)) {}

  // `keep` is called with each message while what it refers to is there.
  template <class Keep>
  void feed(std::string_view bytes, Keep&& keep) {
    if (over()) return;
    rest_.append(bytes);
    while (!over()) {
      const std::vector<std::byte> piece = exact();
      auto got = codec_.decode(piece);
      if (!step(got, piece, keep)) return;
    }
  }
  template <class Keep>
  void end(Keep&& keep) {
    while (!over()) {
      const std::vector<std::byte> piece = exact();
      auto got = decode_eof(codec_, std::span<const std::byte>{piece});
      if (got && got.value().message && got.value().consumed == 0 && !piece.empty()) {
        wrong = "decode_eof gave a message and used up nothing";
      }
      const bool last = got && piece.empty();
      if (!step(got, piece, keep) && !over()) wrong = "decode_eof asked for more";
      if (last) return;
    }
  }
  bool over() const noexcept { return ec.failed() || !wrong.empty(); }

  boost::system::error_code ec;
  std::string wrong;  // a broken rule

 private:
  std::vector<std::byte> exact() const {
    const auto bytes = std::as_bytes(std::span{rest_.data(), rest_.size()});
    return {bytes.begin(), bytes.end()};
  }
  template <class Keep>
  bool step(result<decoded<message>>& got, const std::vector<std::byte>& piece, Keep& keep) {
    if (!got) {
      ec = got.error();
      return false;
    }
    decoded<message>& next = got.value();
    if (next.consumed > piece.size()) {
      wrong = "used up more bytes than there were";
    } else if (next.message && next.consumed == 0 && !piece.empty()) {
      wrong = "gave a message and used up nothing";
    } else if (next.consumed > codec_.frame_bytes_max()) {
      wrong = "a frame was longer than frame_bytes_max";
    } else if (!next.message && next.need == 0) {
      wrong = "asked for no bytes";
    } else if (!next.message && piece.size() - next.consumed >= codec_.frame_bytes_max()) {
      wrong = "asked for more than frame_bytes_max";
    }
    if (!wrong.empty()) return false;
    if (next.message) keep(*next.message);
    rest_.erase(0, next.consumed);
    return next.message.has_value() || (next.consumed != 0 && !rest_.empty());
  }

  Codec codec_;
  std::string rest_;
};

template <class Make, class Messages>
class torturer {
 public:
  torturer(Make make, const Messages& messages, const torture_options& options)
      : make_(make), messages_{messages}, options_{options}, random_{options.seed} {}

  torture_report run() {
    auto encoded = encode_all(make_(), messages_);
    if (!encoded) {
      fail("the messages cannot be encoded: " + encoded.error().message());
      return report_;
    }
    wire_ = encoded.value();
    whole();
    for (std::size_t at = 1; at < wire_.size(); ++at) split(at);
    for (std::size_t at = 0; at <= wire_.size(); ++at) cut(at);
    for (std::size_t at = 0; at <= wire_.size(); ++at) garbage_behind(at);
    for (std::size_t i = 0; i < options_.garbage_rounds; ++i) garbage_behind(0);
    if (!options_.oversize.empty()) oversize();
    return report_;
  }

 private:
  using codec_type = decltype(std::declval<Make&>()());

  void fail(const std::string& what) {
    if (report_.failures.size() < options_.failures_max) report_.failures.push_back(what);
  }

  // Feeds pieces and compares; returns how many messages came, all of them right.
  template <class Feed>
  std::size_t attempt(const std::string& how, bool whole, Feed&& feed) {
    ++report_.tries;
    feeder<codec_type> codec{make_()};
    std::size_t count = 0;
    bool right = true;
    auto expected = std::begin(messages_);
    feed(codec, [&](const auto& message) {
      right = right && expected != std::end(messages_) && message == *expected;
      if (expected != std::end(messages_)) ++expected;
      ++count;
    });
    if (!codec.wrong.empty()) fail(how + ": " + codec.wrong);
    if (whole && codec.ec) fail(how + ": failed with " + codec.ec.message());
    if (whole && (!right || expected != std::end(messages_))) {
      fail(how + ": other messages than were encoded");
    }
    return right ? count : 0;
  }

  void whole() {
    attempt("in one piece", true, [&](auto& c, auto keep) { c.feed(wire_, keep); });
    attempt("a byte at a time", true, [&](auto& c, auto keep) {
      for (char byte : wire_) c.feed({&byte, 1}, keep);
    });
  }
  void split(std::size_t at) {
    attempt("split at byte " + std::to_string(at), true, [&](auto& c, auto keep) {
      c.feed(std::string_view{wire_}.substr(0, at), keep);
      c.feed(std::string_view{wire_}.substr(at), keep);
    });
  }
  void cut(std::size_t at) {
    const std::string how = "cut off at byte " + std::to_string(at);
    attempt(how, false, [&](auto& c, auto keep) {
      c.feed(std::string_view{wire_}.substr(0, at), keep);
      if (c.ec) fail(how + ": failed before the end with " + c.ec.message());
      c.end(keep);
    });
  }
  void garbage_behind(std::size_t at) {
    std::string bytes(1 + random_() % options_.garbage_bytes_max, '\0');
    // Extreme and structural bytes are more telling than even ones.
    constexpr std::string_view favourites{"\0\xff\x7f\x80\r\n$*:+-0123456789 ", 22};
    for (char& byte : bytes) {
      byte = random_() % 2 == 0 ? favourites[random_() % favourites.size()]
                                : static_cast<char>(random_());
    }
    const std::string how = "garbage behind byte " + std::to_string(at);
    attempt(how, false, [&](auto& c, auto keep) {
      c.feed(std::string_view{wire_}.substr(0, at), keep);
      for (std::size_t i = 0; i < bytes.size();) {
        const std::size_t size = std::min<std::size_t>(1 + random_() % 8, bytes.size() - i);
        c.feed(std::string_view{bytes}.substr(i, size), keep);
        i += size;
      }
      c.end(keep);
    });
  }
  void oversize() {
    for (const bool slowly : {false, true}) {
      const std::string how =
          slowly ? "one byte too large, a byte at a time" : "one byte too large";
      attempt(how, false, [&](auto& c, auto keep) {
        if (slowly) {
          for (char byte : options_.oversize) c.feed({&byte, 1}, keep);
        } else {
          c.feed(options_.oversize, keep);
        }
        if (c.ec != error::frame_too_large) fail(how + ": not refused with frame_too_large");
      });
    }
  }

  Make make_;
  const Messages& messages_;
  torture_options options_;
  std::mt19937_64 random_;
  std::string wire_;
  torture_report report_;
};

}  // namespace detail

/// Tortures the codec that `make` makes, with a sequence of messages that it can encode and that
/// its other side decodes to equal ones.
template <class Make, class Messages>
torture_report torture(Make make, const Messages& messages, const torture_options& options = {}) {
  return detail::torturer<Make, Messages>{make, messages, options}.run();
}

}  // namespace fairway::testing
