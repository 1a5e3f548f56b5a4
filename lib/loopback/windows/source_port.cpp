// rand_s is declared when this is defined (rand_s page).
#define _CRT_RAND_S

#include "engine/iocp/winsock.hpp"
#include "loopback/system.hpp"

#include <cstdlib>

namespace fairway::detail::shm::system {

std::uint16_t bind_source(native_handle socket, const endpoint& where,
                          std::uint16_t avoided) noexcept {
  constexpr unsigned first = 49152;  // the range that the system takes its own from by default
  constexpr unsigned count = 16384;
  // The system keeps ranges for others, and connections that linger occupy ports.
  constexpr unsigned tries = 16;
  // Else another user could bind the port as well, with SO_REUSEADDR, and connect first.
  const BOOL exclusive = TRUE;
  if (::setsockopt(iocp::socket_of(socket), SOL_SOCKET, SO_EXCLUSIVEADDRUSE,
                   reinterpret_cast<const char*>(&exclusive), sizeof exclusive) != 0) {
    return 0;
  }
  for (unsigned i = 0; i < tries; ++i) {
    unsigned number = 0;
    if (::rand_s(&number) != 0) return 0;
    const auto port = static_cast<std::uint16_t>(first + number % count);
    if (port == avoided) continue;
    const endpoint at = where.with_port(port);
    if (::bind(iocp::socket_of(socket), static_cast<const sockaddr*>(at.data()),
               static_cast<int>(at.size())) == 0) {
      return port;
    }
  }
  return 0;
}

}  // namespace fairway::detail::shm::system
