// Winsock for this folder and for net/windows: the headers in the one order that compiles, the
// library started once, and what depends on the provider looked up once.
//
// The extension functions belong to a provider, not to the library; the ones kept here are those
// of the providers that plain TCP sockets come from, one an address family. `usable_handles` tells
// whether all of them hand out real file handles (XP1_IFS_HANDLES): a layered provider that does
// not breaks FILE_SKIP_COMPLETION_PORT_ON_SUCCESS
// (https://support.microsoft.com/kb/2568167).
//
// Threads: any; the first call starts Winsock, and it stays started until the process ends.
#pragma once

#include "engine/operation.hpp"

#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <windows.h>

namespace fairway::detail::iocp {

struct winsock {
  int error = 0;  // why Winsock did not start; 0: it did
  LPFN_CONNECTEX connect_v4 = nullptr;
  LPFN_CONNECTEX connect_v6 = nullptr;  // null where there is no IPv6
  bool usable_handles = false;
};

const winsock& use_winsock() noexcept;

// An extension function of the socket's own provider; null when it has none.
template <class Function>
Function extension(SOCKET socket, GUID id) noexcept {
  Function found = nullptr;
  DWORD bytes = 0;
  if (::WSAIoctl(socket, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, &found, sizeof found,
                 &bytes, nullptr, nullptr) != 0) {
    return nullptr;
  }
  return found;
}

// Overlapped, and not inherited by child processes. INVALID_SOCKET: see WSAGetLastError.
inline SOCKET make_socket(int family, int type, int protocol) noexcept {
  return ::WSASocketW(family, type, protocol, nullptr, 0,
                      WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

inline SOCKET socket_of(native_handle handle) noexcept { return static_cast<SOCKET>(handle); }
inline SOCKET socket_of(const io_object& object) noexcept { return socket_of(object.handle); }
inline HANDLE file_of(native_handle handle) noexcept { return reinterpret_cast<HANDLE>(handle); }

inline error_code system_error_code(int error) noexcept {
  return {error, boost::system::system_category()};
}

}  // namespace fairway::detail::iocp
