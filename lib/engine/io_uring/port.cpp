#include "engine/io_uring/port.hpp"

#include "engine/io_uring/accept_queue.hpp"
#include "engine/io_uring/ring/thread_number.hpp"
#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <cassert>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fairway::detail::io_uring {

namespace {

using testing::kernel_entry;

static_assert(sizeof(void*) == 8, "user data has a 48-bit address and 16 bits of generation");
constexpr std::uint64_t address_mask = 0x0000'ffff'ffff'fff0;
constexpr unsigned generation_shift = 48;

std::uint64_t user_data_of(const io_op& op) noexcept {
  return reinterpret_cast<std::uintptr_t>(&op) | tag_operation |
         static_cast<std::uint64_t>(op.generation) << generation_shift;
}

kernel_entry entry_of(op_kind kind) noexcept {
  switch (kind) {
    case op_kind::connect: return kernel_entry::connect;
    case op_kind::write:
    case op_kind::send_to: return kernel_entry::send;
    case op_kind::wait: return kernel_entry::poll;
    case op_kind::control: return kernel_entry::control;
    default: return kernel_entry::receive;
  }
}

// Answers that mean "again" unless the end was asked for. ECANCELED unasked: the thread that had
// submitted the request has ended.
bool means_again(int result) noexcept {
  return result == -EINTR || result == -EAGAIN || result == -ECANCELED;
}

}  // namespace

port::port(port_core& core, const port_options& options)
    : core_{core},
      entries_{options.queue_entries},
      ring_{std::make_unique<ring>(entries_, true)},
      buffers_{core.buffers()},
      process_{this_process_number()},
      poll_first_{ring_->bound()} {
  buffers_.open(ring_->native());
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) {
    throw boost::system::system_error(
        error_code{errno, boost::asio::error::get_system_category()}, "eventfd");
  }
}

port::~port() {
  buffers_.give_back();
  ::close(wake_);
}

std::string port::reason() const {
  std::string text = ring_->dropped();
  if (!buffers_.usable()) text += text.empty() ? "without buffer rings" : ", buffer rings";
  return text;
}

// Never in a child made by fork: the memory of the queues is not even there. A ring that has just
// been made is nobody's, even one that any thread may enter.
bool port::ring_is_mine() const noexcept {
  if (process_ != this_process_number() || thread_ == 0) return false;
  return thread_ == this_thread_number() || (ring_ != nullptr && !ring_->bound());
}

void port::complete(io_op& op, error_code ec, std::size_t bytes) noexcept {
  if (op.backend_data != nullptr) {
    core_.blocks.free(std::exchange(op.backend_data, nullptr), sizeof(msghdr));
  }
  if (ec && op.block != nullptr) core_.give_block(*std::exchange(op.block, nullptr));
  if (op.kind == op_kind::wait && op.result_handle != no_handle) {
    close_handle(std::exchange(op.result_handle, no_handle));
  }
  progress_ = true;
  core_.complete(op, ec, bytes);
}

void port::fail(io_op& op, int error) noexcept {
  complete(op, error_code{error, boost::asio::error::get_system_category()}, 0);
}

// --- starting and cancelling ---

void port::start(io_op& op) noexcept {
  if (op.kind == op_kind::accept) {
    start_accept(op);
  } else if (op.kind == op_kind::control) {
    start_control(op);
  } else if (ring_is_mine()) {
    submit(op);
  } else {
    defer(op);
  }
}

void port::submit(io_op& op) noexcept {
  testing::entry_fault fault;
  do {
    fault = core_.entry_fault(entry_of(op.kind));
  } while (fault.error == EINTR);
  if (fault.error == EAGAIN) return submit_readiness(op);
  if (fault.error != 0) return fail(op, fault.error);
  io_uring_sqe request{};
  if (prepare(op, request, fault.bytes_max)) push(op, request);
}

bool port::prepare(io_op& op, io_uring_sqe& request, std::size_t bytes_max) noexcept {
  switch (op.kind) {
    case op_kind::connect: prepare_connect(op, request); return true;
    case op_kind::wait: prepare_wait(op, request); return true;
    case op_kind::control: prepare_step(op, request); return true;
    case op_kind::receive: return prepare_receive(op, request, bytes_max);
    default: return prepare_transfer(op, request, bytes_max);
  }
}

void port::push(io_op& op, const io_uring_sqe& request) noexcept {
  io_uring_sqe* entry = next_entry();
  if (entry == nullptr) return defer(op);
  *entry = request;
  entry->user_data = user_data_of(op);
  ++op.owed;
  ++op.object->os.owed;
  ++owed_;
}

io_uring_sqe* port::next_entry() noexcept {
  if (io_uring_sqe* entry = ring_->next()) return entry;
  core_.counts().overflows.add();
  enter(0, time_point::min());
  return ring_->next();
}

void port::cancel(io_op& op) noexcept {
  if (op.kind == op_kind::accept) return cancel_accept(op);
  if ((op.backend_word & op_cancel_pushed) != 0) return;
  if (op.owed == 0) {
    assert((op.backend_word & op_deferred) != 0);
    undefer(op);
    complete(op, boost::asio::error::operation_aborted, 0);
    return;
  }
  op.backend_word |= op_cancel_pushed;
  if (ring_is_mine()) {
    request_cancel(op);
  } else {
    defer(op);
  }
}

void port::request_cancel(io_op& op) noexcept {
  if (!push_cancel(user_data_of(op))) defer(op);
}

// The answer is of no use: whatever it is, the request's own completion tells what happened.
bool port::push_cancel(std::uint64_t user_data) noexcept {
  io_uring_sqe* entry = next_entry();
  if (entry == nullptr) return false;
  io_uring_prep_cancel64(entry, user_data, 0);
  entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  entry->user_data = tag_ignored;
  return true;
}

void port::defer(io_op& op) noexcept {
  assert((op.backend_word & op_deferred) == 0);
  op.backend_word |= op_deferred;
  op.next = nullptr;
  if (deferred_last_ != nullptr) {
    deferred_last_->next = &op;
  } else {
    deferred_ = &op;
  }
  deferred_last_ = &op;
}

void port::undefer(io_op& op) noexcept {
  op.backend_word &= ~op_deferred;
  io_op* before = nullptr;
  for (io_op* o = deferred_; o != &op; o = static_cast<io_op*>(o->next)) before = o;
  auto* following = static_cast<io_op*>(op.next);
  if (before != nullptr) {
    before->next = following;
  } else {
    deferred_ = following;
  }
  if (deferred_last_ == &op) deferred_last_ = before;
}

void port::start_deferred() noexcept {
  if (disarm_wanted_) disarm_wanted();
  io_op* op = std::exchange(deferred_, nullptr);
  deferred_last_ = nullptr;
  while (op != nullptr) {
    auto* following = static_cast<io_op*>(op->next);
    op->backend_word &= ~op_deferred;
    if ((op->backend_word & op_cancel_pushed) != 0) {
      request_cancel(*op);
    } else {
      start(*op);
    }
    op = following;
  }
}

// --- closing ---

void port::close(io_object& object) noexcept {
  if (accept_queue* queue = queue_of(object)) close_accept(*queue);
  if (object.os.owed == 0) return close_now(object);
  object.os.bits |= close_when_settled;
  core_.retain(object);
  core_.work_started();  // a run function goes on until the descriptor is really closed
  // At once for a listener, so that its address can be bound again when this returns, and while
  // nobody runs the port, because the next run may never come and the peer waits for the end.
  const bool at_once = object.listening || !core_.running_here();
  if (at_once && ring_is_mine() && !reaping_ && !shutting_down_) {
    enter(0, time_point::min());
    reap();
  }
}

void port::settle_one(io_object& object) noexcept {
  assert(object.os.owed > 0 && owed_ > 0);
  --object.os.owed;
  --owed_;
}

void port::close_if_settled(io_object& object) noexcept {
  if (object.os.owed != 0 || (object.os.bits & close_when_settled) == 0) return;
  object.os.bits &= ~close_when_settled;
  close_now(object);
  progress_ = true;
  core_.work_finished();
  core_.release(object);
}

void port::close_now(io_object& object) noexcept {
  delete queue_of(object);
  object.os.extra = nullptr;
  ::close(static_cast<int>(std::exchange(object.handle, no_handle)));
}

native_handle port::release(io_object& object) noexcept {
  assert(object.os.owed == 0 && object.os.extra == nullptr);
  return std::exchange(object.handle, no_handle);
}

void port::close_handle(native_handle handle) noexcept { ::close(static_cast<int>(handle)); }

// --- entering the kernel and what comes back ---

int port::enter(unsigned count, time_point until) noexcept {
  const auto where = ring_->unsubmitted() != 0 ? kernel_entry::submit : kernel_entry::wait;
  if (const int error = core_.enter(where).error) return -error;
  return ring_->enter(count, until);
}

void port::wait(time_point until) noexcept {
  progress_ = false;
  if (!wake_armed_) arm_wake();
  start_deferred();
  reap();
  const bool must_return = progress_ || !wake_armed_ || deferred_ != nullptr || disarm_wanted_;
  if (must_return) until = time_point::min();
  const bool no_wait = until == time_point::min();
  if (!no_wait || ring_->unsubmitted() != 0 || ring_->wants_entry()) {
    // Every error is an early return: EINTR and ETIME by nature, EAGAIN and EBUSY because the
    // entries stay in the queue for the next turn.
    enter(no_wait ? 0 : 1, until);
    reap();
  }
  flush_overflow();
}

bool port::has_news() const noexcept {
  return deferred_ != nullptr || disarm_wanted_ || !wake_armed_ || ring_->unsubmitted() != 0 ||
         ring_->wants_entry() || !ring_->empty();
}

// Completions that found the queue full wait in the kernel and come only when asked for.
void port::flush_overflow() noexcept {
  for (unsigned round = 0; round < 64 && ring_->overflowed(); ++round) {
    core_.counts().overflows.add();
    enter(0, time_point::min());
    reap();
  }
}

void port::reap() noexcept {
  reaping_ = true;
  io_uring_cqe cqe{};
  while (ring_->take(cqe)) on_completion(cqe);
  reaping_ = false;
}

void port::on_completion(const io_uring_cqe& cqe) noexcept {
  const std::uint64_t address = cqe.user_data & address_mask;
  switch (cqe.user_data & 15) {
    case tag_operation: {
      auto& op = *reinterpret_cast<io_op*>(address);
      assert(user_data_of(op) == cqe.user_data && op.owed == 1);
      on_operation(op, cqe.res, cqe.flags);
      break;
    }
    case tag_accept:
      on_accept(*reinterpret_cast<accept_queue*>(address), cqe.res, cqe.flags);
      break;
    case tag_wake: on_wake(cqe.res, cqe.flags); break;
    default: break;
  }
}

void port::on_operation(io_op& op, int result, unsigned flags) noexcept {
  io_object& object = *op.object;
  --op.owed;
  settle_one(object);
  // Its cancel was still to be pushed.
  if ((op.backend_word & op_deferred) != 0) undefer(op);
  if ((op.backend_word & op_readiness) != 0) {
    op.backend_word &= ~op_readiness;
    if (result >= 0) result = -EINTR;
  }
  if (op.kind == op_kind::read || op.kind == op_kind::receive) {
    const bool dry = result > 0 && (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
    object.os.bits = dry ? object.os.bits | read_dry : object.os.bits & ~read_dry;
  }
  if ((flags & IORING_CQE_F_BUFFER) != 0) take_chosen_block(op, result, flags);
  const bool bad_address_again = result == -EFAULT && (op.backend_word & op_bad_address) == 0;
  if (means_again(result) || bad_address_again) {
    try_again(op, -result);
  } else {
    finish(op, result);
  }
  close_if_settled(object);
}

void port::try_again(io_op& op, int why) noexcept {
  if ((op.flags & op_cancel_requested) != 0 || shutting_down_) {
    complete(op, boost::asio::error::operation_aborted, 0);
    return;
  }
  // What a thread leaves behind when it ends may be answered with EFAULT: its memory was gone for
  // the kernel, not for us.
  if (why == EFAULT) op.backend_word |= op_bad_address;
  if (op.kind == op_kind::connect) op.backend_word |= op_began;
  if (!ring_is_mine()) return defer(op);
  if (why == EAGAIN || (op.kind == op_kind::connect && why != EINTR)) return submit_readiness(op);
  submit(op);
}

void port::finish(io_op& op, int result) noexcept {
  switch (op.kind) {
    case op_kind::read: return finish_read(op, result);
    case op_kind::receive: return finish_receive(op, result);
    case op_kind::receive_from: return finish_receive_from(op, result);
    case op_kind::connect: return finish_connect(op, result);
    case op_kind::wait: return finish_wait(op, result);
    case op_kind::control: return finish_step(op, result);
    default: break;
  }
  if (result < 0) return fail(op, -result);
  complete(op, {}, static_cast<std::size_t>(result));
}

// --- waking ---

// The counter is not read while the poll lives: each write to it brings a completion of its own.
void port::arm_wake() noexcept {
  if (drain_wake()) progress_ = true;
  io_uring_sqe* entry = next_entry();
  if (entry == nullptr) return;
  io_uring_prep_poll_multishot(entry, wake_, POLLIN);
  entry->user_data = tag_wake;
  wake_armed_ = true;
}

void port::on_wake(int result, unsigned flags) noexcept {
  if (result >= 0) core_.counts().wakeups_received.add();
  if ((flags & IORING_CQE_F_MORE) == 0) {
    wake_armed_ = false;
  } else if (core_.entry_fault(kernel_entry::wake).end_multishot) {
    push_cancel(tag_wake);
  }
  progress_ = true;
}

bool port::drain_wake() noexcept {
  std::uint64_t count = 0;
  return ::read(wake_, &count, sizeof count) == sizeof count;
}

void port::wake() noexcept {
  const std::uint64_t one = 1;
  // A full counter is a pending wake as well, so the result does not matter.
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

}  // namespace fairway::detail::io_uring
