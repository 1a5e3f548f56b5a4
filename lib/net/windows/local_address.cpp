#include "net/local_address.hpp"

#include <cstddef>
#include <cstring>

#include <winsock2.h>

namespace fairway::detail {

namespace {

// SOCKADDR_UN of <afunix.h>, which older headers lack.
struct local_sockaddr {
  unsigned short family;
  char path[108];
};
constexpr std::size_t head = offsetof(local_sockaddr, path);

}  // namespace

// Paths only: Windows has no abstract names.
std::size_t make_local_address(std::string_view path, std::byte* room) noexcept {
  local_sockaddr address{};
  if (path.size() >= sizeof address.path || path.front() == '@') return 0;
  address.family = AF_UNIX;
  std::memcpy(address.path, path.data(), path.size());
  const std::size_t size = head + path.size() + 1;
  std::memcpy(room, &address, size);
  return size;
}

std::string local_address_path(const std::byte* address, std::size_t size) {
  if (size <= head) return {};
  const auto* path = reinterpret_cast<const char*>(address + head);
  return {path, ::strnlen(path, size - head)};
}

}  // namespace fairway::detail
