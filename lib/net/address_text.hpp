// The text of IPv4 and IPv6 addresses, the same on every platform and strict: what the systems'
// own functions take and print differs (Windows reads "127.1" and "1.2.3.4:80" as addresses).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fairway::detail {

using v4_bytes = std::array<std::uint8_t, 4>;
using v6_bytes = std::array<std::uint8_t, 16>;

// Four decimal numbers without leading zeros.
std::optional<v4_bytes> parse_v4(std::string_view text) noexcept;

// RFC 4291 section 2.2, all three forms; no scope.
std::optional<v6_bytes> parse_v6(std::string_view text) noexcept;

std::string format_v4(const v4_bytes& bytes);

// RFC 5952: lower case, the first longest run of zeros shortened, mapped IPv4 in dotted form.
std::string format_v6(const v6_bytes& bytes);

}  // namespace fairway::detail
