// What the templates reach of a port without a call: whether this thread runs it, and if so its
// queue of functions that are ready and its recycled memory.
//
// A run function names its port in a variable of its thread, so that asking costs one comparison
// there. A handler of one port may run another port; then the frames form a list.
//
// Threads: everything here belongs to the owner of the port.
#pragma once

#include <fairway/engine/detail/block_pool.hpp>

namespace fairway {
class completion_port;
}

namespace fairway::detail {

struct owner_side;

enum class act { run, discard };

// What a port's queues hold: an intrusive link and one function pointer.
struct operation {
  using act_fn = void (*)(operation*, owner_side&, act);

  explicit operation(act_fn f) noexcept : perform{f} {}

  operation* next = nullptr;
  act_fn perform;
};

// First in, first out, intrusive.
class ready_queue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }

  void push(operation* op) noexcept {
    op->next = nullptr;
    if (head_ == nullptr) {
      head_ = op;
    } else {
      tail_->next = op;
    }
    tail_ = op;
  }

  operation* pop() noexcept {
    operation* op = head_;
    if (op != nullptr) head_ = op->next;
    return op;
  }

 private:
  operation* head_ = nullptr;
  operation* tail_ = nullptr;  // meaningful while there is a first
};

struct owner_side {
  ready_queue ready;
  block_pool blocks;
};

// A run function that a thread is inside of.
struct run_frame {
  const completion_port* port = nullptr;  // null: inside of none
  owner_side* side = nullptr;
  const run_frame* outer = nullptr;  // null: the outermost
};
extern constinit thread_local run_frame innermost_run;

class run_scope {
 public:
  run_scope(const completion_port& port, owner_side& side) noexcept : outer_{innermost_run} {
    innermost_run = {&port, &side, &outer_};
  }
  run_scope(const run_scope&) = delete;
  run_scope& operator=(const run_scope&) = delete;
  ~run_scope() { innermost_run = outer_; }

 private:
  run_frame outer_;
};

// The same question about the frames around the innermost.
owner_side* side_further_out(const completion_port& port) noexcept;

// Null: this thread is not inside a run function of the port.
inline owner_side* side_here(const completion_port& port) noexcept {
  if (innermost_run.port == &port) [[likely]] return innermost_run.side;
  return side_further_out(port);
}
inline bool running_here(const completion_port& port) noexcept {
  if (innermost_run.port == &port) [[likely]] return true;
  return side_further_out(port) != nullptr;
}

}  // namespace fairway::detail
