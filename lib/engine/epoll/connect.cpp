#include "engine/epoll/port.hpp"

#include "engine/port_core.hpp"

#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

namespace fairway::detail::epoll {

void port::start_connect(io_op& op) noexcept {
  io_object& object = *op.object;
  const int fd = static_cast<int>(object.handle);
  int error = core_.enter(testing::kernel_entry::connect).error;
  if (error == 0) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return fail(op, errno);
    const auto* address = static_cast<const sockaddr*>(op.address);
    error = ::connect(fd, address, static_cast<socklen_t>(op.address_bytes)) == 0 ? 0 : errno;
    if (error == 0) {
      core_.complete(op, {}, 0);
      return;
    }
  }
  // After EINTR the connection goes on in the background, as after EINPROGRESS (connect(2)).
  if (error != EINPROGRESS && error != EINTR) return fail(op, error);
  if (const error_code ec = open(object)) core_.complete(op, ec, 0);
}

bool port::perform_connect(io_op& op) noexcept {
  const int fd = static_cast<int>(op.object->handle);
  // An edge may be older than the connect call: only a writable socket has an outcome.
  pollfd state{fd, POLLOUT, 0};
  if (::poll(&state, 1, 0) == 0) {
    op.object->os.bits &= ~writable;
    return false;
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) {
    fail(op, error);
  } else {
    core_.complete(op, {}, 0);
  }
  return true;
}

}  // namespace fairway::detail::epoll
