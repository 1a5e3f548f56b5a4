#include <fairway/engine/completion_port.hpp>

#include <fairway/engine/detail/call_keeper.hpp>

#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <limits>
#include <memory>
#include <utility>

namespace fairway {

std::string_view to_string(engine_kind kind) noexcept {
  switch (kind) {
    case engine_kind::iocp: return "iocp";
    case engine_kind::io_uring: return "io_uring";
    case engine_kind::epoll: return "epoll";
    case engine_kind::automatic: break;
  }
  return "automatic";
}

bool parse_engine(std::string_view name, engine_kind& kind) noexcept {
  for (engine_kind k : {engine_kind::automatic, engine_kind::iocp, engine_kind::io_uring,
                        engine_kind::epoll}) {
    if (name == to_string(k)) {
      kind = k;
      return true;
    }
  }
  return false;
}

namespace detail {

namespace {

port_options checked(port_options options) {
  options.queue_entries = std::clamp(options.queue_entries, 8u, 32768u);
  options.receive_buffer_bytes =
      std::clamp<std::size_t>(options.receive_buffer_bytes, 512, 16 * 1024 * 1024);
  options.receive_buffers_max = std::clamp(options.receive_buffers_max, 1u, 32768u);
  options.handlers_per_turn = std::max(options.handlers_per_turn, 1u);
  constexpr std::chrono::microseconds never{0}, second{1'000'000};
  options.busy_poll = std::clamp(options.busy_poll, never, second);
  if (options.clock != nullptr) options.busy_poll = never;
  if (options.engine == engine_kind::automatic) {
    if (const char* wanted = std::getenv("FAIRWAY_ENGINE"); wanted != nullptr && *wanted != '\0') {
      if (!parse_engine(wanted, options.engine)) {
        throw boost::system::system_error(
            boost::asio::error::invalid_argument,
            std::string("FAIRWAY_ENGINE names no engine: ") + wanted);
      }
    }
  }
  return options;
}

}  // namespace

port_core::port_core(completion_port& port, const port_options& options)
    : port_{port},
      options_{checked(options)},
      busy_poll_{options_.busy_poll},
      buffers_{*this, options_.receive_buffer_bytes, options_.receive_buffers_max},
      backend_{*this, options_},
      kind_{backend_.kind()},
      reason_{backend_.reason()} {}

port_core::~port_core() {
  forget_signals();
  // Handles that outlive the port keep their state; tell it that the port is gone.
  if (hook_ != nullptr) hook_->end(*hook_);
  while (objects_ != nullptr) {
    io_object* object = objects_;
    objects_ = object->next;
    object->core = nullptr;
    object->previous = object->next = nullptr;
  }
}

void port_core::shutdown() noexcept {
  if (shutting_down_) return;
  assert(owner_.load(std::memory_order_acquire) == 0 && "a thread is still inside run");
  try_own();
  shutting_down_ = true;
  backend_.with([](auto& b) { b.shutdown(); });
}

void port_core::discard_all() noexcept {
  bool found = true;
  while (found) {
    found = false;
    perform_hops();
    accept_posts();
    while (delayed_ != nullptr) release_delayed();
    while (operation* op = ready.pop()) {
      found = true;
      op->perform(op, *this, act::discard);
    }
    // What no backend has: timers, composites and receives that wait for a buffer.
    for (io_object* object = objects_; object != nullptr; object = object->next) {
      for (io_op* op : object->operations()) {
        if (op == nullptr || !op->in_backend()) continue;
        found = true;
        if ((op->flags & op_waits_for_block) != 0) forget_block_waiter(*op);
        // A composite lets go of what it is made of, and of what it has asked of other threads.
        if (op->kind == op_kind::composite) op->on_cancel(*op);
        if (op->in_backend()) complete(*op, boost::asio::error::operation_aborted, 0);
      }
    }
    // What waits outside operations: after those, since some hold a share of what keeps it.
    if (discard_kept_calls(port_)) found = true;
  }
}

port_statistics port_core::statistics() const noexcept {
  port_statistics s;
  s.kernel_entries = counts_.kernel_entries.get();
  s.submissions = counts_.submissions.get();
  s.completions = counts_.completions.get();
  s.inline_completions = counts_.inline_completions.get();
  s.wakeups_sent = counts_.wakeups_sent.load(std::memory_order_relaxed);  // a plain count
  s.wakeups_received = counts_.wakeups_received.get();
  s.handlers_run = counts_.handlers_run.get();
  s.overflows = counts_.overflows.get();
  s.accept_pauses = counts_.accept_pauses.get();
  s.operations_in_flight = counts_.in_flight.get();
  s.timers = counts_.timers.get();
  s.doorbells_sent = counts_.doorbells_sent.get();
  s.doorbells_received = counts_.doorbells_received.get();
  for (std::size_t i = 0; i < s.loopback.size(); ++i) s.loopback[i] = counts_.loopback[i].get();
  return s;
}

time_point port_core::now() const noexcept {
  return options_.clock != nullptr ? options_.clock->now() : std::chrono::steady_clock::now();
}

// --- what the public templates call ---

port_core& core_of(completion_port& port) noexcept { return *port.core_; }
void work_started(completion_port& port) noexcept { core_of(port).work_started(); }
void work_finished(completion_port& port) noexcept { core_of(port).work_finished(); }
void enqueue_elsewhere(completion_port& port, operation* op) noexcept {
  core_of(port).post_elsewhere(op);
}
void enqueue_hop(port_core& core, operation* op) noexcept { core.post_hop(op); }
owned try_own(port_core& core) noexcept { return core.try_own(); }
void disown(port_core& core) noexcept { core.disown(); }

completion_port& port_of(const io_object& object) noexcept {
  assert(object.core != nullptr && "the port of this object has been destroyed");
  return object.core->port();
}
void* handler_memory(io_op& op, std::size_t bytes) {
  if (bytes <= handler_bytes) return op.room;
  return op.object->core->blocks.allocate(bytes);
}
void free_handler_memory(io_op& op, void* memory, std::size_t bytes) noexcept {
  if (memory != op.room) op.object->core->blocks.free(memory, bytes);
}
std::uint32_t attach_handler(io_op& op, handler_base* handler) noexcept {
  op.object->core->attach(op, handler);
  return op.generation;
}
void finish(io_op& op) noexcept { op.object->core->finish(op); }

void fail_for_memory(io_op& op) noexcept {
  op.object->core->complete(op, boost::asio::error::no_memory, 0);
}

void set_ticket(io_op& op, std::shared_ptr<cancel_ticket> ticket) noexcept {
  if (ticket != nullptr) ticket->op = &op;
  op.ticket = std::move(ticket);
}
bool has_ticket(const io_op& op) noexcept { return op.ticket != nullptr; }

void cancel_by_ticket(const std::shared_ptr<cancel_ticket>& ticket) {
  port_core* core = ticket->core.load(std::memory_order_relaxed);
  if (core == nullptr) return;
  const auto end = [ticket, core] {
    if (ticket->op != nullptr) core->cancel(*ticket->op);
  };
  if (ownership here{*core}) {
    end();
  } else {
    initiation<void>::hop(*core, end);
  }
}

void cancel_operation(io_op& op, std::uint32_t generation) noexcept {
  ownership here{*op.object->core};
  if (here && op.generation == generation) op.object->core->cancel(op);
}

}  // namespace detail

completion_port::completion_port(const port_options& options)
    : core_{std::make_unique<detail::port_core>(*this, options)} {
  if (options.clock != nullptr) core_->attach_clock();
}

completion_port::~completion_port() {
  core_->detach_clock();
  core_->shutdown();
  core_->discard_all();
  boost::asio::execution_context::shutdown();
  core_->discard_all();
  boost::asio::execution_context::destroy();
  core_->discard_all();
}

namespace {
constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();
constexpr auto for_ever = completion_port::time_point::max();
using patience = detail::port_core::patience;
}  // namespace

std::size_t completion_port::run() { return core_->run(no_limit, for_ever, patience::wait); }
std::size_t completion_port::run_one() { return core_->run(1, for_ever, patience::wait); }
std::size_t completion_port::run_until(time_point when) {
  return core_->run(no_limit, when, patience::wait);
}
std::size_t completion_port::run_one_until(time_point when) {
  return core_->run(1, when, patience::wait);
}
std::size_t completion_port::poll() { return core_->run(no_limit, for_ever, patience::poll); }
std::size_t completion_port::poll_one() { return core_->run(1, for_ever, patience::poll); }
void completion_port::stop() noexcept { core_->stop(); }
bool completion_port::stopped() const noexcept { return core_->stopped(); }
void completion_port::restart() noexcept { core_->restart(); }
engine_kind completion_port::engine() const noexcept { return core_->kind(); }
std::string_view completion_port::engine_reason() const noexcept { return core_->reason(); }
port_statistics completion_port::statistics() const noexcept { return core_->statistics(); }
completion_port::time_point completion_port::now() const noexcept { return core_->now(); }

}  // namespace fairway
