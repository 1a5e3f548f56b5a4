#include <fairway/engine/timer.hpp>

#include "engine/port_core.hpp"

#include <memory>
#include <utility>

namespace fairway::detail {

namespace {

// A timer that is set again is awaited again before the handler of the ended wait has run, so one
// operation is not enough; the further ones are made when first needed and kept.
struct timer_state : io_object {
  struct spare {
    io_op waiting{op_kind::timer};
    std::unique_ptr<spare> next;
  };

  explicit timer_state(port_core& owner) : io_object{owner, &destroy_it} {
    waiting.object = this;
    read_side = &waiting;
  }
  ~timer_state() {
    while (spares != nullptr) spares = std::move(spares->next);  // not by recursion
  }
  static void destroy_it(io_object* object) noexcept { delete static_cast<timer_state*>(object); }

  io_op* idle_operation() {
    if (waiting.idle()) return &waiting;
    for (spare* s = spares.get(); s != nullptr; s = s->next.get()) {
      if (s->waiting.idle()) return &s->waiting;
    }
    auto made = std::make_unique<spare>();
    made->waiting.object = this;
    made->next = std::move(spares);
    spares = std::move(made);
    return &spares->waiting;
  }

  io_op waiting{op_kind::timer};
  std::unique_ptr<spare> spares;  // null: never needed
  // The handle's, whose calls do not overlap: a wait was asked for since the last cancel. A handle
  // that is set anew for each wait would own the port twice for each, else.
  bool awaited = false;
};

}  // namespace

io_object* make_timer(completion_port& port) { return new timer_state{core_of(port)}; }

void timer_is_awaited(io_object& object) noexcept {
  static_cast<timer_state&>(object).awaited = true;
}

void cancel_timer(io_object* object) {
  if (object == nullptr || object->core == nullptr) return;
  auto& state = static_cast<timer_state&>(*object);
  if (!std::exchange(state.awaited, false)) return;
  port_core& core = *object->core;
  const auto cancel_it = [&core, object] { core.cancel(*object->read_side); };
  if (ownership here{core}) {
    cancel_it();
  } else {
    initiation<void>::hop(core, cancel_it);
  }
}

io_op* timer_wait::claim(io_object& object) {
  if (object.read_side->idle()) return object.read_side;
  if (object.read_side->in_backend()) return nullptr;
  // The last wait has ended and its handler is still queued.
  io_op* next = static_cast<timer_state&>(object).idle_operation();
  object.core->forget_deadline(*object.read_side);
  object.read_side = next;
  return next;
}

void timer_wait::start(io_object& object, io_op& op, port_clock::time_point when) {
  port_core& core = *object.core;
  core.begin_waiting(op);
  if (object.closing) {
    core.cancel(op);
  } else if (core.has_come(when)) {
    core.complete(op, {}, 0);
  } else {
    core.arm_deadline(op, when);
  }
}

std::tuple<error_code> timer_wait::take(io_op& op) noexcept { return {op.result.ec}; }

}  // namespace fairway::detail
