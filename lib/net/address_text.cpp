#include "net/address_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace fairway::detail {

std::optional<v4_bytes> parse_v4(std::string_view text) noexcept {
  v4_bytes bytes{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return std::nullopt;
    unsigned value = 0;
    const auto [stop, error] = std::from_chars(at, end, value);
    const auto digits = stop - at;
    // A leading zero means octal to some and nothing to others.
    if (error != std::errc{} || value > 255 || digits > 3 || (*at == '0' && digits > 1)) {
      return std::nullopt;
    }
    bytes[i] = static_cast<std::uint8_t>(value);
    at = stop;
  }
  if (at != end) return std::nullopt;
  return bytes;
}

std::optional<v6_bytes> parse_v6(std::string_view text) noexcept {
  v6_bytes bytes{};
  std::size_t filled = 0;
  std::optional<std::size_t> gap;  // where "::" stands; empty until it has been seen
  const char* at = text.data();
  const char* const end = at + text.size();
  if (text.starts_with("::")) {
    gap = 0;
    at += 2;
  }
  while (at != end) {
    const std::string_view rest{at, static_cast<std::size_t>(end - at)};
    if (rest.find(':') == rest.npos && rest.find('.') != rest.npos) {
      const auto tail = parse_v4(rest);
      if (!tail || filled + tail->size() > bytes.size()) return std::nullopt;
      std::copy(tail->begin(), tail->end(), bytes.data() + filled);
      filled += tail->size();
      break;
    }
    unsigned value = 0;
    const auto [stop, error] = std::from_chars(at, end, value, 16);
    if (error != std::errc{} || stop - at > 4 || filled == bytes.size()) return std::nullopt;
    bytes[filled++] = static_cast<std::uint8_t>(value >> 8);
    bytes[filled++] = static_cast<std::uint8_t>(value & 0xff);
    at = stop;
    if (at == end) break;
    if (*at++ != ':' || at == end) return std::nullopt;
    if (*at == ':') {
      if (gap) return std::nullopt;
      gap = filled;
      ++at;
    }
  }
  if (!gap) return filled == bytes.size() ? std::optional{bytes} : std::nullopt;
  if (filled > bytes.size() - 2) return std::nullopt;  // "::" stands for one group at least
  const auto first = bytes.begin();
  std::rotate(first + static_cast<std::ptrdiff_t>(*gap),
              first + static_cast<std::ptrdiff_t>(filled), bytes.end());
  return bytes;
}

std::string format_v4(const v4_bytes& bytes) {
  std::string text;
  for (const std::uint8_t each : bytes) {
    if (!text.empty()) text += '.';
    text += std::to_string(each);
  }
  return text;
}

std::string format_v6(const v6_bytes& bytes) {
  constexpr v6_bytes mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(bytes.begin(), bytes.begin() + 12, mapped.begin())) {
    return "::ffff:" + format_v4({bytes[12], bytes[13], bytes[14], bytes[15]});
  }
  constexpr std::size_t groups = 8;
  const auto group = [&](std::size_t i) {
    return static_cast<unsigned>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
  };
  std::size_t run_begin = groups;
  std::size_t run_size = 1;  // one zero group is not shortened
  for (std::size_t i = 0; i < groups;) {
    std::size_t stop = i;
    while (stop < groups && group(stop) == 0) ++stop;
    if (stop - i > run_size) {
      run_begin = i;
      run_size = stop - i;
    }
    i = stop + 1;
  }
  std::string text;
  for (std::size_t i = 0; i < groups;) {
    if (i == run_begin) {
      text += "::";
      i += run_size;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    char digits[4];
    const auto written = std::to_chars(digits, digits + sizeof digits, group(i), 16);
    text.append(digits, written.ptr);
    ++i;
  }
  return text;
}

}  // namespace fairway::detail
