#include "engine/epoll/port.hpp"

#include "engine/port_core.hpp"

#include <cerrno>

#include <sys/socket.h>

namespace fairway::detail::epoll {

namespace {

// Errors of the one connection that was to be accepted, not of the listener: accept(2) says to
// treat them like EAGAIN and try again.
bool of_one_connection(int error) noexcept {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH: return true;
    default: return false;
  }
}

}  // namespace

bool port::perform_accept(io_op& op) noexcept {
  io_object& object = *op.object;
  for (;;) {
    int error = core_.enter(testing::kernel_entry::accept).error;
    if (error == 0) {
      const int fd =
          ::accept4(static_cast<int>(object.handle), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) {
        op.result_handle = static_cast<native_handle>(fd);
        core_.complete(op, {}, 0);
        return true;
      }
      error = errno;
    }
    if (error == EAGAIN) {
      object.os.bits &= ~readable;
      return false;
    }
    if (of_one_connection(error)) continue;
    fail(op, error);
    return true;
  }
}

}  // namespace fairway::detail::epoll
