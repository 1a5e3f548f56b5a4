// Frames that say their length first.
//
//   using enum fairway::length_format;
//   fairway::framed f{std::move(stream), fairway::length_prefix_codec<>{{.format = u32_big}}};
//
// On the wire: `offset` bytes, the length field, then value + `adjustment` bytes. With no offset
// the message is what follows the length field. With one, or when `whole_frame` is set, it is the
// whole frame, length field included; written, a field of fixed size is filled in and a varint must
// be right already.
//
//   value counts the body                       the default
//   value counts the whole frame, 4-byte field  .adjustment = -4
//   type byte, then length, then body           .offset = 1
//   4-byte trailer that value does not count    .adjustment = 4
//
// Whatever a peer declares costs no memory: only bytes that arrived are kept.
// Errors: `error::frame_too_large` once the length is known, also on writing and when a value does
// not fit the field; `error::protocol_violation` for a negative size and a varint above 64 bits;
// invalid argument when a whole frame to write has no room for its header or a wrong varint.
// Threads: one at a time.
#pragma once

#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/payload.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace fairway {

/// `varint`: 7 bits a byte, low bits first, high bit set on all but the last (LEB128; protobuf's).
enum class length_format {
  u8, u16_big, u16_little, u32_big, u32_little, u64_big, u64_little, varint
};

struct length_prefix_options {
  length_format format = length_format::u32_big;
  std::size_t offset = 0;
  std::int64_t adjustment = 0;
  bool whole_frame = false;
  std::size_t frame_bytes_max = 1024 * 1024;  // header included
};

namespace detail {

class length_prefix {
 public:
  explicit length_prefix(const length_prefix_options& options) noexcept;

  std::size_t frame_bytes_max() const noexcept { return options_.frame_bytes_max; }
  result<frame_place> find(std::span<const std::byte> bytes) const;
  result<void> encode(std::string_view payload, gather& out) const;

 private:
  result<void> encode_whole(std::string_view frame, gather& out) const;
  result<std::uint64_t> value_for(std::size_t body) const;

  length_prefix_options options_;
};

}  // namespace detail

template <class Payload = std::string>
class length_prefix_codec {
 public:
  using message = Payload;

  length_prefix_codec() noexcept : length_prefix_codec{length_prefix_options{}} {}
  explicit length_prefix_codec(const length_prefix_options& options) noexcept
      : prefix_{options} {}

  std::size_t frame_bytes_max() const noexcept { return prefix_.frame_bytes_max(); }

  result<decoded<message>> decode(std::span<const std::byte> bytes) {
    BOOST_OUTCOME_TRY(const detail::frame_place found, prefix_.find(bytes));
    if (found.end == 0) return need_bytes{found.need};
    return decoded<message>{
        detail::make_payload<Payload>(detail::text_of(bytes.subspan(found.begin, found.size))),
        found.end};
  }

  result<void> encode(payload_view payload, gather& out) const {
    return prefix_.encode(payload.text(), out);
  }

 private:
  detail::length_prefix prefix_;
};

}  // namespace fairway
