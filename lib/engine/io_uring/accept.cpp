#include "engine/io_uring/accept_queue.hpp"
#include "engine/io_uring/port.hpp"
#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <cerrno>
#include <new>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fairway::detail::io_uring {

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

std::uint64_t user_data_of(const accept_queue& queue) noexcept {
  return reinterpret_cast<std::uintptr_t>(&queue) | tag_accept;
}

// The accept that waits for a connection; null: none.
io_op* waiting_accept(const io_object& object) noexcept {
  for (io_op* op : object.operations()) {
    if (op == nullptr || op->kind != op_kind::accept || !op->in_backend()) continue;
    if ((op->backend_word & op_deferred) == 0) return op;
  }
  return nullptr;
}

accept_queue* make_queue(io_object& object) noexcept {
  if (object.os.extra == nullptr) object.os.extra = new (std::nothrow) accept_queue{object};
  return queue_of(object);
}

}  // namespace

void port::start_accept(io_op& op) noexcept {
  accept_queue* queue = make_queue(*op.object);
  if (queue == nullptr) return fail(op, ENOMEM);
  testing::entry_fault fault;
  do {
    fault = core_.entry_fault(testing::kernel_entry::accept);
  } while (fault.error == EAGAIN || of_one_connection(fault.error));
  if (fault.error != 0) return fail(op, fault.error);
  if (fault.end_multishot && queue->armed && ring_is_mine()) push_cancel(user_data_of(*queue));
  if (queue->size() != 0) {
    op.result_handle = static_cast<native_handle>(queue->take());
    complete(op, {}, 0);
  } else if (!queue->armed && !ring_is_mine()) {
    return defer(op);
  }
  queue->disarm = false;
  if (!queue->armed && queue->size() < unclaimed_low && ring_is_mine()) arm_accept(*queue);
}

void port::arm_accept(accept_queue& queue) noexcept {
  assert(!queue.armed);
  io_object& object = *queue.object;
  io_uring_sqe* entry = next_entry();
  if (entry == nullptr) {
    if (io_op* op = waiting_accept(object)) defer(*op);
    return;
  }
  // No address: one buffer for all connections of a multishot would be overwritten by the next.
  const int fd = static_cast<int>(object.handle);
  if (queue.readiness) {
    io_uring_prep_poll_add(entry, fd, POLLIN);
  } else if (multishot_accept_) {
    io_uring_prep_multishot_accept(entry, fd, nullptr, nullptr, SOCK_CLOEXEC);
  } else {
    io_uring_prep_accept(entry, fd, nullptr, nullptr, SOCK_CLOEXEC);
  }
  entry->user_data = user_data_of(queue);
  queue.armed = true;
  queue.cancel_pushed = false;
  ++object.os.owed;
  ++owed_;
}

void port::disarm_accept(accept_queue& queue) noexcept {
  queue.disarm = true;
  if (!queue.armed || queue.cancel_pushed) return;
  if (ring_is_mine() && push_cancel(user_data_of(queue))) {
    queue.cancel_pushed = true;
  } else {
    disarm_wanted_ = true;
  }
}

void port::disarm_wanted() noexcept {
  disarm_wanted_ = false;
  core_.for_each_object([this](io_object& object) {
    accept_queue* queue = queue_of(object);
    if (queue != nullptr && queue->disarm) disarm_accept(*queue);
  });
}

// Nothing of one accept is in the kernel. With nobody left to ask, connections stay in the
// backlog, where another process that shares the listener finds them.
void port::cancel_accept(io_op& op) noexcept {
  if ((op.backend_word & op_deferred) != 0) undefer(op);
  if (accept_queue* queue = queue_of(*op.object)) disarm_accept(*queue);
  complete(op, boost::asio::error::operation_aborted, 0);
}

void port::on_accept(accept_queue& queue, int result, unsigned flags) noexcept {
  io_object& object = *queue.object;
  if ((flags & IORING_CQE_F_MORE) == 0) {
    queue.armed = false;
    settle_one(object);
  }
  if (std::exchange(queue.readiness, false)) {
    if (result >= 0) result = -EINTR;  // there is somebody: accept now
  }
  if (result < 0) {
    on_accept_error(queue, -result);
  } else if (object.closing) {
    ::close(result);
  } else if (io_op* op = waiting_accept(object)) {
    op->result_handle = static_cast<native_handle>(result);
    complete(*op, {}, 0);
  } else {
    try {
      queue.unclaimed.push_back(result);
    } catch (const std::bad_alloc&) {
      ::close(result);
    }
  }
  if (queue.armed) {
    if (queue.size() >= unclaimed_max) disarm_accept(queue);
  } else if (!object.closing && waiting_accept(object) != nullptr) {
    queue.disarm = false;
    if (ring_is_mine()) {
      arm_accept(queue);
    } else {
      defer(*waiting_accept(object));
    }
  }
  close_if_settled(object);
}

void port::on_accept_error(accept_queue& queue, int error) noexcept {
  if (error == EINVAL && multishot_accept_) {
    multishot_accept_ = false;  // before Linux 5.19; a listener that is none fails the next time
  } else if (error == EAGAIN) {
    queue.readiness = true;
  } else if (error != ECANCELED && !of_one_connection(error)) {
    // Nobody waits: the next accept meets the error again.
    if (io_op* op = waiting_accept(*queue.object)) fail(*op, error);
  }
}

void port::close_accept(accept_queue& queue) noexcept {
  while (queue.size() != 0) ::close(queue.take());
  disarm_accept(queue);
}

}  // namespace fairway::detail::io_uring
