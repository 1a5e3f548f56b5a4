#include "engine/io_uring/port.hpp"
#include "engine/port_core.hpp"

#include <cassert>
#include <cerrno>

#include <poll.h>

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
  io_uring_prep_poll_add(&request, static_cast<int>(op.object->handle), events_of(op.waiting));
}

void port::finish_wait(io_op& op, int result) noexcept {
  if (result < 0) return fail(op, -result);
  if ((result & POLLNVAL) != 0) return fail(op, EBADF);
  complete(op, {}, 0);
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
