#include "engine/control_op.hpp"
#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <cstring>

namespace fairway::detail {

namespace {

// What one costs, in handlers: it makes a connection, with system calls and memory of its own.
constexpr unsigned accept_weight = 16;

void perform_io(operation* base, owner_side& side, act what) {
  auto& op = *static_cast<io_op*>(base);
  assert(op.state == op_state::completing && op.handler != nullptr);
  if (op.kind == op_kind::accept) {
    static_cast<port_core&>(side).look_sooner(accept_weight - 1);
  }
  handler_base* handler = op.handler;
  (what == act::run ? handler->complete : handler->discard)(handler, op);
}

void perform_release(operation* base, owner_side& side, act) {
  auto& core = static_cast<port_core&>(side);
  // The hop is a member; step back to the object that contains it.
  auto* object = reinterpret_cast<io_object*>(reinterpret_cast<std::byte*>(base) -
                                              offsetof(io_object, release_hop));
  core.close(*object);
  core.release(*object);
}

// By another path of its object.
bool carried_elsewhere(const io_op& op) noexcept {
  const io_attachment* const attached = op.object->attached;
  return attached != nullptr && attached->start != nullptr && (op.flags & op_background) == 0;
}

testing::operation_kind public_kind(op_kind kind) noexcept {
  using testing::operation_kind;
  switch (kind) {
    case op_kind::accept: return operation_kind::accept;
    case op_kind::connect: return operation_kind::connect;
    case op_kind::read: return operation_kind::read;
    case op_kind::write: return operation_kind::write;
    case op_kind::receive: return operation_kind::receive;
    case op_kind::receive_from: return operation_kind::receive_from;
    case op_kind::send_to: return operation_kind::send_to;
    case op_kind::control: return operation_kind::control;
    default: return operation_kind::wait;
  }
}

}  // namespace

io_op::io_op(op_kind k) noexcept : operation{&perform_io}, result{}, kind{k} {}

io_object::io_object(port_core& c, destroy_fn d) noexcept
    : core{&c}, destroy{d}, release_hop{&perform_release} {
  c.add(*this);
}

void port_core::attach(io_op& op, handler_base* handler) noexcept {
  assert(op.idle() && op.object != nullptr);
  op.handler = handler;
  op.state = op_state::started;
  op.set_result({}, 0);
  ++local_work_;
  counts_.in_flight.add();
  retain(*op.object);
}

void port_core::attach_background(io_op& op, handler_base* handler) noexcept {
  attach(op, handler);
  op.flags |= op_background;
  --local_work_;
  counts_.in_flight.subtract();
}

void port_core::start(io_op& op) noexcept {
  assert(op.state == op_state::started);
  counts_.submissions.add();
  if (shutting_down_) {
    complete(op, boost::asio::error::operation_aborted, 0);
  } else if (op.object->closing || op.object->handle == no_handle) {
    complete(op, boost::asio::error::bad_descriptor, 0);
  } else if (carried_elsewhere(op)) {
    op.object->attached->start(op);
  } else {
    backend_.with([&](auto& b) { b.start(op); });
  }
  if (op.state == op_state::started) op.state = op_state::pending;
}

void port_core::complete(io_op& op, error_code ec, std::size_t bytes) noexcept {
  if (!op.in_backend()) {
    counts_.overflows.add();
    return;
  }
  bool repeat = false;
  if (options_.faults != nullptr && !shutting_down_) [[unlikely]] {
    repeat = apply_fault(op, ec, bytes);
  }
  if ((op.flags & op_timed_out) != 0 && ec == boost::asio::error::operation_aborted) {
    ec = boost::asio::error::timed_out;
  }
  op.set_result(ec, bytes);
  if (op.state == op_state::started) counts_.inline_completions.add();
  counts_.completions.add();
  op.state = op_state::completing;
  disarm_deadline(op);
  queue_completion(op);
  if (repeat) [[unlikely]] complete(op, ec, bytes);  // comes for an operation that has ended
}

bool port_core::apply_fault(io_op& op, error_code& ec, std::size_t& bytes) noexcept {
  const auto fault = options_.faults->on_completion(public_kind(op.kind), ec.value(), bytes);
  if (fault.error != 0 && !ec) {
    ec = error_code{fault.error, boost::asio::error::get_system_category()};
    bytes = 0;
  }
  op.delay_turns = static_cast<std::uint16_t>(fault.delay_turns);
  return fault.repeat;
}

void port_core::queue_completion(io_op& op) noexcept {
  if (op.delay_turns != 0) [[unlikely]] {
    op.next = delayed_;
    delayed_ = &op;
    return;
  }
  ready.push(&op);
}

void port_core::release_delayed() noexcept {
  operation* held = delayed_;
  delayed_ = nullptr;
  while (held != nullptr) {
    auto& op = *static_cast<io_op*>(held);
    held = op.next;
    --op.delay_turns;
    queue_completion(op);
  }
}

void port_core::finish(io_op& op) noexcept {
  assert(op.state == op_state::completing);
  if (op.vec_capacity != 0) {
    blocks.free(op.vecs, op.vec_capacity * sizeof(io_vec));
    op.vec_capacity = 0;
  }
  op.vecs = nullptr;
  if (op.result_handle != no_handle) {
    // Accepted, and nobody took it: the handler is being discarded.
    backend_.with([&](auto& b) { b.close_handle(op.result_handle); });
    op.result_handle = no_handle;
  }
  if (op.block != nullptr) {
    give_block(*op.block);
    op.block = nullptr;
  }
  if (op.ticket != nullptr) [[unlikely]] {
    op.ticket->op = nullptr;
    op.ticket->core.store(nullptr, std::memory_order_relaxed);
    op.ticket.reset();
  }
  const bool counted = (op.flags & op_background) == 0;
  op.handler = nullptr;
  op.flags = 0;
  op.backend_data = nullptr;
  op.backend_word = 0;
  ++op.generation;
  op.state = op_state::idle;
  if (counted) {
    --local_work_;
    counts_.in_flight.subtract();
  }
  release(*op.object);
}

void port_core::cancel(io_op& op) noexcept {
  if (!op.in_backend()) return;
  op.flags |= op_cancel_requested;
  if (op.kind == op_kind::timer) {
    complete(op, boost::asio::error::operation_aborted, 0);
  } else if (op.kind == op_kind::composite) {
    op.on_cancel(op);
  } else if ((op.flags & op_held) != 0) {
    if ((op.flags & op_waits_for_block) != 0) forget_block_waiter(op);
    op.object->attached->cancel(op);
  } else if ((op.flags & op_waits_for_block) != 0) {
    forget_block_waiter(op);
    complete(op, boost::asio::error::operation_aborted, 0);
  } else {
    backend_.with([&](auto& b) { b.cancel(op); });
  }
}

void port_core::arm_deadline(io_op& op, time_point when) {
  const bool armed_before = op.deadline.armed;
  timers_.arm(op, when);
  if (!armed_before) counts_.timers.add();
}

void port_core::disarm_deadline(io_op& op) noexcept {
  if (!op.deadline.armed) return;
  timers_.disarm(op);
  counts_.timers.subtract();
}

void port_core::set_vecs(io_op& op, const io_vec* vecs, unsigned count) {
  if (count <= 1) {
    op.one = count == 1 ? *vecs : io_vec{};
    op.vecs = &op.one;
    op.vec_count = count;
    return;
  }
  auto* copy = static_cast<io_vec*>(blocks.allocate(count * sizeof(io_vec)));
  std::memcpy(copy, vecs, count * sizeof(io_vec));
  op.vecs = copy;
  op.vec_count = count;
  op.vec_capacity = count;
}

void port_core::add(io_object& object) noexcept {
  std::lock_guard lock{objects_mutex_};
  object.next = objects_;
  if (objects_ != nullptr) objects_->previous = &object;
  objects_ = &object;
}

void port_core::close(io_object& object) noexcept {
  if (object.closing) return;
  object.closing = true;
  if (object.attached != nullptr && object.attached->on_close != nullptr) {
    object.attached->on_close(object);
  }
  for (io_op* op : object.operations()) {
    if (op != nullptr) cancel(*op);
  }
  if (object.handle != no_handle) {
    backend_.with([&](auto& b) { b.close(object); });
  }
}

void port_core::release(io_object& object) noexcept {
  assert(object.references > 0);
  if (--object.references != 0) return;
  for (io_op* op : object.operations()) {
    if (op == nullptr) continue;
    forget_deadline(*op);
  }
  {
    std::lock_guard lock{objects_mutex_};
    (object.previous != nullptr ? object.previous->next : objects_) = object.next;
    if (object.next != nullptr) object.next->previous = object.previous;
  }
  drop_control(object);
  object.destroy(&object);
}

receive_block* port_core::take_block(io_op& op) noexcept {
  if (receive_block* block = buffers_.take()) return block;
  counts_.overflows.add();
  if (buffers_.none_made()) {
    complete(op, boost::asio::error::no_memory, 0);
    return nullptr;
  }
  op.flags |= op_waits_for_block;
  op.next = nullptr;
  (block_waiters_last_ == nullptr ? block_waiters_ : block_waiters_last_->next) = &op;
  block_waiters_last_ = &op;
  return nullptr;
}

void port_core::forget_block_waiter(io_op& op) noexcept {
  op.flags &= static_cast<std::uint8_t>(~op_waits_for_block);
  operation* before = nullptr;
  for (operation* o = block_waiters_; o != &op; o = o->next) before = o;
  (before == nullptr ? block_waiters_ : before->next) = op.next;
  if (block_waiters_last_ == &op) block_waiters_last_ = before;
}

void port_core::give_block(receive_block& block) noexcept {
  if (block.give != nullptr) return block.give(block);
  buffers_.give(block);
  // A receive that finds the end of its stream gives the block back while it is started here: the
  // outer call goes on with the next one, however many wait.
  if (starting_waiters_) return;
  starting_waiters_ = true;
  while (block_waiters_ != nullptr && buffers_.any_free() && !shutting_down_) {
    auto& op = *static_cast<io_op*>(block_waiters_);
    forget_block_waiter(op);
    if ((op.flags & op_held) != 0) {
      op.object->attached->block_came(op);
      continue;
    }
    op.state = op_state::started;
    backend_.with([&](auto& b) { b.start(op); });
    if (op.state == op_state::started) op.state = op_state::pending;
  }
  starting_waiters_ = false;
}

}  // namespace fairway::detail
