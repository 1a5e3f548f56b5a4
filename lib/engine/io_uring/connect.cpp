#include "engine/io_uring/port.hpp"
#include "engine/port_core.hpp"

#include <cerrno>

#include <sys/socket.h>

namespace fairway::detail::io_uring {

void port::prepare_connect(const io_op& op, io_uring_sqe& request) noexcept {
  io_uring_prep_connect(&request, static_cast<int>(op.object->handle),
                        static_cast<const sockaddr*>(op.address),
                        static_cast<socklen_t>(op.address_bytes));
}

void port::finish_connect(io_op& op, int result) noexcept {
  if ((op.backend_word & op_began) != 0) {
    // An earlier request left the connection under way (connect(2): EALREADY), or got it done.
    if (result == -EALREADY) {
      if (ring_is_mine()) return submit_readiness(op);
      return defer(op);
    }
    if (result == -EISCONN) result = 0;
  }
  if (result < 0) return fail(op, -result);
  complete(op, {}, 0);
}

}  // namespace fairway::detail::io_uring
