#include "engine/iocp/port.hpp"

#include "engine/iocp/winsock.hpp"
#include "engine/port_core.hpp"

#include <cstring>

namespace fairway::detail::iocp {

namespace {

// ConnectEx wants a bound socket. WSAEINVAL: it is bound already, to an address of the user's.
int bind_to_any(SOCKET socket, int family) noexcept {
  sockaddr_storage any{};
  any.ss_family = static_cast<decltype(any.ss_family)>(family);
  const int size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&any), size) == 0) return 0;
  const int error = ::WSAGetLastError();
  return error == WSAEINVAL ? 0 : error;
}

}  // namespace

void port::start_connect(io_op& op) noexcept {
  if (const int fault = core_.enter(testing::kernel_entry::connect).error) return fail(op, fault);
  const auto* address = static_cast<const sockaddr*>(op.address);
  const int family = address->sa_family;
  if (family != AF_INET && family != AF_INET6) return fail(op, WSAEAFNOSUPPORT);
  const winsock& providers = use_winsock();
  const auto connect_ex = family == AF_INET6 ? providers.connect_v6 : providers.connect_v4;
  if (connect_ex == nullptr) return fail(op, WSAEAFNOSUPPORT);

  const SOCKET socket = socket_of(*op.object);
  core_.counts().kernel_entries.add();
  if (const int error = bind_to_any(socket, family)) return fail(op, error);
  DWORD bytes = 0;
  const bool connected = connect_ex(socket, address, static_cast<int>(op.address_bytes), nullptr,
                                    0, &bytes, prepare(op)) != FALSE;
  const begun call = note_call(op, connected, 0);
  if (call.over) end_connect(op, call.error);
}

void port::end_connect(io_op& op, int error) noexcept {
  if (error == 0) {
    // Without it the socket has no names and cannot be shut down (ConnectEx page).
    core_.counts().kernel_entries.add();
    if (::setsockopt(socket_of(*op.object), SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, nullptr, 0) !=
        0) {
      error = ::WSAGetLastError();
    }
  }
  if (error != 0) {
    fail(op, error);
  } else {
    core_.complete(op, {}, 0);
  }
}

}  // namespace fairway::detail::iocp
