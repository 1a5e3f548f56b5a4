#include "engine/control_op.hpp"
#include "engine/io_uring/port.hpp"
#include "engine/port_core.hpp"

#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

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

// Newer than the headers of liburing 2.3 (linux/io_uring.h, Linux 6.7).
enum socket_command : unsigned { siocinq = 0, siocoutq = 1, getsockopt = 2, setsockopt = 3 };
struct socket_command_fields {  // the part of io_uring_sqe from its 8th byte on
  std::uint32_t command;
  std::uint32_t padding;
  std::uint32_t level;
  std::uint32_t option;
};
static_assert(offsetof(io_uring_sqe, off) == 8 && offsetof(io_uring_sqe, addr) == 16);

// Which steps the ring has: every option can be set, but only those of SOL_SOCKET be asked for.
bool in_ring(const kernel_step& step) noexcept {
  return step.kind == kernel_step::what::get_option ? step.level == SOL_SOCKET
                                                    : step.kind != kernel_step::what::ioctl;
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

// --- control codes ---

void port::start_control(io_op& op) noexcept {
  control_work& work = control_of(op).work;
  work.stage = 0;
  const int result = work.next(work, op.object->handle, 0);
  if (result == control_work::step_more) return take_step(op);
  if (result < 0) return fail(op, -result);
  complete(op, {}, work.returned);
}

void port::take_step(io_op& op) noexcept {
  const kernel_step& step = control_of(op).work.step;
  if (socket_commands_ && ring_is_mine() && in_ring(step)) return submit(op);
  if (const int fault = core_.enter(testing::kernel_entry::control).error) return fail(op, fault);
  const int result = perform_step(op.object->handle, step);
  // A descriptor's ioctl answers at once; nothing to wait for, nothing to cancel.
  finish_step(op, result);
}

void port::prepare_step(const io_op& op, io_uring_sqe& request) noexcept {
  const kernel_step& step = control_of(const_cast<io_op&>(op)).work.step;
  request.opcode = IORING_OP_URING_CMD;
  request.fd = static_cast<int>(op.object->handle);
  socket_command_fields fields{siocinq, 0, 0, 0};
  switch (step.kind) {
    case kernel_step::what::unread: break;
    case kernel_step::what::unsent: fields.command = siocoutq; break;
    case kernel_step::what::get_option: fields.command = getsockopt; break;
    default: fields.command = setsockopt; break;
  }
  fields.level = static_cast<std::uint32_t>(step.level);
  fields.option = static_cast<std::uint32_t>(step.name);
  std::memcpy(reinterpret_cast<std::byte*>(&request) + 8, &fields, sizeof fields);
  // optlen and optval, beside file_index and addr3.
  request.file_index = step.bytes;
  request.addr3 = reinterpret_cast<std::uintptr_t>(step.data);
}

void port::finish_step(io_op& op, int result) noexcept {
  control_work& work = control_of(op).work;
  if (socket_commands_ && (result == -EOPNOTSUPP || result == -EINVAL) && in_ring(work.step)) {
    // Either the ring has no such commands (Linux before 6.7, or 5.19: no such request) or the
    // socket refuses; the system call knows.
    core_.counts().kernel_entries.add();
    result = perform_step(op.object->handle, work.step);
    if (result >= 0) socket_commands_ = false;
  }
  if (result >= 0) result = work.next(work, op.object->handle, result);
  if (result == control_work::step_more) return take_step(op);
  if (result < 0) return fail(op, -result);
  complete(op, {}, work.returned);
}

}  // namespace fairway::detail::io_uring
