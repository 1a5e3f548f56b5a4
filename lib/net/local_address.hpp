// Unix-domain socket addresses, one implementation a platform.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fairway::detail {

// Writes the socket address of `path` ('@' first: abstract) into `room` of 120 bytes. Returns its
// size; zero when the path does not fit or the platform has no such thing.
std::size_t make_local_address(std::string_view path, std::byte* room) noexcept;

// The path of a unix-domain socket address, '@' first for an abstract name, empty for unnamed.
std::string local_address_path(const std::byte* address, std::size_t size);

}  // namespace fairway::detail
