// A codec turns bytes into messages and back. It is a plain type without I/O:
//
//   struct numbers {                                  // a message is one byte on the wire
//     using message = int;
//     static constexpr std::size_t frame_bytes_max() { return 1; }
//     fairway::result<fairway::decoded<int>> decode(std::span<const std::byte> bytes) {
//       if (bytes.empty()) return fairway::need_bytes(1);
//       return fairway::decoded<int>{static_cast<int>(bytes[0]), 1};
//     }
//     fairway::result<void> encode(int m, fairway::gather& out) { ... out.copy(...) ... }
//   };
//
// `decode` sees all bytes that no message has used up yet, and sees them again with more behind
// them after it asked for more; a codec remembers how far it looked. An error it returns is final:
// the codec is not asked again. `fairway::testing::torture` tries a codec in every way that a
// network can.
//
// A message that the codec writes may be of another type than the one it reads: it names it
// `outgoing`, and `encode` may be overloaded for further ones.
//
// Threads: one at a time. Lifetime: a message may refer to the bytes it was decoded from; these
// stay until the next read of the stream begins.
#pragma once

#include <fairway/protocol/gather.hpp>
#include <fairway/result.hpp>

#include <boost/asio/error.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace fairway {

/// What a codec answers when a frame is not whole: at least so many more bytes, as far as it knows.
/// It is a hint: never less than 1, never a reason to allocate.
struct need_bytes {
  std::size_t more = 1;
};

/// A message and the bytes at the front that it used up; or, without a message, how many more are
/// needed. Bytes may be used up without a message too (an empty line, say).
template <class Message>
struct decoded {
  decoded(Message m, std::size_t used) : message{std::move(m)}, consumed{used} {}
  decoded(need_bytes wanted, std::size_t used = 0) : consumed{used}, need{wanted.more} {}

  std::optional<Message> message;  // empty: `need` counts
  std::size_t consumed = 0;
  std::size_t need = 0;
};

/// What reads messages.
template <class Codec>
concept decoder = requires(Codec& codec, const Codec& constant, std::span<const std::byte> bytes) {
  typename Codec::message;
  requires std::default_initializable<typename Codec::message>;
  requires std::movable<typename Codec::message>;
  // The most bytes that one frame has on the wire. Whatever the peer declares, no more is kept.
  { constant.frame_bytes_max() } -> std::convertible_to<std::size_t>;
  { codec.decode(bytes) } -> std::same_as<result<decoded<typename Codec::message>>>;
};

/// What writes a `Message`: appends its bytes to a gather list. After an error nothing of what was
/// appended is sent.
template <class Codec, class Message>
concept encodes = requires(Codec& codec, const Message& message, gather& out) {
  { codec.encode(message, out) } -> std::same_as<result<void>>;
};

namespace detail {

template <class Codec>
struct outgoing {
  using type = typename Codec::message;
};
template <class Codec>
  requires requires { typename Codec::outgoing; }
struct outgoing<Codec> {
  using type = typename Codec::outgoing;
};

}  // namespace detail

template <class Codec>
using outgoing_of = typename detail::outgoing<Codec>::type;

template <class Codec>
concept codec = decoder<Codec> && encodes<Codec, outgoing_of<Codec>>;

/// What the end of the stream means after `rest`, the bytes that no message has used up: a last
/// message, or an error. A codec says so in a member `decode_eof`; without one, an end between two
/// frames is eof and an end inside a frame is `error::frame_truncated`.
template <decoder Codec>
result<decoded<typename Codec::message>> decode_eof(Codec& codec,
                                                    std::span<const std::byte> rest) {
  if constexpr (requires { codec.decode_eof(rest); }) {
    return codec.decode_eof(rest);
  } else if (rest.empty()) {
    return boost::system::error_code{boost::asio::error::eof};
  } else {
    return error::frame_truncated;
  }
}

}  // namespace fairway
