#include "engine/epoll/port.hpp"

#include "engine/control_op.hpp"
#include "engine/port_core.hpp"

#include <cerrno>

#include <poll.h>

namespace fairway::detail::epoll {

namespace {

short events_of(wait_for what) noexcept {
  switch (what) {
    case wait_for::read: return POLLIN;
    case wait_for::write: return POLLOUT;
    case wait_for::error: break;
  }
  return POLLPRI;
}

}  // namespace

void port::start_wait(io_op& op) noexcept {
  io_object& object = *op.object;
  if (perform_wait(op) || object.registered) return;
  if (const error_code ec = open(object)) core_.complete(op, ec, 0);
}

// The bits are a hint; a wait answers for the state of this moment, so it asks the kernel.
bool port::perform_wait(io_op& op) noexcept {
  pollfd state{static_cast<int>(op.object->handle), events_of(op.waiting), 0};
  const int fault = core_.enter(testing::kernel_entry::poll).error;
  const int ready = fault == 0 ? ::poll(&state, 1, 0) : 0;
  if (ready == 0) return false;
  if (ready < 0) {
    if (errno == EINTR) return false;
    fail(op, errno);
    return true;
  }
  if ((state.revents & POLLNVAL) != 0) {
    fail(op, EBADF);
  } else {
    core_.complete(op, {}, 0);
  }
  return true;
}

// No control code makes a descriptor wait, so all of them end here.
void port::start_control(io_op& op) noexcept {
  control_work& work = control_of(op).work;
  work.stage = 0;
  if (const int fault = core_.enter(testing::kernel_entry::control).error) return fail(op, fault);
  const int result = perform_work(op.object->handle, work);
  if (result < 0) return fail(op, -result);
  core_.complete(op, {}, work.returned);
}

}  // namespace fairway::detail::epoll
