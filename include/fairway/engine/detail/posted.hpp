// What a port's queues hold: an intrusive link and one function pointer.
//
// A posted function is moved into a node of this kind. On the port's thread the node's memory is
// a recycled block of the port; elsewhere it is a fresh allocation that the port keeps afterwards.
// Memory is given back before the function runs, so a function that posts again reuses it.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace fairway {
class completion_port;
}

namespace fairway::detail {

class port_core;

enum class act { run, discard };

struct operation {
  using act_fn = void (*)(operation*, port_core&, act);

  explicit operation(act_fn f) noexcept : perform{f} {}

  operation* next = nullptr;
  act_fn perform;
};

port_core& core_of(completion_port& port) noexcept;

// Any thread.
void work_started(completion_port& port) noexcept;
void work_finished(completion_port& port) noexcept;
bool running_here(const completion_port& port) noexcept;
void enqueue(completion_port& port, operation* op) noexcept;

// Blocks of memory that the port recycles. `allocate_block` may be called on any thread, blocks
// are given back on the port's own.
void* allocate_block(port_core& core, std::size_t bytes);
void free_block(port_core& core, void* block, std::size_t bytes) noexcept;

template <class Allocator>
inline constexpr bool is_default_allocator = false;
template <class T>
inline constexpr bool is_default_allocator<std::allocator<T>> = true;

// Memory for a `Node`: the port's own blocks for the default allocator, else the given one's.
template <class Node, class Allocator>
struct node_memory {
  using rebound = typename std::allocator_traits<Allocator>::template rebind_alloc<Node>;
  static constexpr bool recycled =
      is_default_allocator<Allocator> && alignof(Node) <= alignof(std::max_align_t);

  static void* allocate(port_core& core, const Allocator& allocator) {
    if constexpr (recycled) {
      return allocate_block(core, sizeof(Node));
    } else {
      return allocate_with(allocator);
    }
  }
  static void free(port_core& core, const Allocator& allocator, void* memory) noexcept {
    if constexpr (recycled) {
      free_block(core, memory, sizeof(Node));
    } else {
      free_with(allocator, memory);
    }
  }
  static void* allocate_with(const Allocator& allocator) {
    rebound local{allocator};
    return std::to_address(std::allocator_traits<rebound>::allocate(local, 1));
  }
  static void free_with(const Allocator& allocator, void* memory) noexcept {
    rebound local{allocator};
    std::allocator_traits<rebound>::deallocate(local, static_cast<Node*>(memory), 1);
  }
};

template <class Function, class Allocator>
struct posted_function final : operation {
  using memory = node_memory<posted_function, Allocator>;

  template <class F>
  posted_function(F&& f, const Allocator& a)
      : operation{&posted_function::perform_it}, function(std::forward<F>(f)), allocator{a} {}

  static void perform_it(operation* base, port_core& core, act what) {
    auto* self = static_cast<posted_function*>(base);
    Function local(std::move(self->function));
    Allocator kept{self->allocator};
    self->~posted_function();
    memory::free(core, kept, self);
    if (what == act::run) std::move(local)();
  }

  Function function;
  [[no_unique_address]] Allocator allocator;
};

template <class Function, class Allocator>
void post(completion_port& port, Function&& function, const Allocator& allocator) {
  using node = posted_function<std::decay_t<Function>, Allocator>;
  port_core& core = core_of(port);
  void* memory = node::memory::allocate(core, allocator);
  node* made = nullptr;
  try {
    made = ::new (memory) node(std::forward<Function>(function), allocator);
  } catch (...) {
    node::memory::free(core, allocator, memory);
    throw;
  }
  enqueue(port, made);
}

}  // namespace fairway::detail
