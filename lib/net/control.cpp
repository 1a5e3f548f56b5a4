#include <fairway/net/control.hpp>

#include "engine/port_core.hpp"
#include "net/control_state.hpp"
#include "net/objects.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <cstring>
#include <new>
#include <utility>

namespace fairway::detail {

void control_request::set(std::uint32_t number, std::size_t in, std::size_t out) {
  code = number;
  returned = 0;
  input_bytes = static_cast<std::uint32_t>(in);
  output_bytes = static_cast<std::uint32_t>(out);
  const std::size_t all = output_offset() + out;
  large = all > inline_bytes ? std::make_unique<std::byte[]>(all) : nullptr;
  data = large != nullptr ? large.get() : room;
  std::memset(data, 0, all);
}

control_work work_of(const control_request& request) noexcept {
  auto& r = const_cast<control_request&>(request);
  control_work work;
  work.command = static_cast<std::uint8_t>(r.command);
  work.code = r.code;
  work.input = r.input();
  work.output = r.output();
  work.input_bytes = r.input_bytes;
  work.output_bytes = r.output_bytes;
  return work;
}

ioctl_call call_of(const control_work& work, native_handle handle) noexcept {
  ioctl_call call{};
  call.socket = handle;
  call.code = work.code;
  call.command = static_cast<control_id>(work.command);
  call.input = work.input;
  call.input_bytes = work.input_bytes;
  call.output = work.output;
  call.output_bytes = work.output_bytes;
  call.thread = control_system::this_thread();
  return call;
}

namespace {

transport_provider* provider_of(const io_object& object) noexcept {
  return object.core == nullptr ? nullptr : object.core->options().provider;
}

// What can be refused before any call.
error_code check(const io_object& object, const control_request& request) {
  const bool tcp = (object.net_bits & (net_local | net_datagram)) == 0;
  if (request.rules.tcp_only && !tcp) return error::wrong_kind_of_socket;
  if (request.rules.before_connect && (object.net_bits & net_unconnected) == 0) {
    return error::too_late;
  }
  if (request.command != control_id::loopback_fast_path) return {};
  if (!loopback_allowed()) return boost::asio::error::access_denied;
  const auto conditional = get_option<conditional_accept>(object.handle);
  if (conditional && conditional.value().value) return error::conditional_accept_refused;
  return {};
}

// What a command that succeeded has changed.
void note(io_object& object, control_request& request) noexcept {
  if (request.command != control_id::loopback_fast_path) return;
  std::uint32_t on = 0;
  if (request.input_bytes >= sizeof on) std::memcpy(&on, request.input(), sizeof on);
  object.net_bits = static_cast<std::uint8_t>(
      on != 0 ? object.net_bits | net_fast_path : object.net_bits & ~net_fast_path);
}

// --- the synchronous call ---

int ask_system_now(ioctl_call& call, int& error) {
  control_work work;
  work.command = static_cast<std::uint8_t>(call.command);
  work.code = call.code;
  work.input = call.input;
  work.output = call.output;
  work.input_bytes = call.input_bytes;
  work.output_bytes = call.output_bytes;
  control_system::plan(work);
  error = control_system::ask(call.socket, work);
  *call.bytes_returned = error == 0 ? work.returned : 0;
  return error == 0 ? 0 : -1;
}

error_code ask_now(transport_provider* provider, native_handle handle, control_request& request) {
  ioctl_call call = call_of(work_of(request), handle);
  request.returned = 0;
  call.bytes_returned = &request.returned;
  call.go_on = &ask_system_now;
  int error = 0;
  const int status =
      provider != nullptr ? provider->ioctl(call, error) : ask_system_now(call, error);
  if (status == 0) return {};
  request.returned = 0;
  return {error, boost::system::system_category()};
}

// --- the operation ---

void begin_in_system(control_state& state) {
  state.asked_system = true;
  if (!control_system::wait_elsewhere(state)) state.object->core->start(state);
}

int ask_system(ioctl_call& call, int& error) {
  auto& state = static_cast<control_state&>(*call.op);
  assert(!state.asked_system && "a call goes to the system once");
  begin_in_system(state);
  error = state.state == op_state::completing ? state.result.ec.value() : io_pending;
  if (error == 0) *call.bytes_returned = static_cast<std::uint32_t>(state.result.bytes);
  return error == 0 ? 0 : -1;
}

// A provider that completes the call from here on finds nothing, not even a port.
void forget_token(control_state& state) noexcept {
  if (state.token == nullptr) return;
  state.token->op = nullptr;
  state.token->core.store(nullptr, std::memory_order_relaxed);  // see cancel_ticket
  state.token.reset();
}

void cancel_at_provider(io_op& op) {
  control_state& state = state_of(op);
  if (transport_provider* provider = provider_of(*op.object)) {
    provider->cancel(pending_ioctl{state.token});
  }
  forget_token(state);
  // The provider may have completed it with what it had.
  if (op.in_backend()) op.object->core->complete(op, boost::asio::error::operation_aborted, 0);
}

void ask(control_state& state) {
  port_core& core = *state.object->core;
  transport_provider* provider = core.options().provider;
  if (provider == nullptr) [[likely]] return begin_in_system(state);
  ioctl_call call = call_of(state.work, state.object->handle);
  std::uint32_t returned = 0;
  call.bytes_returned = &returned;
  call.overlapped = true;
  call.routine = state.routine;
  call.op = &state;
  call.go_on = &ask_system;
  int error = 0;
  const int status = provider->ioctl(call, error);
  if (state.asked_system || state.state == op_state::completing) return;
  if (status == 0) {
    core.complete(state, {}, returned);
  } else if (error == io_pending) {
    // No backend has it: it ends as a composite does.
    state.kind = op_kind::composite;
    state.on_cancel = &cancel_at_provider;
    core.begin_waiting(state);
  } else {
    core.complete(state, {error, boost::system::system_category()}, 0);
  }
}

// A routine belongs to the thread that asks for it, so that must be the one that runs the port.
struct later : operation {
  explicit later(control_state& s) noexcept : operation{&perform_it}, state{s} {}

  static void perform_it(operation* base, owner_side& side, act what) {
    std::unique_ptr<later> self{static_cast<later*>(base)};
    control_state& state = self->state;
    io_object& object = *state.object;
    if (what == act::run && state.in_backend() && state.generation == self->generation) {
      state.kind = op_kind::control;
      state.on_cancel = nullptr;
      state.state = op_state::started;
      ask(state);
    }
    static_cast<port_core&>(side).release(object);
  }
  static void cancel(io_op& op) {
    op.object->core->complete(op, boost::asio::error::operation_aborted, 0);
  }

  control_state& state;
  std::uint32_t generation = state.generation;
};

void ask_when_running(control_state& state) {
  port_core& core = *state.object->core;
  auto node = std::make_unique<later>(state);
  core.retain(*state.object);
  state.kind = op_kind::composite;
  state.on_cancel = &later::cancel;
  core.begin_waiting(state);
  core.post(node.release());
}

}  // namespace

void control_state::destroy_it(control_op& op, port_core* core) noexcept {
  control_state& state = state_of(op);
  if (state.watch != nullptr) drop_object(state.watch);
  forget_token(state);
  state.~control_state();
  if (core != nullptr) {
    core->blocks.free(&op, sizeof(control_state));
  } else {
    ::operator delete(static_cast<void*>(&op));
  }
}

io_op* claim_control(io_object& object) {
  if (object.control_side == nullptr) {
    static_assert(alignof(control_state) <= 16);
    void* room = object.core->blocks.allocate(sizeof(control_state));
    object.control_side = ::new (room) control_state{object};
  }
  control_state& state = state_of(*object.control_side);
  if (!state.idle()) return nullptr;
  state.kind = op_kind::control;
  state.on_cancel = nullptr;
  state.asked_system = false;
  return &state;
}

control_request& request_of(io_op& op) noexcept { return state_of(op).request; }

void start_control(io_object& object, io_op& op, dispatch how) {
  control_state& state = state_of(op);
  port_core& core = *object.core;
  state.how = how;
  state.routine = how == dispatch::routine;
  state.work = work_of(state.request);
  if (object.closing || object.handle == no_handle) {
    core.complete(op, boost::asio::error::bad_descriptor, 0);
  } else if (const error_code ec = check(object, state.request)) {
    core.complete(op, ec, 0);
  } else {
    control_system::plan(state.work);
    if (state.routine && !core.running_here()) {
      ask_when_running(state);
    } else {
      ask(state);
    }
  }
}

error_code end_control(io_op& op) noexcept {
  control_state& state = state_of(op);
  forget_token(state);
  state.request.returned = op.result.ec ? 0 : static_cast<std::uint32_t>(op.result.bytes);
  if (!op.result.ec) note(*op.object, state.request);
  return op.result.ec;
}

void forget_large(io_op& op) noexcept { state_of(op).request.large.reset(); }

error_code control_now(io_object* object, control_request& request) {
  assert(object != nullptr && "an empty socket has no control codes");
  if (request.rules.waits) return boost::asio::error::would_block;
  if (handle_of(object) == no_handle) return boost::asio::error::bad_descriptor;
  if (const error_code ec = check(*object, request)) return ec;
  const error_code ec = ask_now(provider_of(*object), object->handle, request);
  if (!ec) note(*object, request);
  return ec;
}

// --- the options of listeners and connectors ---

namespace {

// The list of Microsoft's page on SIO_LOOPBACK_FAST_PATH.
bool on_fast_path(option_id id) noexcept {
  switch (id) {
    case option_id::ip_ttl:
    case option_id::ip_unicast_if:
    case option_id::unicast_hops:
    case option_id::ipv6_unicast_if:
    case option_id::v6_only:
    case option_id::conditional_accept:
    case option_id::exclusive_address_use:
    case option_id::port_scalability:
    case option_id::receive_buffer_bytes:
    case option_id::reuse_address:
    case option_id::tcp_urgent_bsd: return true;
    default: return false;
  }
}

path_reason reason_of(const error_code& ec) noexcept {
  if (ec == condition::not_supported) return path_reason::not_supported;
  if (ec == condition::invalid_argument) return path_reason::invalid_argument;
  if (ec == condition::access_denied) return path_reason::access_denied;
  if (ec == condition::network_down) return path_reason::network_down;
  if (ec == condition::in_progress) return path_reason::in_progress;
  if (ec == condition::interrupted || ec == condition::aborted) return path_reason::interrupted;
  return path_reason::refused_by_system;
}

path_reason try_fast_path(io_object& object) {
  control_request request;
  encode(loopback_fast_path{true}, request);
  const auto conditional = get_option<conditional_accept>(object.handle);
  if (conditional && conditional.value().value) return path_reason::conditional_accept;
  const error_code ec = ask_now(provider_of(object), object.handle, request);
  return ec ? reason_of(ec) : path_reason::none;
}

}  // namespace

bool ask_fast_path(io_object& object, const endpoint& target, loopback wanted) {
  if (!target.is_ip()) {
    set_path(object, path::local, path_reason::not_tcp);
    return false;
  }
  const bool loopback_target = target.is_loopback() || target.address().is_unspecified();
  if ((object.net_bits & net_fast_path) != 0) {  // by hand
    if (!loopback_target) {  // without effect then, as the page says
      object.net_bits &= static_cast<std::uint8_t>(~net_fast_path);
      set_path(object, path::tcp, path_reason::not_loopback);
      return false;
    }
    set_path(object, path::kernel_fast_path, path_reason::none);
    return true;
  }
  path_reason why = path_reason::not_asked;
  if (asks_kernel(wanted)) {
    why = !loopback_allowed() ? path_reason::refused_by_environment
          : !loopback_target  ? path_reason::not_loopback
                              : try_fast_path(object);
  }
  if (why != path_reason::none) {
    set_path(object, path::tcp, why);
    return false;
  }
  object.net_bits |= net_fast_path;
  set_path(object, path::kernel_fast_path, why);
  return true;
}

error_code may_set_option(const io_object* object, option_id id) noexcept {
  if (object == nullptr) return {};
  if (path_in(*object) == path::shared_memory) {
    // A close looks for linger.
    const bool has = on_fast_path(id) || id == option_id::linger;
    return has ? error_code{} : error_code{error::option_off_fast_path};
  }
  if ((object->net_bits & net_fast_path) == 0) return {};
  if (id == option_id::conditional_accept) return error::conditional_accept_refused;
  return on_fast_path(id) ? error_code{} : error_code{error::option_off_fast_path};
}

}  // namespace fairway::detail
