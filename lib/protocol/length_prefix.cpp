#include <fairway/protocol/length_prefix.hpp>

#include <boost/asio/error.hpp>

#include <array>
#include <limits>

namespace fairway::detail {

namespace {

constexpr std::size_t varint_bytes_max = 10;

struct field_shape {
  std::size_t size;  // 0: varint
  bool big;
};

field_shape shape_of(length_format format) noexcept {
  switch (format) {
    case length_format::u8: return {1, true};
    case length_format::u16_big: return {2, true};
    case length_format::u16_little: return {2, false};
    case length_format::u32_big: return {4, true};
    case length_format::u32_little: return {4, false};
    case length_format::u64_big: return {8, true};
    case length_format::u64_little: return {8, false};
    case length_format::varint: break;
  }
  return {0, false};
}

struct length_field {
  std::uint64_t value = 0;
  std::size_t size = 0;  // 0: not whole yet
};

result<length_field> read_varint(std::span<const std::byte> bytes) {
  length_field field;
  for (std::size_t i = 0; i < bytes.size() && i < varint_bytes_max; ++i) {
    const auto b = static_cast<std::uint64_t>(bytes[i]);
    // The tenth byte has room for the 64th bit only.
    if (i + 1 == varint_bytes_max && b > 1) return error::protocol_violation;
    field.value |= (b & 0x7f) << (7 * i);
    if (b < 0x80) {
      field.size = i + 1;
      return field;
    }
  }
  return length_field{};
}

result<length_field> read_field(length_format format, std::span<const std::byte> bytes) {
  const field_shape shape = shape_of(format);
  if (shape.size == 0) return read_varint(bytes);
  if (bytes.size() < shape.size) return length_field{};
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < shape.size; ++i) {
    const std::size_t from = shape.big ? i : shape.size - 1 - i;
    value = value << 8 | static_cast<std::uint64_t>(bytes[from]);
  }
  return length_field{value, shape.size};
}

struct written_field {
  std::array<std::byte, varint_bytes_max> bytes;
  std::size_t size;
};

written_field write_field(length_format format, std::uint64_t value) noexcept {
  const field_shape shape = shape_of(format);
  written_field made{{}, shape.size};
  if (shape.size == 0) {
    do {
      const auto low = static_cast<std::byte>(value & 0x7f);
      value >>= 7;
      made.bytes[made.size++] = value != 0 ? low | std::byte{0x80} : low;
    } while (value != 0);
    return made;
  }
  for (std::size_t i = 0; i < shape.size; ++i) {
    const std::size_t at = shape.big ? shape.size - 1 - i : i;
    made.bytes[at] = static_cast<std::byte>(value >> (8 * i));
  }
  return made;
}

// The bytes behind the length field.
result<std::size_t> body_of(std::uint64_t value, std::int64_t adjustment) {
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  if (value > most) return error::frame_too_large;
  const auto declared = static_cast<std::int64_t>(value);
  if (adjustment > 0 && declared > static_cast<std::int64_t>(most) - adjustment) {
    return error::frame_too_large;
  }
  const std::int64_t body = declared + adjustment;
  if (body < 0) return error::protocol_violation;
  return static_cast<std::size_t>(body);
}

}  // namespace

length_prefix::length_prefix(const length_prefix_options& options) noexcept : options_{options} {
  if (options_.offset != 0) options_.whole_frame = true;
}

result<frame_place> length_prefix::find(std::span<const std::byte> bytes) const {
  const std::size_t least = shape_of(options_.format).size;
  const auto need = [&](std::size_t have) {
    const std::size_t header = options_.offset + (least != 0 ? least : 1);
    return frame_place{.need = header > have ? header - have : 1};
  };
  if (bytes.size() <= options_.offset) return need(bytes.size());
  BOOST_OUTCOME_TRY(const length_field field,
                    read_field(options_.format, bytes.subspan(options_.offset)));
  if (field.size == 0) return need(bytes.size());
  BOOST_OUTCOME_TRY(const std::size_t body, body_of(field.value, options_.adjustment));
  const std::size_t header = options_.offset + field.size;
  if (header > options_.frame_bytes_max || body > options_.frame_bytes_max - header) {
    return error::frame_too_large;
  }
  const std::size_t end = header + body;
  if (bytes.size() < end) return frame_place{.need = end - bytes.size()};
  if (options_.whole_frame) return frame_place{.begin = 0, .size = end, .end = end};
  return frame_place{.begin = header, .size = body, .end = end};
}

result<std::uint64_t> length_prefix::value_for(std::size_t body) const {
  const std::int64_t value = static_cast<std::int64_t>(body) - options_.adjustment;
  if (value < 0) return boost::system::error_code{boost::asio::error::invalid_argument};
  const std::size_t size = shape_of(options_.format).size;
  if (size != 0 && size < 8 && static_cast<std::uint64_t>(value) >> (8 * size) != 0) {
    return error::frame_too_large;
  }
  return static_cast<std::uint64_t>(value);
}

result<void> length_prefix::encode(std::string_view payload, gather& out) const {
  if (payload.size() > options_.frame_bytes_max) return error::frame_too_large;
  if (options_.whole_frame) return encode_whole(payload, out);
  BOOST_OUTCOME_TRY(const std::uint64_t value, value_for(payload.size()));
  const written_field field = write_field(options_.format, value);
  if (field.size > options_.frame_bytes_max - payload.size()) return error::frame_too_large;
  out.copy({field.bytes.data(), field.size});
  out.borrow(payload);
  return boost::outcome_v2::success();
}

result<void> length_prefix::encode_whole(std::string_view frame, gather& out) const {
  const auto invalid = boost::system::error_code{boost::asio::error::invalid_argument};
  if (frame.size() < options_.offset) return invalid;
  const auto bytes = std::as_bytes(std::span{frame.data(), frame.size()});
  BOOST_OUTCOME_TRY(const length_field there,
                    read_field(options_.format, bytes.subspan(options_.offset)));
  if (there.size == 0) return invalid;
  const std::size_t header = options_.offset + there.size;
  BOOST_OUTCOME_TRY(const std::uint64_t value, value_for(frame.size() - header));
  if (options_.format == length_format::varint && value != there.value) return invalid;
  if (options_.format == length_format::varint) {
    out.borrow(frame);
    return boost::outcome_v2::success();
  }
  const written_field field = write_field(options_.format, value);
  out.copy(frame.substr(0, options_.offset));
  out.copy({field.bytes.data(), field.size});
  out.borrow(frame.substr(header));
  return boost::outcome_v2::success();
}

}  // namespace fairway::detail
