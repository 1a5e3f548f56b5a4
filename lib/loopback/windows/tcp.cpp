#include "loopback/tcp.hpp"

#include "engine/iocp/winsock.hpp"

#include <algorithm>

// The socket is non-blocking while it has a channel (`set_blocking`), so that a call which is not
// overlapped never waits; overlapped ones do not heed it (WSARecv and WSASend pages).
namespace fairway::detail::shm::tcp {

namespace {

constexpr unsigned pieces_max = 16;
constexpr std::size_t piece_bytes_max = std::size_t{1} << 30;

struct pieces {
  pieces(const io_vec* given, unsigned given_count) noexcept {
    for (unsigned i = 0; i < given_count && count < pieces_max; ++i) {
      if (given[i].size == 0) continue;
      list[count].buf = static_cast<char*>(given[i].data);
      list[count].len = static_cast<ULONG>(std::min(given[i].size, piece_bytes_max));
      ++count;
    }
  }
  WSABUF list[pieces_max];
  DWORD count = 0;
};

bool ready(native_handle socket, short what) noexcept {
  WSAPOLLFD state{};
  state.fd = iocp::socket_of(socket);
  state.events = what;
  return ::WSAPoll(&state, 1, 0) > 0;
}

}  // namespace

outcome receive(native_handle socket, const io_vec* into, unsigned count) noexcept {
  pieces room{into, count};
  DWORD bytes = 0;
  DWORD flags = 0;
  const int status = ::WSARecv(iocp::socket_of(socket), room.list, room.count, &bytes, &flags,
                               nullptr, nullptr);
  if (status == 0) return {bytes, 0};
  return {0, ::WSAGetLastError()};
}

outcome send(native_handle socket, const io_vec* from, unsigned count) noexcept {
  pieces given{from, count};
  DWORD bytes = 0;
  const int status = ::WSASend(iocp::socket_of(socket), given.list, given.count, &bytes, 0,
                               nullptr, nullptr);
  if (status == 0) return {bytes, 0};
  return {0, ::WSAGetLastError()};
}

bool readable(native_handle socket) noexcept { return ready(socket, POLLRDNORM); }
bool writable(native_handle socket) noexcept { return ready(socket, POLLWRNORM); }

int shutdown_send(native_handle socket) noexcept {
  return ::shutdown(iocp::socket_of(socket), SD_SEND) == 0 ? 0 : ::WSAGetLastError();
}

void reset_when_closed(native_handle socket) noexcept {
  const ::linger at_once{1, 0};
  ::setsockopt(iocp::socket_of(socket), SOL_SOCKET, SO_LINGER,
               reinterpret_cast<const char*>(&at_once), sizeof at_once);
}

bool closes_by_reset(native_handle socket) noexcept {
  ::linger asked{};
  int size = sizeof asked;
  return ::getsockopt(iocp::socket_of(socket), SOL_SOCKET, SO_LINGER,
                      reinterpret_cast<char*>(&asked), &size) == 0 &&
         asked.l_onoff != 0 && asked.l_linger == 0;
}

bool is_would_block(int error) noexcept { return error == WSAEWOULDBLOCK; }

boost::system::error_code as_error(int error) noexcept {
  if (error == 0) return {};
  return iocp::system_error_code(error);
}

bool set_blocking(native_handle socket, bool blocking) noexcept {
  u_long on = blocking ? 0 : 1;
  return ::ioctlsocket(iocp::socket_of(socket), static_cast<long>(FIONBIO), &on) == 0;
}

}  // namespace fairway::detail::shm::tcp
