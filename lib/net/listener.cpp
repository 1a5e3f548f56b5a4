#include <fairway/net/listener.hpp>

#include "engine/port_core.hpp"
#include "net/objects.hpp"
#include "net/resolver_system.hpp"
#include "net/socket.hpp"

#include <boost/asio/error.hpp>

#include <chrono>
#include <memory>
#include <new>
#include <utility>

namespace fairway::detail {

namespace {

constexpr std::chrono::milliseconds accept_pause{100};

// The user's operation (`waiting`) is made of one engine operation (`accepting`) and, when
// descriptors ran out, of a pause (`pausing`) before the next try.
struct listener_state : io_object {
  listener_state(port_core& owner, native_handle socket, const listen_options& o)
      : io_object{owner, &destroy_it}, options{o}, accepted{&on_accepted}, paused{&on_paused} {
    handle = socket;
    listening = true;
    on_close = &remove_path;
    waiting.object = accepting.object = pausing.object = this;
    waiting.on_cancel = &on_cancel;
    read_side = &accepting;
    write_side = &waiting;
    extra_side = &pausing;
  }
  static void destroy_it(io_object* object) noexcept {
    delete static_cast<listener_state*>(object);
  }
  // With the close and not later: then the file may be another listener's. In a child made by fork
  // it is still the parent's.
  static void remove_path(io_object* object) noexcept {
    auto& self = *static_cast<listener_state*>(object);
    if (self.owned_path == nullptr || self.process != process_number()) return;
    sockets::remove_path(*self.owned_path);
  }

  struct step : handler_base {
    explicit step(function f) noexcept : handler_base{f, &on_discard} {}
    static void on_discard(handler_base*, io_op& op) { finish(op); }
  };
  static void on_cancel(io_op& op);
  static void on_accepted(handler_base*, io_op& op);
  static void on_paused(handler_base*, io_op& op);
  void accept_next();
  void pause();
  void end(error_code ec);

  listen_options options;
  completion_port* target = nullptr;  // null: the listener's own port
  bool ip = true;                        // not unix-domain
  std::unique_ptr<endpoint> owned_path;  // null: no file to remove
  const long process = process_number();
  step accepted;
  step paused;
  io_op waiting{op_kind::composite};
  io_op accepting{op_kind::accept};
  io_op pausing{op_kind::timer};
};

bool out_of_resources(const error_code& ec) noexcept {
  return ec == condition::no_descriptors || ec == boost::asio::error::no_memory ||
         ec == boost::asio::error::no_buffer_space;
}

void listener_state::accept_next() {
  core->attach(accepting, &accepted);
  core->start(accepting);
}

void listener_state::pause() {
  core->counts().accept_pauses.add();
  core->attach(pausing, &paused);
  core->begin_waiting(pausing);
  core->arm_deadline(pausing, core->now() + accept_pause);
}

void listener_state::end(error_code ec) { core->complete(waiting, ec, 0); }

void listener_state::on_cancel(io_op& op) {
  auto& self = *static_cast<listener_state*>(op.object);
  // Whichever step is in flight ends, and ends the whole. A step that has already ended, with its
  // handler still queued, delivers what it has.
  self.core->cancel(self.accepting);
  self.core->cancel(self.pausing);
}

void listener_state::on_accepted(handler_base*, io_op& op) {
  auto& self = *static_cast<listener_state*>(op.object);
  const error_code ec = op.result.ec;
  const native_handle socket = std::exchange(op.result_handle, no_handle);
  const bool cancelled = (self.waiting.flags & op_cancel_requested) != 0;
  self.core->retain(self);
  finish(op);
  if (ec && out_of_resources(ec) && !cancelled && !self.closing) {
    // A fault schedule may have put the error in the place of a success.
    if (socket != no_handle) sockets::close(socket);
    self.pause();
  } else {
    self.waiting.result_handle = socket;
    self.end(cancelled && ec ? error_code{boost::asio::error::operation_aborted} : ec);
  }
  self.core->release(self);
}

void listener_state::on_paused(handler_base*, io_op& op) {
  auto& self = *static_cast<listener_state*>(op.object);
  const error_code ec = op.result.ec;
  self.core->retain(self);
  finish(op);
  if (ec || (self.waiting.flags & op_cancel_requested) != 0) {
    self.end(boost::asio::error::operation_aborted);
  } else {
    self.accept_next();
  }
  self.core->release(self);
}

result<void> prepare(native_handle handle, const endpoint& local, const listen_options& options) {
  const bool ip = local.family() != endpoint_family::local;
  if (ip) {
    BOOST_OUTCOME_TRY(sockets::claim_address(handle, options.reuse_address));
  }
  if (options.reuse_port) {
    BOOST_OUTCOME_TRY(set_option(handle, reuse_port{true}));
  }
  if (local.family() == endpoint_family::v6) {
    const bool any = local.address().is_unspecified();
    BOOST_OUTCOME_TRY(set_option(handle, v6_only{options.v6_only.value_or(!any)}));
  }
  if (!ip) sockets::remove_stale_path(local);
  BOOST_OUTCOME_TRY(sockets::bind(handle, local));
  return sockets::listen(handle, options.backlog);
}

}  // namespace

result<io_object*> open_listener(completion_port& port, const endpoint& local,
                                 const listen_options& options) {
  BOOST_OUTCOME_TRY(const native_handle handle, sockets::open(local, sockets::type::stream));
  if (auto done = prepare(handle, local, options); !done) {
    sockets::close(handle);
    return done.error();
  }
  try {
    const bool ip = local.family() != endpoint_family::local;
    auto owned_path = ip ? nullptr : std::make_unique<endpoint>(local);
    auto* state = new listener_state{core_of(port), handle, options};
    state->ip = ip;
    state->owned_path = std::move(owned_path);
    return state;
  } catch (...) {
    sockets::close(handle);
    throw;
  }
}

result<io_object*> adopt_listener(completion_port& port, std::uintptr_t handle,
                                  const listen_options& options) {
  BOOST_OUTCOME_TRY(const sockets::facts found, sockets::inspect(handle));
  if (found.kind != sockets::type::stream || !found.listening) {
    return boost::system::error_code{boost::asio::error::invalid_argument};
  }
  BOOST_OUTCOME_TRY(const endpoint local, sockets::local_endpoint(handle));
  auto* state = new listener_state{core_of(port), handle, options};
  state->ip = local.family() != endpoint_family::local;
  return state;
}

io_op* listener_accept::claim(io_object& object) noexcept {
  auto& state = static_cast<listener_state&>(object);
  return state.waiting.idle() ? &state.waiting : nullptr;
}

void listener_accept::start(io_object& object, io_op& op, completion_port* target) {
  auto& state = static_cast<listener_state&>(object);
  state.core->begin_waiting(op);
  state.target = target;
  state.accept_next();
}

listener_accept::values listener_accept::take(io_op& op) noexcept {
  auto& state = *static_cast<listener_state*>(op.object);
  const native_handle handle = std::exchange(op.result_handle, no_handle);
  if (handle == no_handle) return {op.result.ec, stream{}};
  if (state.ip && state.options.no_delay) {
    // Fails only for a connection that is gone already, which its first read will tell.
    (void)set_option(handle, no_delay{true});
  }
  completion_port& port = state.target != nullptr ? *state.target : port_of(state);
  try {
    io_object* accepted = make_stream(port, handle);
    if (!state.ip) set_path(*accepted, path::local, path_reason::not_tcp);
    return {op.result.ec, stream{accepted}};
  } catch (const std::bad_alloc&) {
    return failure(boost::asio::error::no_memory);
  }
}

}  // namespace fairway::detail
