// The bytes of a message of the stock codecs.
//
// A codec delivers them as its template argument says: `std::string` (the default) and
// `std::vector<std::byte>` own a copy, `std::string_view` and `std::span<const std::byte>` refer to
// the stream's buffer until the next read begins. It takes any of them to write.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairway {

/// Refers to bytes; made from text and from spans and vectors of bytes.
class payload_view {
 public:
  payload_view() = default;
  payload_view(const char* text) noexcept : payload_view{std::string_view{text}} {}
  payload_view(const std::string& text) noexcept : payload_view{std::string_view{text}} {}
  payload_view(std::string_view text) noexcept : data_{text.data()}, size_{text.size()} {}
  payload_view(std::span<const std::byte> bytes) noexcept
      : data_{reinterpret_cast<const char*>(bytes.data())}, size_{bytes.size()} {}
  payload_view(const std::vector<std::byte>& bytes) noexcept
      : payload_view{std::span<const std::byte>{bytes}} {}

  std::string_view text() const noexcept { return {data_, size_}; }
  std::size_t size() const noexcept { return size_; }

 private:
  const char* data_ = "";
  std::size_t size_ = 0;
};

namespace detail {

template <class Payload>
Payload make_payload(std::string_view text) {
  if constexpr (requires { Payload{text}; }) {
    return Payload{text};
  } else if constexpr (requires(std::span<const std::byte> bytes) { Payload{bytes}; }) {
    return Payload{std::as_bytes(std::span{text.data(), text.size()})};
  } else {
    Payload made(text.size());
    if (!text.empty()) std::memcpy(made.data(), text.data(), text.size());
    return made;
  }
}

inline std::string_view text_of(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Where the payload of a frame is, and where the frame ends. `end` = 0: `need` more bytes first.
struct frame_place {
  std::size_t begin = 0;
  std::size_t size = 0;
  std::size_t end = 0;
  std::size_t need = 0;
};

}  // namespace detail
}  // namespace fairway
