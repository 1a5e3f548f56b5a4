// rand_s is declared when this is defined (rand_s page).
#define _CRT_RAND_S

#include "engine/iocp/winsock.hpp"
#include "loopback/port_choice.hpp"
#include "loopback/system.hpp"

#include <cstdlib>

namespace fairway::detail::shm::system {

namespace {

unsigned random_number() noexcept {
  unsigned number = 0;
  ::rand_s(&number);
  return number;
}

}  // namespace

std::uint16_t bind_source(native_handle socket, const endpoint& where,
                          std::uint16_t avoided) noexcept {
  // The range that the system takes its own from by default.
  thread_local port_choice choice{49152, 16384, &random_number};
  // The system keeps ranges for others, and connections that linger occupy ports.
  constexpr unsigned tries = 16;
  constexpr unsigned tries_together = 4;
  // Else another user could bind the port as well, with SO_REUSEADDR, and connect first.
  const BOOL exclusive = TRUE;
  if (::setsockopt(iocp::socket_of(socket), SOL_SOCKET, SO_EXCLUSIVEADDRUSE,
                   reinterpret_cast<const char*>(&exclusive), sizeof exclusive) != 0) {
    return 0;
  }
  for (unsigned i = 0; i < tries; ++i) {
    const std::uint16_t port = choice.next();
    if (port == avoided) continue;
    const endpoint at = where.with_port(port);
    if (::bind(iocp::socket_of(socket), static_cast<const sockaddr*>(at.data()),
               static_cast<int>(at.size())) == 0) {
      return port;
    }
    if (i % tries_together == tries_together - 1) choice.jump();
  }
  return 0;
}

}  // namespace fairway::detail::shm::system
