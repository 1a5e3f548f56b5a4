#include "net/local_address.hpp"

#include <cstring>

#include <sys/socket.h>
#include <sys/un.h>

namespace fairway::detail {

namespace {
constexpr std::size_t head = offsetof(sockaddr_un, sun_path);
}

std::size_t make_local_address(std::string_view path, std::byte* room) noexcept {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return 0;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const bool abstract = path.front() == '@';
  if (abstract) address.sun_path[0] = '\0';
  // The terminating zero belongs to a file's name, and would be a part of an abstract one.
  const std::size_t size = head + path.size() + (abstract ? 0 : 1);
  std::memcpy(room, &address, size);
  return size;
}

std::string local_address_path(const std::byte* address, std::size_t size) {
  if (size <= head) return {};
  const auto* path = reinterpret_cast<const char*>(address + head);
  const std::size_t room = size - head;
  if (path[0] != '\0') return {path, ::strnlen(path, room)};
  return room == 1 ? std::string{} : "@" + std::string{path + 1, room - 1};
}

}  // namespace fairway::detail
