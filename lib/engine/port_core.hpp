// The heart of a completion port: queues, deadlines, work, ownership and the loop.
//
// One thread at a time owns a core. A run function owns it for its whole length; an initiating
// call made while nobody runs the port borrows it. Everything without a remark belongs to the
// owner. The word `owner_` is acquired and released around each ownership, so what one owner wrote
// the next one sees.
//
// A turn of the loop: ready handlers up to the budget, hops and posts of other threads, due
// deadlines, one entry into the kernel. It sleeps only when nothing is ready. To sleep it sets
// `sleeping_`, looks at the inboxes once more and enters the kernel; a producer pushes, looks at
// `sleeping_`, and the one that clears it wakes. Both sides are sequentially consistent.
#pragma once

#include "engine/backend.hpp"
#include "engine/buffer_pool.hpp"
#include "engine/clock_os.hpp"
#include "engine/inbox.hpp"
#include "engine/operation.hpp"
#include "engine/poll_hook.hpp"
#include "engine/poll_window.hpp"
#include "engine/timer_queue.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/testing/fault_schedule.hpp>

#include <boost/asio/io_context.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace fairway::detail {

// Written by the owner only, read by any thread; relaxed, because each is a number of its own.
class counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct counters {
  counter kernel_entries, submissions, completions, inline_completions, wakeups_received,
      handlers_run, overflows, accept_pauses, in_flight, timers, doorbells_sent,
      doorbells_received;
  std::array<counter, path_reason_count> loopback;
  std::atomic<std::uint64_t> wakeups_sent{0};  // any thread; relaxed, a plain count
};

class port_core : public owner_side {
 public:
  port_core(completion_port& port, const port_options& options);
  port_core(const port_core&) = delete;
  port_core& operator=(const port_core&) = delete;
  ~port_core();

  completion_port& port() noexcept { return port_; }
  const port_options& options() const noexcept { return options_; }
  engine_kind kind() const noexcept { return kind_; }
  const std::string& reason() const noexcept { return reason_; }
  counters& counts() noexcept { return counts_; }

  // --- running ---
  enum class patience { wait, poll };
  std::size_t run(std::size_t handlers_max, time_point until, patience how);
  void stop() noexcept;               // any thread
  bool stopped() const noexcept;      // any thread
  void restart() noexcept;            // any thread
  bool running_here() const noexcept { return side_here(port_) != nullptr; }  // any thread
  void shutdown() noexcept;           // first half of destruction: the kernel lets go
  void discard_all() noexcept;        // destroys every handler without running it
  void attach_clock() { options_.clock->attach(port_); }
  void detach_clock() noexcept {
    if (options_.clock != nullptr) options_.clock->detach(port_);
  }

  // --- other threads ---
  void post(operation* op) noexcept;
  void post_elsewhere(operation* op) noexcept;  // not from inside a run function
  void post_hop(operation* op) noexcept;
  owned try_own() noexcept;
  void disown() noexcept;
  void work_started() noexcept;
  void work_finished() noexcept;
  void wake_if_sleeping() noexcept;
  void wake() noexcept;
  // Async-signal-safe: some signal is pending for this port.
  void signalled() noexcept {
    signalled_.store(true, std::memory_order_seq_cst);
    wake_if_sleeping();
  }
  port_statistics statistics() const noexcept;
  time_point now() const noexcept;  // the port's clock
  // `now() + time`, or never when that is beyond what the clock can tell.
  time_point after(duration time) const noexcept {
    const time_point start = now();
    return time > time_point::max() - start ? time_point::max() : start + time;
  }
  // Whether a time on the port's clock has come; cheap when it is far away, or was seen to come.
  bool has_come(time_point when) noexcept {
    if (manual_time()) return when <= now();
    if (when <= read_at_) return true;
    if (when > recent_time() + recent_lag) return false;
    read_at_ = now();
    return when <= read_at_;
  }
  bool manual_time() const noexcept { return options_.clock != nullptr; }

  // The handler that runs now is worth so many more in the budget of a turn.
  void look_sooner(unsigned handlers) noexcept { handlers_since_look_ += handlers; }
  // Any thread. True: a handler of this port runs here, and a coroutine in it may do a step that
  // ends at once without an operation. So many steps a handler, so that others come to their turn;
  // each is worth a handler in the budget of a turn.
  bool may_go_on() const noexcept {
    return running_here() && steps_left_ != 0 && hops_.empty() && !shutting_down_;
  }
  void take_step() noexcept {
    --steps_left_;
    ++handlers_since_look_;
  }
  void went_on() noexcept {  // by what would have been an operation
    take_step();
    counts_.submissions.add();
    counts_.completions.add();
    counts_.inline_completions.add();
  }

  // --- operations ---
  // Gives `op` (claimed, handler attached, arguments set) to the backend.
  void start(io_op& op) noexcept;
  // The end of an operation, from a backend or a composite; queues the handler. Ignored, and
  // counted as an overflow, for an operation that is not in flight (a repeated completion).
  void complete(io_op& op, error_code ec, std::size_t bytes) noexcept;
  void cancel(io_op& op) noexcept;
  // An attached timer or composite operation now waits for its end.
  void begin_waiting(io_op& op) noexcept { op.state = op_state::pending; }
  void arm_deadline(io_op& op, time_point when);
  void disarm_deadline(io_op& op) noexcept;
  // The heap of deadlines no longer refers to the operation.
  void forget_deadline(io_op& op) noexcept {
    disarm_deadline(op);
    timers_.remove(op);
  }
  void finish(io_op& op) noexcept;
  void attach(io_op& op, handler_base* handler) noexcept;
  // The same for an operation that nobody waits for: it does not keep a run function going.
  void attach_background(io_op& op, handler_base* handler) noexcept;
  // Copies a gather or scatter list into the operation. Throws std::bad_alloc.
  void set_vecs(io_op& op, const io_vec* vecs, unsigned count);

  // Asks the fault schedule about an entry that is made now, or later together with others.
  testing::entry_fault entry_fault(testing::kernel_entry where) noexcept {
    if (options_.faults == nullptr) [[likely]] return {};
    return options_.faults->on_entry(where);
  }
  // The same, and counts the entry.
  testing::entry_fault enter(testing::kernel_entry where) noexcept {
    counts_.kernel_entries.add();
    return entry_fault(where);
  }

  // --- objects ---
  void add(io_object& object) noexcept;
  void retain(io_object& object) noexcept { ++object.references; }
  void release(io_object& object) noexcept;
  void close(io_object& object) noexcept;
  // A backend that cannot close at once holds the object until the kernel owes nothing for it. That
  // is work: `run` does not return before the socket is really closed.
  void hold(io_object& object) noexcept {
    retain(object);
    ++local_work_;
  }
  void let_go(io_object& object) noexcept {
    --local_work_;
    release(object);
  }
  // `call` must neither make nor release objects.
  template <class Call>
  void for_each_object(Call&& call) {
    std::lock_guard lock{objects_mutex_};
    for (io_object* object = objects_; object != nullptr; object = object->next) call(*object);
  }

  // --- memory that others write ---
  poll_hook* hook() const noexcept { return hook_; }
  // At most once; the port ends it.
  void set_hook(poll_hook& hook) noexcept { hook_ = &hook; }

  // --- memory ---
  buffer_pool& buffers() noexcept { return buffers_; }
  // A buffer for a receive; null: `op` now waits for one and is started again when it comes. Or it
  // has ended (it does not wait, see op_waits_for_block): there is no memory even for one buffer.
  receive_block* take_block(io_op& op) noexcept;
  void give_block(receive_block& block) noexcept;
  // `op`, which waits for a buffer, does so no longer: it ends otherwise, or asks again.
  void forget_block_waiter(io_op& op) noexcept;

  template <class Call>
  decltype(auto) with_backend(Call&& call) {
    return backend_.with(static_cast<Call&&>(call));
  }

 private:
  std::size_t loop(std::size_t handlers_max, time_point until, patience how);
  bool run_ready_one();
  void look_around(time_point until, patience how);
  void perform_hops() noexcept {
    if (!hops_.seems_empty()) perform_waiting_hops();
  }
  void perform_waiting_hops() noexcept;
  void accept_posts() noexcept;
  void fire_deadlines() noexcept;
  void deliver_signals() noexcept;
  void forget_signals() noexcept;
  void enter_kernel(time_point until, patience how);
  bool look_at_hook(time_point until, patience how);
  bool look_until(time_point end) noexcept;
  void enter_if_due() noexcept;
  bool poll_kernel(time_point until) noexcept;
  void sleep_in_kernel(time_point until) noexcept;
  bool has_come() const noexcept;
  bool out_of_work() const noexcept;
  // True when the completion is to be delivered twice.
  bool apply_fault(io_op& op, error_code& ec, std::size_t& bytes) noexcept;
  void queue_completion(io_op& op) noexcept;
  void release_delayed() noexcept;

  completion_port& port_;
  port_options options_;
  counters counts_;
  timer_queue timers_;
  time_point read_at_{};  // when the port's clock was last read for deadlines
  unsigned handlers_since_look_ = 0;
  unsigned steps_left_ = 0;  // of the handler that runs; none where faults are wanted
  bool performing_hops_ = false;
  bool shutting_down_ = false;
  long local_work_ = 0;            // operations in flight and work counted on the owner's thread
  std::mutex objects_mutex_;       // the list: objects may be made and not yet used on any thread
  io_object* objects_ = nullptr;   // all objects of this port
  operation* block_waiters_ = nullptr;  // receives without a buffer, oldest first
  operation* block_waiters_last_ = nullptr;
  bool starting_waiters_ = false;
  operation* delayed_ = nullptr;  // completions that a fault holds back
  poll_hook* hook_ = nullptr;     // null: nothing but the kernel to look at
  time_point entered_{};          // the last entry into the kernel, while the hook is hot
  unsigned hot_turns_ = 0;
  poll_window busy_poll_;         // at the kernel's queues, before a sleep
  buffer_pool buffers_;
  // Gives the thread Asio's coroutine frame cache. Only the owner touches it: it needs no locks.
  boost::asio::io_context frames_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
  backend backend_;
  engine_kind kind_;
  std::string reason_;

  inbox posts_;
  inbox hops_;
  alignas(64) std::atomic<std::uintptr_t> owner_{0};  // 0, or a thread's mark; bit 0: borrowed
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> signalled_{false};
  std::atomic<long> foreign_work_{0};
};

}  // namespace fairway::detail
