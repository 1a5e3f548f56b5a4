#include "loopback/tcp.hpp"

#include <boost/asio/error.hpp>

#include <cerrno>

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace fairway::detail::shm::tcp {

namespace {

static_assert(sizeof(io_vec) == sizeof(iovec));
static_assert(offsetof(io_vec, size) == offsetof(iovec, iov_len));

msghdr message_of(const io_vec* pieces, unsigned count) noexcept {
  msghdr message{};
  message.msg_iov = reinterpret_cast<iovec*>(const_cast<io_vec*>(pieces));
  message.msg_iovlen = count;
  return message;
}

template <class Call>
outcome repeated(Call call) noexcept {
  for (;;) {
    const ssize_t moved = call();
    if (moved >= 0) return {static_cast<std::size_t>(moved), 0};
    if (errno != EINTR) return {0, errno};
  }
}

int fd_of(native_handle socket) noexcept { return static_cast<int>(socket); }

bool ready(native_handle socket, short what) noexcept {
  pollfd state{fd_of(socket), what, 0};
  return ::poll(&state, 1, 0) > 0;
}

}  // namespace

outcome receive(native_handle socket, const io_vec* into, unsigned count) noexcept {
  msghdr message = message_of(into, count);
  return repeated([&] { return ::recvmsg(fd_of(socket), &message, MSG_DONTWAIT); });
}

outcome send(native_handle socket, const io_vec* from, unsigned count) noexcept {
  const msghdr message = message_of(from, count);
  return repeated([&] { return ::sendmsg(fd_of(socket), &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

bool readable(native_handle socket) noexcept { return ready(socket, POLLIN); }
bool writable(native_handle socket) noexcept { return ready(socket, POLLOUT); }

int shutdown_send(native_handle socket) noexcept {
  return ::shutdown(fd_of(socket), SHUT_WR) == 0 ? 0 : errno;
}

void reset_when_closed(native_handle socket) noexcept {
  const ::linger at_once{1, 0};
  ::setsockopt(fd_of(socket), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool closes_by_reset(native_handle socket) noexcept {
  ::linger asked{};
  socklen_t size = sizeof asked;
  return ::getsockopt(fd_of(socket), SOL_SOCKET, SO_LINGER, &asked, &size) == 0 &&
         asked.l_onoff != 0 && asked.l_linger == 0;
}

bool is_would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

boost::system::error_code as_error(int error) noexcept {
  if (error == 0) return {};
  return {error, boost::asio::error::get_system_category()};
}

}  // namespace fairway::detail::shm::tcp
