// How an asynchronous function hands its handler to the engine.
//
// The engine's operations (`io_op`) and objects (`io_object`) are opaque here. A handler is erased
// once into a `handler_base`: two function pointers in front of the handler, placed in memory that
// the operation embeds, in a recycled block of the port when it is larger, or in memory of the
// handler's own associated allocator. On completion the handler is moved out, its memory is given
// back, the operation is idle again, and only then the handler is called on its executor.
//
// An `Op` names one kind of operation:
//   io_op* claim(io_object&)            the operation to use; null when one is in flight already
//   void start(io_object&, io_op&, args...)   begins it; completes later, never inside
//   std::tuple<...> take(io_op&)        the completion's arguments
//   std::tuple<...> failure(error_code) the same for an operation that could not begin
//
// Threads: on the thread that runs the port everything happens at once. When nobody runs the port,
// the caller borrows it for the length of the call. When another thread runs it, the call is moved
// into a node and hops there: one allocation and, if that port sleeps, one wake-up. A connected
// cancellation slot costs one more there, and where the handler's executor is not the port's own.
#pragma once

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/detail/posted.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fairway::detail {

struct io_op;
struct io_object;

struct handler_base {
  using function = void (*)(handler_base*, io_op&);
  function complete;  // moves the handler out, finishes the operation, calls the handler
  function discard;   // destroys the handler and finishes the operation
};

// One piece of a gather or scatter list; laid out as POSIX `iovec`.
struct io_vec {
  void* data;
  std::size_t size;
};

// All of these on the owning thread.
completion_port& port_of(const io_object& object) noexcept;
void* handler_memory(io_op& op, std::size_t bytes);
void free_handler_memory(io_op& op, void* memory, std::size_t bytes) noexcept;
std::uint32_t attach_handler(io_op& op, handler_base* handler) noexcept;
void finish(io_op& op) noexcept;
void fail_for_memory(io_op& op) noexcept;
void cancel_operation(io_op& op, std::uint32_t generation) noexcept;

// How a cancellation finds its operation from another thread than the port's. The slot and requests
// on their way share it with the operation, which leaves it when it ends: a request that comes too
// late finds nothing, however long ago the operation's memory and its port went.
struct cancel_ticket {
  explicit cancel_ticket(port_core& c) noexcept : core{&c} {}
  // Relaxed: it only becomes null, and a request that sees the port races with the operation's end,
  // so the port is there.
  std::atomic<port_core*> core;  // null: over
  io_op* op = nullptr;           // the owning thread's alone; null: not begun, or over
};
void set_ticket(io_op& op, std::shared_ptr<cancel_ticket> ticket) noexcept;
bool has_ticket(const io_op& op) noexcept;

// Any thread.
void cancel_by_ticket(const std::shared_ptr<cancel_ticket>& ticket);
void enqueue_hop(port_core& core, operation* op) noexcept;
enum class owned { already, borrowed, elsewhere };
owned try_own(port_core& core) noexcept;
void disown(port_core& core) noexcept;

// Owns the port for a scope unless another thread does. While it holds, engine state may be
// touched; hops that wait are performed first, so calls keep their order.
class ownership {
 public:
  explicit ownership(port_core& core) noexcept : core_{core}, how_{try_own(core)} {}
  ~ownership() {
    if (how_ == owned::borrowed) disown(core_);
  }
  ownership(const ownership&) = delete;
  ownership& operator=(const ownership&) = delete;
  explicit operator bool() const noexcept { return how_ != owned::elsewhere; }
  bool borrowed() const noexcept { return how_ == owned::borrowed; }

 private:
  port_core& core_;
  owned how_;
};

template <class Handler, class Values>
struct bound_handler {
  Handler handler;
  Values values;
  void operator()() { std::apply(std::move(handler), std::move(values)); }
};

// Work on the executor that the handler wants, when that is not the operation's own port.
template <class Executor>
class handler_work {
  using tracked = std::decay_t<decltype(boost::asio::prefer(
      std::declval<const Executor&>(), boost::asio::execution::outstanding_work.tracked))>;

 public:
  handler_work(completion_port&, const Executor& executor) noexcept
      : executor_{boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked)} {
  }
  bool on_port() const noexcept { return false; }  // not known
  template <class Handler, class Values>
  void invoke(Handler&& handler, Values&& values) {
    boost::asio::dispatch(executor_, bound_handler<std::decay_t<Handler>, std::decay_t<Values>>{
                                         std::forward<Handler>(handler),
                                         std::forward<Values>(values)});
  }

 private:
  tracked executor_;
};

template <>
class handler_work<port_executor> {
 public:
  handler_work(completion_port& port, const port_executor& executor) noexcept
      : elsewhere_{&executor.context() == &port ? nullptr : &executor.context()} {
    if (elsewhere_ != nullptr) work_started(*elsewhere_);
  }
  handler_work(handler_work&& other) noexcept
      : elsewhere_{std::exchange(other.elsewhere_, nullptr)} {}
  handler_work& operator=(handler_work&&) = delete;
  ~handler_work() {
    if (elsewhere_ != nullptr) work_finished(*elsewhere_);
  }
  bool on_port() const noexcept { return elsewhere_ == nullptr; }
  template <class Handler, class Values>
  void invoke(Handler&& handler, Values&& values) {
    if (elsewhere_ == nullptr) {
      std::apply(std::forward<Handler>(handler), std::forward<Values>(values));
      return;
    }
    boost::asio::dispatch(port_executor{*elsewhere_},
                          bound_handler<std::decay_t<Handler>, std::decay_t<Values>>{
                              std::forward<Handler>(handler), std::forward<Values>(values)});
  }

 private:
  completion_port* elsewhere_;  // null: the operation's own port
};

template <class Handler>
using handler_executor = boost::asio::associated_executor_t<Handler, port_executor>;

template <class Op, class Handler>
struct handler_holder final : handler_base {
  using allocator = boost::asio::associated_allocator_t<Handler>;
  using work = handler_work<handler_executor<Handler>>;

  handler_holder(Handler&& h, completion_port& port)
      : handler_base{&handler_holder::complete_it, &handler_holder::discard_it},
        handler(std::move(h)),
        waiting{port, boost::asio::get_associated_executor(handler, port.get_executor())} {}

  static handler_holder* make(io_op& op, Handler&& handler, completion_port& port) {
    const allocator given = boost::asio::get_associated_allocator(handler);
    void* memory = allocate(op, given);
    try {
      return ::new (memory) handler_holder(std::move(handler), port);
    } catch (...) {
      deallocate(op, given, memory);
      throw;
    }
  }

  static void complete_it(handler_base* base, io_op& op) {
    auto* self = static_cast<handler_holder*>(base);
    auto slot = boost::asio::get_associated_cancellation_slot(self->handler);
    // With a ticket the slot may be another thread's to touch; what it holds is harmless then.
    if (slot.is_connected() && !has_ticket(op)) slot.clear();
    Handler local(std::move(self->handler));
    work guard(std::move(self->waiting));
    auto values = Op::take(op);
    self->destroy(op, local);
    finish(op);
    guard.invoke(std::move(local), std::move(values));
  }

  static void discard_it(handler_base* base, io_op& op) {
    auto* self = static_cast<handler_holder*>(base);
    Handler local(std::move(self->handler));
    work guard(std::move(self->waiting));
    self->destroy(op, local);
    finish(op);
  }

  Handler handler;
  work waiting;

 private:
  static constexpr bool recycled = node_memory<handler_holder, allocator>::recycled;

  static void* allocate(io_op& op, const allocator& given) {
    if constexpr (recycled) {
      return handler_memory(op, sizeof(handler_holder));
    } else {
      return node_memory<handler_holder, allocator>::allocate_with(given);
    }
  }
  static void deallocate(io_op& op, const allocator& given, void* memory) noexcept {
    if constexpr (recycled) {
      free_handler_memory(op, memory, sizeof(handler_holder));
    } else {
      node_memory<handler_holder, allocator>::free_with(given, memory);
    }
  }
  void destroy(io_op& op, const Handler& moved) noexcept {
    const allocator given = boost::asio::get_associated_allocator(moved);
    this->~handler_holder();
    deallocate(op, given, this);
  }
};

// What a cancellation slot holds while the operation is in flight: when all happens on the port's
// thread, and otherwise.
struct cancel_request {
  io_op* op;
  std::uint32_t generation;
  void operator()(boost::asio::cancellation_type_t type) const noexcept {
    if (type != boost::asio::cancellation_type::none) cancel_operation(*op, generation);
  }
};
struct foreign_cancel_request {
  std::shared_ptr<cancel_ticket> ticket;
  void operator()(boost::asio::cancellation_type_t type) const {
    if (type != boost::asio::cancellation_type::none) cancel_by_ticket(ticket);
  }
};

// Null when the slot is not connected.
template <class Slot>
std::shared_ptr<cancel_ticket> fill_with_ticket(Slot& slot, port_core& core) {
  if (!slot.is_connected()) return nullptr;
  auto ticket = std::make_shared<cancel_ticket>(core);
  slot.template emplace<foreign_cancel_request>(foreign_cancel_request{ticket});
  return ticket;
}

// Ends an asynchronous call that could not begin: through the port's queue, on the handler's
// executor.
template <class Handler, class Values>
void post_failure(completion_port& port, Handler&& handler, Values&& values) {
  using decayed = std::decay_t<Handler>;
  auto executor = boost::asio::get_associated_executor(handler, port.get_executor());
  auto given = boost::asio::get_associated_allocator(handler);
  handler_work<std::decay_t<decltype(executor)>> guard{port, executor};
  post(
      port,
      [guard = std::move(guard), handler = decayed(std::forward<Handler>(handler)),
       values = std::forward<Values>(values)]() mutable {
        guard.invoke(std::move(handler), std::move(values));
      },
      given);
}

// Where a call that begins an operation was made.
enum class caller { on_port, borrower, hopped };

template <class Op, class Handler, class... Args>
void begin(io_object& object, Handler& handler, caller from, std::shared_ptr<cancel_ticket> ticket,
           const Args&... args) {
  completion_port& port = port_of(object);
  io_op* op = Op::claim(object);
  if (op == nullptr) {
    if (ticket != nullptr) ticket->core.store(nullptr, std::memory_order_relaxed);
    post_failure(port, std::move(handler), Op::failure(boost::asio::error::in_progress));
    return;
  }
  auto slot = boost::asio::get_associated_cancellation_slot(handler);
  auto* holder = handler_holder<Op, Handler>::make(*op, std::move(handler), port);
  const std::uint32_t generation = attach_handler(*op, holder);
  try {
    if (from == caller::on_port && holder->waiting.on_port()) {
      if (slot.is_connected()) {
        slot.template emplace<cancel_request>(cancel_request{op, generation});
      }
    } else {
      if (from != caller::hopped) ticket = fill_with_ticket(slot, core_of(port));
      set_ticket(*op, std::move(ticket));
    }
    Op::start(object, *op, args...);
  } catch (const std::bad_alloc&) {
    fail_for_memory(*op);
  }
}

template <class Op>
struct initiation {
  template <class Handler, class... Args>
  void operator()(Handler&& given, io_object* object, Args... args) const {
    std::decay_t<Handler> handler(std::forward<Handler>(given));
    port_core& core = core_of(port_of(*object));
    if (ownership here{core}) {
      begin<Op>(*object, handler, here.borrowed() ? caller::borrower : caller::on_port, nullptr,
                args...);
      return;
    }
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto ticket = fill_with_ticket(slot, core);
    hop(core, [object, ticket = std::move(ticket), handler = std::move(handler),
               ... args = std::move(args)]() mutable {
      begin<Op>(*object, handler, caller::hopped, std::move(ticket), args...);
    });
  }

  template <class Function>
  static void hop(port_core& core, Function&& function) {
    using node = posted_function<std::decay_t<Function>, std::allocator<void>>;
    void* memory = node::memory::allocate(nullptr, {});
    enqueue_hop(core, ::new (memory) node(std::forward<Function>(function), {}));
  }
};

}  // namespace fairway::detail

namespace boost::asio {

template <template <class, class> class Associator, class Handler, class Values,
          class DefaultCandidate>
struct associator<Associator, fairway::detail::bound_handler<Handler, Values>, DefaultCandidate>
    : Associator<Handler, DefaultCandidate> {
  using bound = fairway::detail::bound_handler<Handler, Values>;
  static typename Associator<Handler, DefaultCandidate>::type get(const bound& b) noexcept {
    return Associator<Handler, DefaultCandidate>::get(b.handler);
  }
  static typename Associator<Handler, DefaultCandidate>::type get(
      const bound& b, const DefaultCandidate& candidate) noexcept {
    return Associator<Handler, DefaultCandidate>::get(b.handler, candidate);
  }
};

}  // namespace boost::asio
