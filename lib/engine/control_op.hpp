// The operation of a control code. Made when an object has its first, in a block of the port, and
// kept with the object: most objects have none, so it has no place in their state.
//
// `work` is what the system is asked. Windows: one call. Linux: one or more steps, which the net
// layer plans one after the other (`next`), and which a backend performs in its own way.
//
// Threads: the owner of the port. A synchronous call makes a `control_work` of its own.
#pragma once

#include "engine/operation.hpp"

namespace fairway::detail {

// Linux: one request to the kernel about one descriptor.
struct kernel_step {
  enum class what : std::uint8_t { unread, unsent, get_option, set_option, ioctl };
  what kind = what::ioctl;
  int level = 0;         // options
  int name = 0;          // options
  void* data = nullptr;  // options, ioctl
  std::uint32_t bytes = 0;
};

struct control_work {
  std::uint8_t command = 0;  // a control_id
  std::uint32_t code = 0;
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::uint32_t input_bytes = 0;
  std::uint32_t output_bytes = 0;
  std::uint32_t returned = 0;  // of the output

  // Linux. `next` takes the result of the last step (zero at first), sets `returned` or prepares
  // `step`. Returns step_more, step_over, or a negated errno value.
  static constexpr int step_over = 0;
  static constexpr int step_more = 1;
  int (*next)(control_work& work, native_handle handle, int result) = nullptr;
  kernel_step step;
  unsigned stage = 0;
  int number = 0;  // what a step sets, where the input does not have it as an int
};

struct control_op : io_op {
  using destroy_fn = void (*)(control_op& op, port_core* core) noexcept;  // core: null, port gone

  control_op(io_object& owner, destroy_fn d) noexcept : io_op{op_kind::control}, destroy{d} {
    object = &owner;
  }

  destroy_fn destroy;
  control_work work;
  bool routine = false;
  void* routine_slot = nullptr;  // Windows: what the system has of it; null: nothing
};

inline control_op& control_of(io_op& op) noexcept { return static_cast<control_op&>(op); }

// The end of an object: its control operation, if it had one, goes with it.
inline void drop_control(io_object& object) noexcept {
  if (object.control_side == nullptr) return;
  control_op& op = control_of(*object.control_side);
  object.control_side = nullptr;
  op.destroy(op, object.core);
}

// Linux (control_linux.cpp). The result of one step, or a negated errno value.
int perform_step(native_handle handle, const kernel_step& step) noexcept;
// All steps at once. Zero, or a negated errno value.
int perform_work(native_handle handle, control_work& work) noexcept;

}  // namespace fairway::detail
