#include <fairway/engine/signals.hpp>

#include "engine/port_core.hpp"
#include "engine/signals_os.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <array>
#include <atomic>
#include <mutex>
#include <stdexcept>

namespace fairway::detail {

namespace {

constexpr std::array<unsigned, 3> kinds{1, 2, 4};
constexpr std::size_t watchers_max = 64;

struct signals_state;

// What a signal handler may touch: a fixed table of atomics. A watcher's port is pinned by `busy`
// while a handler on another thread uses it, so that the watcher's end waits for that.
struct watcher {
  bool used = false;                      // under the registry's lock
  std::atomic<port_core*> core{nullptr};  // null: free place, or the port is gone
  std::atomic<unsigned> watched{0};
  std::atomic<unsigned> pending{0};
  std::atomic<int> busy{0};
};

struct registry {
  std::mutex mutex;  // installing and removing only, never in a handler
  std::array<watcher, watchers_max> watchers;
  std::array<unsigned, 3> users{};
};

registry& the_registry() {
  static registry* const instance = new registry;  // outlives every thread and static destructor
  return *instance;
}
std::atomic<registry*> shared_registry{nullptr};

struct signals_state : io_object {
  signals_state(port_core& owner, watcher& w, unsigned k)
      : io_object{owner, &destroy_it}, place{w}, kinds_watched{k} {
    waiting.object = this;
    waiting.on_cancel = &on_cancel;
    read_side = &waiting;
  }
  static void destroy_it(io_object* object) noexcept;
  static void on_cancel(io_op& op) {
    op.object->core->complete(op, boost::asio::error::operation_aborted, 0);
  }

  watcher& place;
  unsigned kinds_watched;
  io_op waiting{op_kind::composite};
};

void detach_port(watcher& place) noexcept {
  place.core.store(nullptr, std::memory_order_seq_cst);
  // A handler that read `core` before holds `busy`; it is over in some instructions.
  while (place.busy.load(std::memory_order_seq_cst) != 0) {
  }
}

void stop_watching(watcher& place, unsigned watched) noexcept {
  registry& all = the_registry();
  std::lock_guard lock{all.mutex};
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if ((watched & kinds[i]) != 0 && --all.users[i] == 0) remove_signal(kinds[i]);
  }
  place.watched.store(0, std::memory_order_seq_cst);
  detach_port(place);
  place.pending.store(0, std::memory_order_seq_cst);
  place.used = false;
}

void signals_state::destroy_it(io_object* object) noexcept {
  auto* self = static_cast<signals_state*>(object);
  stop_watching(self->place, self->kinds_watched);
  delete self;
}

watcher& start_watching(port_core& core, unsigned watched) {
  registry& all = the_registry();
  shared_registry.store(&all, std::memory_order_seq_cst);
  std::lock_guard lock{all.mutex};
  for (watcher& place : all.watchers) {
    if (place.used) continue;
    place.used = true;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      if ((watched & kinds[i]) != 0 && all.users[i]++ == 0) install_signal(kinds[i]);
    }
    place.watched.store(watched, std::memory_order_seq_cst);
    place.core.store(&core, std::memory_order_seq_cst);
    return place;
  }
  throw std::length_error("fairway::signals: 64 exist already");
}

// The lowest pending kind, taken; zero when there is none.
unsigned take_pending(watcher& place) noexcept {
  const unsigned pending = place.pending.load(std::memory_order_seq_cst);
  const unsigned lowest = pending & (~pending + 1);
  if (lowest != 0) place.pending.fetch_and(~lowest, std::memory_order_seq_cst);
  return lowest;
}

bool deliver(signals_state& state) noexcept {
  if (!state.waiting.in_backend()) return false;
  const unsigned kind = take_pending(state.place);
  if (kind == 0) return false;
  state.core->complete(state.waiting, {}, kind);
  return true;
}

}  // namespace

void raise_signal(unsigned kind) noexcept {
  registry* all = shared_registry.load(std::memory_order_seq_cst);
  if (all == nullptr) return;
  for (watcher& place : all->watchers) {
    place.busy.fetch_add(1, std::memory_order_seq_cst);
    port_core* core = place.core.load(std::memory_order_seq_cst);
    if (core != nullptr && (place.watched.load(std::memory_order_seq_cst) & kind) != 0) {
      place.pending.fetch_or(kind, std::memory_order_seq_cst);
      core->signalled();
    }
    place.busy.fetch_sub(1, std::memory_order_seq_cst);
  }
}

void port_core::deliver_signals() noexcept {
  for_each_object([](io_object& object) {
    if (object.destroy == &signals_state::destroy_it) {
      deliver(static_cast<signals_state&>(object));
    }
  });
}

void port_core::forget_signals() noexcept {
  registry* all = shared_registry.load(std::memory_order_seq_cst);
  if (all == nullptr) return;
  std::lock_guard lock{all->mutex};
  for (watcher& place : all->watchers) {
    if (place.core.load(std::memory_order_seq_cst) == this) detach_port(place);
  }
}

io_object* make_signals(completion_port& port, unsigned watched) {
  port_core& core = core_of(port);
  watcher& place = start_watching(core, watched);
  try {
    return new signals_state{core, place, watched};
  } catch (...) {
    stop_watching(place, watched);
    throw;
  }
}

io_op* signals_wait::claim(io_object& object) noexcept {
  return object.read_side->idle() ? object.read_side : nullptr;
}

void signals_wait::start(io_object& object, io_op& op) {
  object.core->begin_waiting(op);
  if (object.closing) {
    object.core->cancel(op);
  } else {
    deliver(static_cast<signals_state&>(object));
  }
}

signals_wait::values signals_wait::take(io_op& op) noexcept {
  const auto& [ec, which] = op.result;
  return {ec, ec ? signal_kind::interrupt : static_cast<signal_kind>(which)};
}

}  // namespace fairway::detail
