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

bool ready(int fd, short what) noexcept {
  pollfd state{fd, what, 0};
  return ::poll(&state, 1, 0) > 0;
}

}  // namespace

outcome receive(int fd, const io_vec* into, unsigned count) noexcept {
  msghdr message = message_of(into, count);
  return repeated([&] { return ::recvmsg(fd, &message, MSG_DONTWAIT); });
}

outcome send(int fd, const io_vec* from, unsigned count) noexcept {
  const msghdr message = message_of(from, count);
  return repeated([&] { return ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
}

bool readable(int fd) noexcept { return ready(fd, POLLIN); }
bool writable(int fd) noexcept { return ready(fd, POLLOUT); }

int shutdown_send(int fd) noexcept { return ::shutdown(fd, SHUT_WR) == 0 ? 0 : errno; }

void reset_when_closed(int fd) noexcept {
  const ::linger at_once{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool closes_by_reset(int fd) noexcept {
  ::linger asked{};
  socklen_t size = sizeof asked;
  return ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &asked, &size) == 0 && asked.l_onoff != 0 &&
         asked.l_linger == 0;
}

bool is_would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

boost::system::error_code as_error(int error) noexcept {
  if (error == 0) return {};
  return {error, boost::asio::error::get_system_category()};
}

}  // namespace fairway::detail::shm::tcp
