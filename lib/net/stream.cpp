#include <fairway/net/stream.hpp>

#include <fairway/net/unconnected_socket.hpp>

#include "engine/port_core.hpp"
#include "loopback/fast_path.hpp"
#include "net/objects.hpp"
#include "net/socket.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <memory>

namespace fairway::detail {

namespace {

void limit(io_object& object, io_op& op, duration most) {
  if (most > duration::zero()) object.core->arm_deadline(op, object.core->after(most));
}

duration read_limit(const io_object& object) noexcept {
  return object.stream_like ? static_cast<const stream_state&>(object).limits.read : duration{};
}
duration write_limit(const io_object& object) noexcept {
  return object.stream_like ? static_cast<const stream_state&>(object).limits.write : duration{};
}

// No bytes wanted: nothing to ask the kernel.
bool ended_empty(io_object& object, io_op& op, const buffer_list& buffers) noexcept {
  if (buffers.size() != 0 || !object.stream_like) return false;
  object.core->complete(op, {}, 0);
  return true;
}

// Another path carries the stream: only its port may touch it.
result<void> shutdown_elsewhere(io_object& object, bool receive, bool send) {
  if (const ownership here{*object.core}) return shm::shutdown(object, receive, send);
  initiation<void>::hop(*object.core, [&object, receive, send] {
    (void)shm::shutdown(object, receive, send);  // the next operation tells
  });
  return boost::outcome_v2::success();
}

}  // namespace

io_op* claim_read(io_object& object) noexcept {
  return object.read_side->idle() ? object.read_side : nullptr;
}

io_op* claim_write(io_object& object) noexcept {
  return object.write_side->idle() ? object.write_side : nullptr;
}

void start_read(io_object& object, io_op& op, const buffer_list& buffers) {
  op.kind = op_kind::read;
  if (ended_empty(object, op, buffers)) return;
  object.core->set_vecs(op, buffers.data(), buffers.size());
  limit(object, op, read_limit(object));
  object.core->start(op);
}

void start_write(io_object& object, io_op& op, const buffer_list& buffers) {
  op.kind = op_kind::write;
  if (ended_empty(object, op, buffers)) return;
  object.core->set_vecs(op, buffers.data(), buffers.size());
  op.address = nullptr;
  op.address_bytes = 0;
  limit(object, op, write_limit(object));
  object.core->start(op);
}

void start_receive(io_object& object, io_op& op) {
  op.kind = op_kind::receive;
  limit(object, op, read_limit(object));
  object.core->start(op);
}

void start_wait(io_object& object, io_op& op, wait_side side) {
  op.kind = op_kind::wait;
  op.waiting = side == wait_side::read    ? wait_for::read
               : side == wait_side::write ? wait_for::write
                                          : wait_for::error;
  object.core->start(op);
}

namespace {

bool may_go_on(const io_object& object, const io_op& side) noexcept {
  return object.core->may_go_on() && side.idle() && !object.closing;
}

bool carried_by_channel(const io_object& object) noexcept {
  return object.attached != nullptr && object.attached->start != nullptr;
}

bool system_writes_now(port_core& core) noexcept {
  return core.with_backend([](auto& b) {
    return requires(io_object& object, const io_vec& piece) { b.write_now(object, piece); };
  });
}

// Of a channel, which says zero for nothing.
step of_channel(std::size_t moved) noexcept {
  return moved != 0 ? step{moved} : step{};
}

step write_to_system(io_object& object, const buffer_list& from) noexcept {
  if (from.size() != 1 || object.handle == no_handle) return {};
  return object.core->with_backend([&](auto& b) {
    if constexpr (requires { b.write_now(object, *from.data()); }) {
      return b.write_now(object, *from.data());
    } else {
      return step{};
    }
  });
}

}  // namespace

bool may_end_now(const io_object* object, wait_side side) noexcept {
  if (object == nullptr || !object->core->running_here()) return false;
  if (carried_by_channel(*object)) return true;
  return side == wait_side::write && system_writes_now(*object->core);
}

step write_now(io_object& object, const buffer_list& from) noexcept {
  if (!may_go_on(object, *object.write_side)) return {};
  const step put = carried_by_channel(object)
                       ? of_channel(shm::write_now(object, from.data(), from.size()))
                       : write_to_system(object, from);
  if (put) object.core->went_on();
  return put;
}

step read_now(io_object& object, const buffer_list& into, std::size_t least) noexcept {
  if (!may_go_on(object, *object.read_side) || !carried_by_channel(object)) return {};
  const step got = of_channel(shm::read_now(object, into.data(), into.size(), least));
  if (got) object.core->went_on();
  return got;
}

transfer_values take_transfer(io_op& op) noexcept { return {op.result.ec, op.result.bytes}; }

received take_received(io_op& op) noexcept {
  if (op.block == nullptr) return {};
  return {std::exchange(op.block, nullptr), op.result.bytes};
}

void give_received(receive_block* block) noexcept {
  port_core* core = block->core;
  if (core == nullptr) {
    if (block->give != nullptr) return block->give(*block);
    receive_block::free(block);
    return;
  }
  if (ownership here{*core}) {
    core->give_block(*block);
  } else {
    enqueue_hop(*core, &block->hop);
  }
}

const std::byte* received_data(const receive_block* block) noexcept {
  return block->data();
}

io_object* make_stream(completion_port& port, native_handle handle) {
  try {
    return new stream_state{core_of(port), handle};
  } catch (...) {
    sockets::close(handle);
    throw;
  }
}

void tell_path(port_core& counting, io_object& object, path what, path_reason why) noexcept {
  set_path(object, what, why);
  counting.counts().loopback[static_cast<std::size_t>(why)].add();
}

path path_of(const io_object* object) noexcept {
  return object == nullptr ? path::tcp : path_in(*object);
}

path_reason path_reason_of(const io_object* object) noexcept {
  return object == nullptr ? path_reason::not_asked : reason_in(*object);
}

void close_native(std::uintptr_t handle) noexcept { sockets::close(handle); }

result<io_object*> adopt_stream(completion_port& port, std::uintptr_t handle) {
  auto found = sockets::inspect(handle);
  if (!found) return found.error();
  if (found.value().kind != sockets::type::stream || found.value().listening) {
    return boost::system::error_code{boost::asio::error::invalid_argument};
  }
  auto* state = new stream_state{core_of(port), handle};
  const auto local = sockets::local_endpoint(handle);
  if (local && !local.value().is_ip()) mark_local(*state);
  return state;
}

result<io_object*> open_unconnected(completion_port& port, endpoint_family family) {
  endpoint like = family == endpoint_family::v6 ? endpoint::any_v6(0) : endpoint::any_v4(0);
  if (family == endpoint_family::local) {
    BOOST_OUTCOME_TRY(const endpoint unix_domain, endpoint::local("none"));
    like = unix_domain;
  }
  BOOST_OUTCOME_TRY(const native_handle handle, sockets::open(like, sockets::type::stream));
  io_object* made = make_stream(port, handle);
  if (!like.is_ip()) mark_local(*made);
  made->net_bits |= net_unconnected;
  return made;
}

std::uintptr_t handle_of(const io_object* object) noexcept {
  return object == nullptr || object->closing ? no_handle : object->handle;
}

completion_port* port_pointer(const io_object* object) noexcept {
  assert(object != nullptr && "an empty stream, listener or datagram has no executor");
  return &port_of(*object);
}

result<endpoint> local_endpoint_of(const io_object* object) {
  return sockets::local_endpoint(handle_of(object));
}

result<endpoint> remote_endpoint_of(const io_object* object) {
  return sockets::remote_endpoint(handle_of(object));
}

result<void> shutdown_stream(io_object* object, shutdown_kind which) {
  using sockets::half;
  if (object != nullptr && object->attached != nullptr && object->attached->start != nullptr &&
      handle_of(object) != no_handle) {
    return shutdown_elsewhere(*object, which != shutdown_kind::send,
                              which != shutdown_kind::receive);
  }
  const half h = which == shutdown_kind::receive ? half::receive
                 : which == shutdown_kind::send  ? half::send
                                                 : half::both;
  // A write that is begun but only queued for the kernel would find the stream shut.
  if (h != half::receive && handle_of(object) != no_handle && object->core != nullptr) {
    const ownership here{*object->core};
    if (here && !object->write_side->idle()) {
      object->core->with_backend([](auto& b) {
        if constexpr (requires { b.flush(); }) b.flush();
      });
    }
  }
  return sockets::shutdown(handle_of(object), h);
}

void set_stream_timeouts(io_object* object, const timeouts& limits) {
  assert(object != nullptr);
  auto* state = static_cast<stream_state*>(object);
  if (ownership here{*state->core}) {
    state->limits = limits;
  } else {
    initiation<void>::hop(*state->core, [state, limits] { state->limits = limits; });
  }
}

result<std::uintptr_t> release_stream(io_object* object) {
  if (handle_of(object) == no_handle) {
    return boost::system::error_code{boost::asio::error::bad_descriptor};
  }
  ownership here{*object->core};
  if (!here || !object->read_side->idle() || !object->write_side->idle() ||
      (object->control_side != nullptr && !object->control_side->idle())) {
    return boost::system::error_code{boost::asio::error::in_progress};
  }
  const bool carried = object->attached != nullptr && object->attached->start != nullptr;
  if (carried && !shm::leave(*object)) {
    return boost::system::error_code{boost::asio::error::operation_not_supported};
  }
  const native_handle handle =
      object->core->with_backend([&](auto& b) { return b.release(*object); });
  if (handle == no_handle) {
    return boost::system::error_code{boost::asio::error::operation_not_supported};
  }
  object->closing = true;
  return handle;
}

}  // namespace fairway::detail
