#include "engine/epoll/port.hpp"

#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <utility>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

namespace fairway::detail::epoll {

namespace {

using testing::kernel_entry;

constexpr int batch_max = 512;

error_code system_error_code(int error) noexcept {
  return {error, boost::asio::error::get_system_category()};
}

timespec time_left(time_point until) noexcept {
  const auto now = std::chrono::steady_clock::now();
  const auto left = until > now ? until - now : duration::zero();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  timespec t{};
  t.tv_sec = static_cast<time_t>(seconds.count());
  t.tv_nsec = static_cast<long>(std::chrono::nanoseconds{left - seconds}.count());
  return t;
}

}  // namespace

port::port(port_core& core, const port_options& options)
    : core_{core},
      batch_{static_cast<int>(std::min(options.queue_entries, 512u))},
      process_{::getpid()} {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ < 0 || wake_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) != 0) {
    const int error = errno;
    if (epoll_ >= 0) ::close(epoll_);
    if (wake_ >= 0) ::close(wake_);
    throw boost::system::system_error(system_error_code(error), "epoll");
  }
}

port::~port() {
  ::close(epoll_);
  ::close(wake_);
}

void port::fail(io_op& op, int error) noexcept { core_.complete(op, system_error_code(error), 0); }

error_code port::open(io_object& object) noexcept {
  if (object.registered) return {};
  if (object.listening) {
    // Readiness can be gone before accept4: it must not block then.
    const int flags = ::fcntl(static_cast<int>(object.handle), F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) == 0) {
      ::fcntl(static_cast<int>(object.handle), F_SETFL, flags | O_NONBLOCK);
    }
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &object;
  const int handle = static_cast<int>(object.handle);
  core_.counts().kernel_entries.add();
  if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, handle, &event) != 0) return system_error_code(errno);
  object.registered = true;
  ++registered_;
  // Adding reports what is ready already as a first edge.
  object.os.bits &= may_pass_descriptors | family_known;
  return {};
}

void port::start(io_op& op) noexcept {
  io_object& object = *op.object;
  if (op.kind == op_kind::control) return start_control(op);
  if (op.kind == op_kind::connect) return start_connect(op);
  if (op.kind == op_kind::wait) return start_wait(op);
  if (object.listening && !object.registered) {
    if (const error_code ec = open(object)) core_.complete(op, ec, 0);
    return;  // the first edge tells whether somebody is there
  }
  if (object.registered && (object.os.bits & side_of(op)) == 0) return;
  if (perform(op) || object.registered) return;
  if (const error_code ec = open(object)) core_.complete(op, ec, 0);
}

bool port::perform(io_op& op) noexcept {
  switch (op.kind) {
    case op_kind::accept: return perform_accept(op);
    case op_kind::connect: return perform_connect(op);
    case op_kind::read: return perform_read(op);
    case op_kind::write: return perform_write(op);
    case op_kind::receive: return perform_receive(op);
    case op_kind::receive_from: return perform_receive_from(op);
    case op_kind::send_to: return perform_send_to(op);
    case op_kind::wait: return perform_wait(op);
    case op_kind::control:
    case op_kind::timer:
    case op_kind::composite: break;
  }
  assert(false && "not an operation of a backend");
  return true;
}

void port::cancel(io_op& op) noexcept {
  core_.complete(op, boost::asio::error::operation_aborted, 0);
}

// Explicit: a duplicate of the descriptor elsewhere would keep the registration alive. In a child
// made by fork the descriptors are duplicates and the registrations are the parent's.
void port::forget(io_object& object) noexcept {
  if (!object.registered) return;
  object.registered = false;
  --registered_;
  if (process_ != ::getpid()) return;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, static_cast<int>(object.handle), nullptr);
}

void port::close(io_object& object) noexcept {
  forget(object);
  ::close(static_cast<int>(std::exchange(object.handle, no_handle)));
}

native_handle port::release(io_object& object) noexcept {
  forget(object);
  return std::exchange(object.handle, no_handle);
}

void port::close_handle(native_handle handle) noexcept { ::close(static_cast<int>(handle)); }

int port::wait_for_events(epoll_event* events, int count, time_point until) noexcept {
  if (core_.enter(kernel_entry::wait).error != 0) return 0;
  if (until == time_point::min()) return ::epoll_wait(epoll_, events, count, 0);
  if (until == time_point::max()) return ::epoll_wait(epoll_, events, count, -1);
  const timespec left = time_left(until);
  if (exact_wait_) {
    const int got = ::epoll_pwait2(epoll_, events, count, &left, nullptr);
    // Before Linux 5.11; and a seccomp filter that does not know the call answers EPERM.
    if (got >= 0 || (errno != ENOSYS && errno != EPERM)) return got;
    exact_wait_ = false;
  }
  // Milliseconds, rounded up so that no deadline fires early.
  const long long ms = left.tv_sec * 1000LL + (left.tv_nsec + 999'999) / 1'000'000;
  return ::epoll_wait(epoll_, events, count, static_cast<int>(std::min<long long>(ms, INT_MAX)));
}

void port::wait(time_point until) noexcept {
  // A wake that nobody sleeps for can wait.
  if (registered_ == 0 && until == time_point::min()) return;
  std::array<epoll_event, batch_max> events;
  const int count = wait_for_events(events.data(), batch_, until);
  // No handler runs in this loop, so no object of a later event can go away.
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      drain_wake();
    } else {
      on_event(*static_cast<io_object*>(event.data.ptr), event.events);
    }
  }
}

void port::on_event(io_object& object, unsigned events) noexcept {
  std::uint32_t& bits = object.os.bits;
  if ((events & EPOLLIN) != 0) bits |= readable;
  if ((events & EPOLLOUT) != 0) bits |= writable;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) bits |= readable | read_on;
  if ((events & EPOLLPRI) != 0) bits |= read_on;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) bits |= writable;
  constexpr std::uint8_t not_mine = op_waits_for_block | op_held;
  for (io_op* op : object.operations()) {
    if (op == nullptr || !op->in_backend() || (op->flags & not_mine) != 0) continue;
    if (op->kind == op_kind::timer || op->kind == op_kind::composite) continue;
    const std::uint32_t wanted = side_of(*op);
    if ((bits & wanted) != 0 || op->kind == op_kind::wait) perform(*op);
  }
}

void port::wake() noexcept {
  const std::uint64_t one = 1;
  // A full counter is a pending wake as well, so the result does not matter.
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

void port::drain_wake() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(wake_, &count, sizeof count);
  core_.counts().wakeups_received.add();
}

void port::shutdown() noexcept {
  core_.for_each_object([this](io_object& object) { core_.close(object); });
}

}  // namespace fairway::detail::epoll
