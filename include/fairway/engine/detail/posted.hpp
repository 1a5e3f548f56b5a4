// Functions that are posted to a port.
//
// A posted function is moved into a node. On the port's thread the node's memory is a recycled
// block of the port, and all is done without a call; elsewhere it is a fresh allocation that the
// port keeps afterwards. Memory is given back before the function runs, so a function that posts
// again reuses it.
#pragma once

#include <fairway/engine/detail/owner_side.hpp>

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace fairway::detail {

class port_core;

port_core& core_of(completion_port& port) noexcept;

// Any thread.
void work_started(completion_port& port) noexcept;
void work_finished(completion_port& port) noexcept;
// From a thread that is not inside a run function of the port.
void enqueue_elsewhere(completion_port& port, operation* op) noexcept;

template <class Allocator>
inline constexpr bool is_default_allocator = false;
template <class T>
inline constexpr bool is_default_allocator<std::allocator<T>> = true;

// Memory for a `Node`: the port's own blocks for the default allocator, else the given one's.
// `here` is null on another thread than the port's.
template <class Node, class Allocator>
struct node_memory {
  using rebound = typename std::allocator_traits<Allocator>::template rebind_alloc<Node>;
  static constexpr bool recycled =
      is_default_allocator<Allocator> && alignof(Node) <= alignof(std::max_align_t);

  static void* allocate(owner_side* here, const Allocator& allocator) {
    if constexpr (recycled) {
      if (here == nullptr) return block_pool::allocate_fresh(sizeof(Node));
      return here->blocks.template allocate<sizeof(Node)>();
    } else {
      return allocate_with(allocator);
    }
  }
  static void free(owner_side* here, const Allocator& allocator, void* memory) noexcept {
    if constexpr (recycled) {
      if (here == nullptr) return ::operator delete(memory);
      here->blocks.template free<sizeof(Node)>(memory);
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

  static void perform_it(operation* base, owner_side& side, act what) {
    auto* self = static_cast<posted_function*>(base);
    Function local(std::move(self->function));
    Allocator kept{self->allocator};
    self->~posted_function();
    memory::free(&side, kept, self);
    if (what == act::run) std::move(local)();
  }

  Function function;
  [[no_unique_address]] Allocator allocator;
};

// `here`: the port's side of this thread, null from elsewhere.
template <class Function, class Allocator>
void post_from(owner_side* here, completion_port& port, Function&& function,
               const Allocator& allocator) {
  using node = posted_function<std::decay_t<Function>, Allocator>;
  void* memory = node::memory::allocate(here, allocator);
  node* made = nullptr;
  try {
    made = ::new (memory) node(std::forward<Function>(function), allocator);
  } catch (...) {
    node::memory::free(here, allocator, memory);
    throw;
  }
  if (here != nullptr) {
    here->ready.push(made);
  } else {
    enqueue_elsewhere(port, made);
  }
}

template <class Function, class Allocator>
void post(completion_port& port, Function&& function, const Allocator& allocator) {
  post_from(side_here(port), port, std::forward<Function>(function), allocator);
}

}  // namespace fairway::detail
