#include <fairway/engine/timer.hpp>

#include "engine/port_core.hpp"

namespace fairway::detail {

namespace {

struct timer_state : io_object {
  explicit timer_state(port_core& owner) : io_object{owner, &destroy_it} {
    waiting.object = this;
    read_side = &waiting;
  }
  static void destroy_it(io_object* object) noexcept { delete static_cast<timer_state*>(object); }

  io_op waiting{op_kind::timer};
};

}  // namespace

io_object* make_timer(completion_port& port) { return new timer_state{core_of(port)}; }

io_op* timer_wait::claim(io_object& object) noexcept {
  return object.read_side->idle() ? object.read_side : nullptr;
}

void timer_wait::start(io_object& object, io_op& op, port_clock::time_point when) {
  port_core& core = *object.core;
  core.begin_waiting(op);
  if (object.closing) {
    core.cancel(op);
  } else if (when <= core.now()) {
    core.complete(op, {}, 0);
  } else {
    core.arm_deadline(op, when);
  }
}

std::tuple<error_code> timer_wait::take(io_op& op) noexcept { return {op.ec}; }

}  // namespace fairway::detail
