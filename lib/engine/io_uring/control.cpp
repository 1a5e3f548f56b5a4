#include "engine/io_uring/port.hpp"
#include "engine/port_core.hpp"

#include <cassert>
#include <cerrno>

#include <poll.h>
#include <sys/epoll.h>

namespace fairway::detail::io_uring {

namespace {

unsigned events_of(wait_for what) noexcept {
  switch (what) {
    case wait_for::read: return POLLIN;
    case wait_for::write: return POLLOUT;
    case wait_for::error: break;
  }
  return POLLPRI;
}

}  // namespace

void port::prepare_wait(const io_op& op, io_uring_sqe& request) noexcept {
  if (op.result_handle != no_handle) {
    io_uring_prep_poll_add(&request, static_cast<int>(op.result_handle), POLLIN);
  } else {
    io_uring_prep_poll_add(&request, static_cast<int>(op.object->handle), events_of(op.waiting));
  }
}

void port::finish_wait(io_op& op, int result) noexcept {
  if (result < 0) return fail(op, -result);
  const unsigned answers = events_of(op.waiting) | POLLERR | POLLHUP | POLLNVAL;
  const bool other = op.result_handle == no_handle;  // not the descriptor of wait_exactly
  if (other && (static_cast<unsigned>(result) & answers) == 0) return wait_exactly(op);
  if (other && (result & POLLNVAL) != 0) return fail(op, EBADF);
  complete(op, {}, 0);
}

// A poll request ends, unasked, also when the peer has finished sending, and would do so again at
// once. An epoll descriptor for this one wait reports only what is asked for; the operation owns
// it until it ends.
void port::wait_exactly(io_op& op) noexcept {
  const int watch = ::epoll_create1(EPOLL_CLOEXEC);
  if (watch < 0) return fail(op, errno);
  op.result_handle = static_cast<native_handle>(watch);
  epoll_event event{};
  static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLPRI == EPOLLPRI);
  event.events = events_of(op.waiting);
  const int handle = static_cast<int>(op.object->handle);
  core_.counts().kernel_entries.add(2);
  if (::epoll_ctl(watch, EPOLL_CTL_ADD, handle, &event) != 0) return fail(op, errno);
  if (ring_is_mine()) return submit(op);
  defer(op);
}

// A poll in front of another try of the operation: its descriptor is non-blocking and was not
// ready, or a connection is under way.
void port::submit_readiness(io_op& op) noexcept {
  const bool reads = op.kind == op_kind::read || op.kind == op_kind::receive ||
                     op.kind == op_kind::receive_from;
  io_uring_sqe request{};
  io_uring_prep_poll_add(&request, static_cast<int>(op.object->handle), reads ? POLLIN : POLLOUT);
  op.backend_word |= op_readiness;
  push(op, request);
  // Full queue: the next turn tries the operation itself.
  if ((op.backend_word & op_deferred) != 0) op.backend_word &= ~op_readiness;
}

}  // namespace fairway::detail::io_uring
