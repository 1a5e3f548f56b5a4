#include <fairway/net/connector.hpp>

#include "engine/port_core.hpp"
#include "loopback/fast_path.hpp"
#include "loopback/layout.hpp"
#include "net/connect_plan.hpp"
#include "net/control_state.hpp"
#include "net/objects.hpp"
#include "net/resolver.hpp"
#include "net/socket.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace fairway::detail {

namespace {

namespace net_error = boost::asio::error;

struct connector_state;

// connect(2): a unix-domain socket that does not block gets EAGAIN while the listener's backlog is
// full, and nothing tells when it no longer is. io_uring waits by itself.
constexpr std::chrono::milliseconds backlog_pause{5};

/// One socket on its way to one address. Lives until its connect operation has ended, which may be
/// after the connector lost interest in it or has gone.
struct running_attempt : handler_base {
  running_attempt(connector_state& connecting, std::size_t number, const endpoint& to) noexcept
      : handler_base{&ended, &discarded}, owner(&connecting), index(number), target(to) {}
  running_attempt(const running_attempt&) = delete;
  running_attempt& operator=(const running_attempt&) = delete;
  ~running_attempt() {
    shm::withdraw(offered);
    if (socket) {
      drop_object(socket);
    }
  }

  static void ended(handler_base* base, io_op& op);
  static void discarded(handler_base* base, io_op& op);

  io_op& operation() const noexcept { return static_cast<stream_state*>(socket)->writing; }

  connector_state* owner;  // null: not wanted any more
  std::size_t index;
  endpoint target;              // the operation points to it
  io_object* socket = nullptr;  // a reference; null before the start and for the winner
  shm::offer* offered = nullptr;  // null: nothing but TCP
  bool plain = false;             // without an offer: one failed for its source
};

/// A name on its way through the resolver, and the node that brings the answer to the port. Lives
/// until then, unless it is dropped before the resolver has posted it.
struct running_look_up : operation {
  running_look_up(connector_state& asking, std::string host, std::string service);
  static void post_answer(void* self) noexcept;
  static void arrived(operation* base, owner_side& side, act what);

  port_core& core;
  connector_state* owner;  // null: not wanted any more
  std::shared_ptr<name_query> query;
};

/// The state of a connector. The composite operation is in flight for the whole connect and keeps
/// this alive; the plan decides, this performs. Its deadline is the plan's timer.
struct connector_state : io_object {
  connector_state(port_core& owner, const connect_options& given)
      : io_object{owner, &destroy_it}, options(given) {
    connecting.object = this;
    connecting.on_cancel = &on_cancel_or_timer;
    write_side = &connecting;
  }
  static void destroy_it(io_object* object) noexcept {
    delete static_cast<connector_state*>(object);
  }
  ~connector_state() {
    if (winner) {
      drop_object(winner);
    }
    if (supplied) {
      drop_object(supplied);
    }
  }

  static void on_cancel_or_timer(io_op& op);
  void begin();
  void look_up(const std::string& host, const std::string& service);
  void arrived(std::span<const endpoint> found, error_code ec) noexcept;
  void drop_look_up() noexcept;
  void pump() noexcept;
  void perform(const connect_plan::action& action);
  void start_attempt(std::size_t index);
  void start_connect(running_attempt* attempt) noexcept;
  void pause(running_attempt* attempt) noexcept;
  error_code usable(const io_object& socket) const;
  void launch(std::size_t index, bool plain);
  void offer_loopback(running_attempt& attempt) noexcept;
  error_code open_socket(running_attempt& attempt);
  void attempt_ended(running_attempt& attempt, error_code ec);
  void cancel_attempt(std::size_t index) noexcept;
  void conclude(std::size_t index, error_code ec) noexcept;

  const connect_options options;
  io_op connecting{op_kind::composite};
  std::optional<connect_plan> plan;       // empty before the first connect
  running_look_up* looking_up = nullptr;  // null unless a name is on its way
  std::vector<running_attempt*> running;  // by index; null once ended or cancelled
  io_object* supplied = nullptr;          // a reference: the socket to connect; null: make one
  io_object* winner = nullptr;            // a reference, until the completion takes it
};

void running_attempt::ended(handler_base* base, io_op& op) {
  std::unique_ptr<running_attempt> self(static_cast<running_attempt*>(base));
  const error_code ec = op.result.ec;
  const bool paused = op.kind == op_kind::timer;
  finish(op);
  if (!self->owner) {
    return;
  }
  if (paused) {
    self->owner->start_connect(self.release());
  } else if (ec == net_error::try_again && !self->target.is_ip()) {
    self->owner->pause(self.release());
  } else {
    self->owner->attempt_ended(*self, ec);
  }
}

void running_attempt::discarded(handler_base* base, io_op& op) {
  const std::unique_ptr<running_attempt> self(static_cast<running_attempt*>(base));
  finish(op);
  if (self->owner) {
    self->owner->running[self->index] = nullptr;
  }
}

void connector_state::begin() {
  core->begin_waiting(connecting);
  running.clear();
  plan.emplace(options, core->now());
}

/// The engine's way to say "end now" and "the deadline has come".
void connector_state::on_cancel_or_timer(io_op& op) {
  auto& self = static_cast<connector_state&>(*op.object);
  const bool deadline = (op.flags & op_timed_out) != 0;
  op.flags &= static_cast<std::uint8_t>(~(op_timed_out | op_cancel_requested));
  if (deadline) {
    self.plan->timer(self.core->now());
  } else {
    self.plan->cancel(self.core->now());
  }
  self.pump();
}

running_look_up::running_look_up(connector_state& asking, std::string host, std::string service)
    : operation{&arrived},
      core(*asking.core),
      owner(&asking),
      query(std::make_shared<name_query>(std::move(host), std::move(service), &post_answer, this)) {
}

/// On the resolver thread, while the query is not closed: then the port is there.
void running_look_up::post_answer(void* self) noexcept {
  auto* const node = static_cast<running_look_up*>(self);
  node->core.post(node);
}

void running_look_up::arrived(operation* base, owner_side&, act what) {
  const std::unique_ptr<running_look_up> self(static_cast<running_look_up*>(base));
  // Waits until the resolver's thread has left post_answer: after that the port may go.
  self->query->close();
  if (!self->owner) {
    return;
  }
  self->owner->looking_up = nullptr;
  if (what == act::run) {
    self->owner->arrived(self->query->found(), self->query->error());
    self->owner->pump();
  }
}

void connector_state::look_up(const std::string& host, const std::string& service) {
  auto asked = std::make_unique<running_look_up>(*this, host, service);
  if (asked->query->start()) {
    arrived(asked->query->found(), asked->query->error());
  } else {
    looking_up = asked.release();
  }
}

void connector_state::arrived(std::span<const endpoint> found, error_code ec) noexcept {
  try {
    plan->arrived(connect_plan::answer::whole, found, ec, core->now());
  } catch (const std::bad_alloc&) {
    plan->cancel(core->now(), net_error::no_memory);
  }
}

void connector_state::drop_look_up() noexcept {
  running_look_up* const dropped = std::exchange(looking_up, nullptr);
  if (!dropped) {
    return;
  }
  dropped->owner = nullptr;
  if (!dropped->query->close()) {
    delete dropped;  // else the port has it, or will have it in a moment
  }
}

void connector_state::pump() noexcept {
  for (;;) {
    try {
      while (const auto action = plan->next()) {
        perform(*action);
      }
      return;
    } catch (const std::bad_alloc&) {
      // What follows are cancels and the end, which need no memory.
      plan->cancel(core->now(), net_error::no_memory);
    }
  }
}

void connector_state::perform(const connect_plan::action& action) {
  switch (action.what) {
    case connect_plan::step::start:
      return start_attempt(action.attempt);
    case connect_plan::step::cancel:
      return cancel_attempt(action.attempt);
    case connect_plan::step::arm:
      return core->arm_deadline(connecting, action.when);
    case connect_plan::step::done:
      return conclude(action.attempt, action.error);
  }
}

void connector_state::start_attempt(std::size_t index) {
  assert(index == running.size());
  running.push_back(nullptr);
  launch(index, false);
}

void connector_state::launch(std::size_t index, bool plain) {
  auto attempt = std::make_unique<running_attempt>(*this, index, plan->attempts()[index].target);
  attempt->plain = plain;
  if (const error_code ec = open_socket(*attempt)) {
    plan->failed(index, ec, core->now());
    return;
  }
  if (const error_code ec = ask_provider(
          core->options().provider, [&](transport_provider& provider, int& error) {
            return provider.connect(attempt->socket->handle, attempt->target.data(),
                                    static_cast<std::uint32_t>(attempt->target.size()), error);
          })) {
    plan->failed(index, ec, core->now());
    return;
  }
  running[index] = attempt.get();
  start_connect(attempt.release());
}

void connector_state::start_connect(running_attempt* attempt) noexcept {
  io_op& op = attempt->operation();
  op.kind = op_kind::connect;
  op.address = const_cast<void*>(static_cast<const void*>(attempt->target.data()));
  op.address_bytes = static_cast<std::uint32_t>(attempt->target.size());
  core->attach(op, attempt);
  core->start(op);
}

/// The attempt goes on after a moment, unless it is cancelled before; at once without memory.
void connector_state::pause(running_attempt* attempt) noexcept {
  io_op& op = attempt->operation();
  op.kind = op_kind::timer;
  core->attach(op, attempt);
  core->begin_waiting(op);
  try {
    core->arm_deadline(op, core->now() + backlog_pause);
  } catch (const std::bad_alloc&) {
    core->complete(op, {}, 0);
  }
}

/// Whether a socket that was given can be connected.
error_code connector_state::usable(const io_object& socket) const {
  if (socket.core != core) {
    return net_error::invalid_argument;
  }
  if (handle_of(&socket) == no_handle) {
    return net_error::bad_descriptor;
  }
  const io_op* const control = socket.control_side;
  return control != nullptr && !control->idle() ? error_code{net_error::in_progress} : error_code{};
}

/// A socket as the options want it.
error_code connector_state::open_socket(running_attempt& attempt) {
  const endpoint& target = attempt.target;
  if (options.source && options.source->family() != target.family()) {
    return net_error::address_family_not_supported;
  }
  const shm::arena_shape shape{1, options.loopback_ring_bytes};
  if (asks_shared_memory(options.loopback) && !shape.valid()) {
    return net_error::invalid_argument;
  }
  if (supplied) {
    attempt.socket = std::exchange(supplied, nullptr);
    if (const error_code ec = usable(*attempt.socket)) {
      return ec;
    }
  } else {
    const auto opened = sockets::open(target, sockets::type::stream);
    if (!opened) {
      return opened.error();
    }
    attempt.socket = make_stream(core->port(), opened.value());
  }
  if (!target.is_ip()) {
    mark_local(*attempt.socket);
  }
  attempt.socket->net_bits &= static_cast<std::uint8_t>(~net_unconnected);
  const bool fast = ask_fast_path(*attempt.socket, target, options.loopback);
  const native_handle made = attempt.socket->handle;
  if (options.no_delay && target.is_ip() && !fast) {
    if (const auto set = set_option(made, no_delay{true}); !set) {
      return set.error();
    }
  }
  if (options.source) {
    if (const auto bound = sockets::bind(made, *options.source); !bound) {
      return bound.error();
    }
  }
  if (!fast) {
    offer_loopback(attempt);
  }
  return {};
}

/// Before the connect, so that the peer cannot accept it and find no offer. Never a reason to fail.
void connector_state::offer_loopback(running_attempt& attempt) noexcept {
  if (!attempt.target.is_ip() || !asks_shared_memory(options.loopback)) {
    return;
  }
  if (!loopback_allowed()) {
    return tell_path(*core, *attempt.socket, path::tcp, path_reason::refused_by_environment);
  }
  if (attempt.plain) {
    return tell_path(*core, *attempt.socket, path::tcp, path_reason::no_source_port);
  }
  attempt.offered = shm::make_offer(*attempt.socket, attempt.target, options.source.has_value(),
                                    options.loopback_ring_bytes);
}

void connector_state::attempt_ended(running_attempt& attempt, error_code ec) {
  running[attempt.index] = nullptr;
  const bool own_source = options.source && options.source->port() != 0;
  const bool offered_source = attempt.offered && shm::chose_source(*attempt.offered);
  const bool source_taken = ec == net_error::address_in_use ||
                            ec == boost::system::errc::address_not_available;
  if (source_taken && offered_source) {
    try {
      return launch(attempt.index, true);  // an old connection has the port that was chosen
    } catch (const std::bad_alloc&) {
      ec = net_error::no_memory;
    }
  }
  if (!ec && attempt.target.is_ip() && !own_source && !offered_source) {
    // A port that nobody listens on may be the one that the system chose for this very socket; then
    // TCP connects it to itself (RFC 9293, 3.5, simultaneous open).
    const auto local = sockets::local_endpoint(attempt.socket->handle);
    if (local && local.value() == attempt.target) {
      ec = net_error::connection_refused;
    }
  }
  if (ec) {
    plan->failed(attempt.index, ec, core->now());
  } else {
    if (attempt.offered) {
      shm::connected(std::exchange(attempt.offered, nullptr), *attempt.socket);
    }
    winner = std::exchange(attempt.socket, nullptr);
    plan->succeeded(attempt.index, core->now());
  }
  pump();
}

void connector_state::cancel_attempt(std::size_t index) noexcept {
  if (index >= running.size()) {
    return;  // its start ran out of memory
  }
  if (running_attempt* const attempt = std::exchange(running[index], nullptr)) {
    attempt->owner = nullptr;
    core->cancel(attempt->operation());
  }
}

void connector_state::conclude([[maybe_unused]] std::size_t index, error_code ec) noexcept {
  assert((index == connect_plan::no_attempt) == !winner);
  drop_look_up();
  if (io_object* const unused = std::exchange(supplied, nullptr)) {
    drop_object(unused);
  }
  core->complete(connecting, ec, 0);
}

connector_state& state_of(io_object& object) noexcept {
  return static_cast<connector_state&>(object);
}

}  // namespace

io_object* make_connector(completion_port& port, const connect_options& options) {
  return new connector_state{core_of(port), options};
}

std::span<const connect_attempt> attempts_of(const io_object* object) noexcept {
  const auto& plan = static_cast<const connector_state*>(object)->plan;
  return plan ? std::span<const connect_attempt>(plan->attempts())
              : std::span<const connect_attempt>{};
}

io_op* connect_operation::claim(io_object& object) noexcept {
  io_op& op = state_of(object).connecting;
  return op.idle() ? &op : nullptr;
}

void connect_operation::start(io_object& object, io_op&,
                              const std::vector<endpoint>& targets) noexcept {
  connector_state& state = state_of(object);
  state.begin();
  state.arrived(targets, {});
  state.pump();
}

void connect_operation::start(io_object& object, io_op&, const std::string& host,
                              const std::string& service) noexcept {
  connector_state& state = state_of(object);
  state.begin();
  try {
    state.look_up(host, service);
  } catch (const std::bad_alloc&) {
    state.plan->cancel(state.core->now(), net_error::no_memory);
  }
  state.pump();
}

void connect_operation::start(io_object& object, io_op&, const endpoint& target,
                              const object_handle& socket) noexcept {
  connector_state& state = state_of(object);
  state.begin();
  // It came by value; only the way here made it constant.
  state.supplied = const_cast<object_handle&>(socket).release();
  assert(state.supplied && "an empty socket cannot be connected");
  state.arrived({&target, 1}, {});
  state.pump();
}

connect_operation::values connect_operation::take(io_op& op) noexcept {
  connector_state& state = state_of(*op.object);
  return {op.result.ec, stream{std::exchange(state.winner, nullptr)}};
}

}  // namespace fairway::detail
