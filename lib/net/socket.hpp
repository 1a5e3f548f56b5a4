// The synchronous socket calls of the net layer, one implementation a platform
// (`posix/socket.cpp`, `windows/socket.cpp`). Nothing here blocks.
//
// Sockets are made close-on-exec / not inheritable, overlapped on Windows, and blocking: io_uring
// wants them so, and the other engines never rely on the flag.
#pragma once

#include "engine/operation.hpp"

#include <fairway/net/endpoint.hpp>
#include <fairway/result.hpp>

namespace fairway::detail::sockets {

enum class type { stream, datagram };

struct facts {
  type kind = type::stream;
  bool listening = false;
  bool connected = false;
};

result<native_handle> open(const endpoint& like, type kind);
result<void> bind(native_handle handle, const endpoint& local);
result<void> listen(native_handle handle, int backlog);
// UDP: fixes the peer; no packet is sent.
result<void> connect_datagram(native_handle handle, const endpoint& peer);
result<endpoint> local_endpoint(native_handle handle);
result<endpoint> remote_endpoint(native_handle handle);
enum class half { receive, send, both };
result<void> shutdown(native_handle handle, half which);
void close(native_handle handle) noexcept;
// What an adopted descriptor is; an error for something that is no socket.
result<facts> inspect(native_handle handle);
// Before a listener binds. POSIX: SO_REUSEADDR when `reuse`. Windows: SO_EXCLUSIVEADDRUSE always,
// because SO_REUSEADDR there lets others take the endpoint over.
result<void> claim_address(native_handle handle, bool reuse);
// Removes the file of a unix-domain listener; nothing for other endpoints.
void remove_path(const endpoint& local) noexcept;
// Removes a stale unix-domain socket file that nobody listens on; not an error when there is none.
void remove_stale_path(const endpoint& local) noexcept;

// How many handles this process may have open; a large number where there is no limit.
std::size_t handles_max() noexcept;

}  // namespace fairway::detail::sockets
