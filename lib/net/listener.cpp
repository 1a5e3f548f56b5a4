#include <fairway/net/listener.hpp>

#include "engine/port_core.hpp"
#include "loopback/fast_path.hpp"
#include "net/control_state.hpp"
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
    waiting.object = accepting.object = pausing.object = this;
    waiting.on_cancel = &on_cancel;
    read_side = &accepting;
    write_side = &waiting;
    basics.extra[0] = &pausing;
    basics.on_close = &remove_path;
    attached = &basics;
  }
  static void destroy_it(io_object* object) noexcept {
    if (object->attached->destroy != nullptr) object->attached->destroy(*object);
    delete static_cast<listener_state*>(object);
  }
  // With the close and not later: then the file may be another listener's. In a child made by fork
  // it is still the parent's.
  static void remove_path(io_object& object) noexcept {
    auto& self = static_cast<listener_state&>(object);
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

  io_attachment basics;  // until a rendezvous takes its place
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
  error_code ec = op.result.ec;
  native_handle socket = std::exchange(op.result_handle, no_handle);
  if (transport_provider* provider = self.core->options().provider; provider && !ec) {
    ec = ask_provider(provider, [&](transport_provider& p, int& error) {
      return p.accept(self.handle, socket, error);
    });
    if (ec) sockets::close(std::exchange(socket, no_handle));
  }
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

// What goes before listening, in the one order that is right for all of it.
result<void> prepare(listener_state& state, const endpoint& local, const listen_options& options) {
  const native_handle handle = state.handle;
  transport_provider* provider = state.core->options().provider;
  // Before everything else: it is for a socket that is neither bound nor listening.
  ask_fast_path(state, local, options.loopback);
  if (local.is_ip()) {
    BOOST_OUTCOME_TRY(sockets::claim_address(handle, options.reuse_address));
  }
  if (options.reuse_port) {
    BOOST_OUTCOME_TRY(set_option(handle, reuse_port{true}));
  }
  if (local.family() == endpoint_family::v6) {
    const bool any = local.address().is_unspecified();
    BOOST_OUTCOME_TRY(set_option(handle, v6_only{options.v6_only.value_or(!any)}));
  }
  if (!local.is_ip()) sockets::remove_stale_path(local);
  if (const error_code ec = ask_provider(provider, [&](transport_provider& p, int& error) {
        return p.bind(handle, local.data(), local.size(), error);
      })) {
    return ec;
  }
  BOOST_OUTCOME_TRY(sockets::bind(handle, local));
  if (const error_code ec = ask_provider(provider, [&](transport_provider& p, int& error) {
        return p.listen(handle, options.backlog, error);
      })) {
    return ec;
  }
  return sockets::listen(handle, options.backlog);
}

// The rendezvous of shared memory, when the options ask for it. Never an error.
void open_paths(listener_state& state) {
  if (!state.ip || !asks_shared_memory(state.options.loopback)) return;
  if ((state.net_bits & net_fast_path) != 0) return;  // the kernel's path is on
  if (!loopback_allowed()) {
    set_path(state, path::tcp, path_reason::refused_by_environment);
  } else if (const ownership here{*state.core}) {
    shm::open_rendezvous(state);
  } else {
    // The port runs elsewhere; a connection that comes before that is TCP.
    initiation<void>::hop(*state.core, [&state] {
      if (!state.closing) shm::open_rendezvous(state);
    });
  }
}

result<io_object*> listen_on(port_core& core, native_handle handle, std::uint8_t bits,
                             const endpoint& local, const listen_options& options) {
  std::unique_ptr<endpoint> owned_path;
  listener_state* state = nullptr;
  try {
    if (!local.is_ip()) owned_path = std::make_unique<endpoint>(local);
    state = new listener_state{core, handle, options};
  } catch (...) {
    sockets::close(handle);
    throw;
  }
  state->net_bits = bits;
  state->ip = local.is_ip();
  if (auto done = prepare(*state, local, options); !done) {
    drop_object(state);
    return done.error();
  }
  state->owned_path = std::move(owned_path);
  open_paths(*state);
  return state;
}

}  // namespace

result<io_object*> open_listener(completion_port& port, const endpoint& local,
                                 const listen_options& options) {
  BOOST_OUTCOME_TRY(const native_handle handle, sockets::open(local, sockets::type::stream));
  return listen_on(core_of(port), handle, local.is_ip() ? std::uint8_t{0} : net_local, local,
                   options);
}

result<io_object*> listen_with(io_object* object, const endpoint& local,
                               const listen_options& options) {
  port_core& core = core_of(port_of(*object));
  const bool joined = object->registered;
  BOOST_OUTCOME_TRY(const native_handle handle, release_stream(object));
  const auto bits = static_cast<std::uint8_t>(object->net_bits & ~net_unconnected);
  BOOST_OUTCOME_TRY(io_object* made, listen_on(core, handle, bits, local, options));
  if (!joined) return made;
  // Whether a socket that has left its port may join again is the system's to say: at once, rather
  // than at the first accept.
  const ownership here{core};
  if (!here) return made;
  if (const error_code ec = core.with_backend([&](auto& b) { return b.open(*made); })) {
    drop_object(made);
    return ec;
  }
  return made;
}

result<io_object*> adopt_listener(completion_port& port, std::uintptr_t handle,
                                  const listen_options& options) {
  BOOST_OUTCOME_TRY(const sockets::facts found, sockets::inspect(handle));
  if (found.kind != sockets::type::stream || !found.listening) {
    return boost::system::error_code{boost::asio::error::invalid_argument};
  }
  BOOST_OUTCOME_TRY(const endpoint local, sockets::local_endpoint(handle));
  auto* state = new listener_state{core_of(port), handle, options};
  state->ip = local.is_ip();
  if (state->ip) {
    const bool asked = options.loopback != loopback::off;
    set_path(*state, path::tcp, asked ? path_reason::asked_too_late : path_reason::not_asked);
    open_paths(*state);
  } else {
    mark_local(*state);
  }
  return state;
}

namespace {

// Shared memory for an accepted connection, if the listener has a rendezvous.
void match_paths(listener_state& state, io_object& accepted) {
  if (!asks_shared_memory(state.options.loopback)) return;
  if (state.attached != &state.basics) return shm::match(state, accepted);
  tell_path(*state.core, accepted, path::tcp, reason_in(accepted));
}

// "Any sockets that are accepted will use the fast path for loopback" (SIO_LOOPBACK_FAST_PATH).
bool inherits_fast_path(const io_object& listening, native_handle accepted) {
  if ((listening.net_bits & net_fast_path) == 0) return false;
  const auto peer = sockets::remote_endpoint(accepted);
  return peer && peer.value().is_loopback();
}

}  // namespace

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
  const bool fast = state.ip && inherits_fast_path(state, handle);
  if (state.ip && state.options.no_delay && !fast) {
    // Fails only for a connection that is gone already, which its first read will tell.
    (void)set_option(handle, no_delay{true});
  }
  completion_port& port = state.target != nullptr ? *state.target : port_of(state);
  try {
    io_object* accepted = make_stream(port, handle);
    if (!state.ip) {
      mark_local(*accepted);
    } else if (fast) {
      accepted->net_bits |= net_fast_path;
      set_path(*accepted, path::kernel_fast_path, path_reason::none);
    } else {
      const bool taken = (state.net_bits & net_fast_path) != 0;
      set_path(*accepted, path::tcp, taken ? path_reason::not_loopback : reason_in(state));
      match_paths(state, *accepted);
    }
    return {op.result.ec, stream{accepted}};
  } catch (const std::bad_alloc&) {
    return failure(boost::asio::error::no_memory);
  }
}

}  // namespace fairway::detail
