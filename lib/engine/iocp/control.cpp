// Readiness, as far as a completion port can tell it.
//
//   read, stream     a receive of no bytes: data, the end of the stream, or an error is there
//   read, datagram   the same, peeking: a datagram that would not fit is one that is there
//   read, listener   a connection came and waits in the listener's pool
//   write            at once: the kernel queues overlapped sends, so there is always room to start
//   error            never; ends by cancel, deadline or close
//
// WSAEventSelect would know more, but it makes the socket non-blocking and needs a thread to wait
// for its event.

#include "engine/iocp/port.hpp"

#include "engine/iocp/accept_pool.hpp"
#include "engine/port_core.hpp"

namespace fairway::detail::iocp {

void port::start_wait(io_op& op) noexcept {
  io_object& object = *op.object;
  if (const int fault = core_.enter(testing::kernel_entry::poll).error) return fail(op, fault);
  switch (op.waiting) {
    case wait_for::write: return core_.complete(op, {}, 0);
    case wait_for::error: return;
    case wait_for::read: break;
  }
  if (object.listening) return start_accept(op);
  const begun call = receive_nothing(op, object.stream_like ? 0 : MSG_PEEK);
  if (call.over) end_wait(op, call.error);
}

void port::end_wait(io_op& op, int error) noexcept {
  if (error == WSA_OPERATION_ABORTED) {
    fail(op, error);
  } else {
    core_.complete(op, {}, 0);  // an error is something to read as well: the next read has it
  }
}

}  // namespace fairway::detail::iocp
