#include "engine/port_core.hpp"
#include "engine/processor_pause.hpp"

#include <fairway/engine/detail/step.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <stdexcept>
#include <thread>

namespace fairway::detail {

constinit thread_local run_frame innermost_run;

owner_side* side_further_out(const completion_port& port) noexcept {
  for (const run_frame* f = innermost_run.outer; f != nullptr; f = f->outer) {
    if (f->port == &port) return f->side;
  }
  return nullptr;
}

namespace {

constexpr std::uintptr_t borrowed_mark = 1;

// While the hook finds something in every turn the kernel is entered only when it has news, or,
// where only the kernel can tell, after this time: what sockets may wait beside a hot ring.
constexpr std::chrono::microseconds kernel_pause{25};
constexpr std::chrono::microseconds kernel_pause_max{300};

// Steps that a handler goes on by itself. A step costs about a fifth of an operation, so that more
// of them gain little.
constexpr unsigned steps_max = 32;

// An address that is this thread's alone, for as long as it lives.
std::uintptr_t this_thread_mark() noexcept {
  alignas(8) static thread_local char mark;
  return reinterpret_cast<std::uintptr_t>(&mark);
}

// Memory for the one function that a run function posts; taken once, given back before it runs.
struct call_memory {
  alignas(std::max_align_t) std::byte bytes[256];
};
template <class T = void>
class call_allocator {
 public:
  using value_type = T;
  explicit call_allocator(call_memory& memory) noexcept : memory_{&memory} {}
  template <class U>
  call_allocator(const call_allocator<U>& other) noexcept : memory_{other.memory_} {}
  T* allocate(std::size_t) noexcept {
    static_assert(sizeof(T) <= sizeof(call_memory) && alignof(T) <= alignof(call_memory));
    return reinterpret_cast<T*>(memory_->bytes);
  }
  void deallocate(T*, std::size_t) noexcept {}
  friend bool operator==(const call_allocator& a, const call_allocator& b) noexcept {
    return a.memory_ == b.memory_;
  }

 private:
  template <class>
  friend class call_allocator;
  call_memory* memory_;
};

}  // namespace

owned port_core::try_own() noexcept {
  const std::uintptr_t me = this_thread_mark();
  // Sequentially consistent: it comes after the push of a hop, see disown.
  const std::uintptr_t seen = owner_.load(std::memory_order_seq_cst);
  owned how = owned::already;
  if ((seen & ~borrowed_mark) != me) {
    std::uintptr_t free = 0;
    if (seen != 0 || !owner_.compare_exchange_strong(free, me | borrowed_mark,
                                                     std::memory_order_seq_cst)) {
      return owned::elsewhere;
    }
    how = owned::borrowed;
  }
  perform_hops();
  return how;
}

void port_core::disown() noexcept {
  for (;;) {
    // A hop that came while this thread had the port found it taken: perform it now unless a new
    // owner does. Its producer pushes and then looks at `owner_`; here it is the other way round,
    // and all four are sequentially consistent: one of the two sees the other.
    owner_.store(0, std::memory_order_seq_cst);
    if (hops_.empty() || try_own() != owned::borrowed) return;
  }
}

void port_core::perform_waiting_hops() noexcept {
  // A hop may initiate something, which comes here again: the outer call keeps the order.
  if (performing_hops_) return;
  performing_hops_ = true;
  while (operation* op = hops_.take_all()) {
    while (op != nullptr) {
      operation* following = op->next;
      op->perform(op, *this, act::run);
      op = following;
    }
  }
  performing_hops_ = false;
}

std::size_t port_core::run(std::size_t handlers_max, time_point until, patience how) {
  const std::uintptr_t me = this_thread_mark();
  for (;;) {
    std::uintptr_t seen = 0;
    if (owner_.compare_exchange_weak(seen, me, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      break;
    }
    if (seen == 0) continue;  // spurious failure
    if ((seen & ~borrowed_mark) == me || (seen & borrowed_mark) == 0) {
      throw std::logic_error("fairway::completion_port: a thread is already inside run");
    }
    std::this_thread::yield();  // an initiating call on another thread: over in a moment
  }
  struct giving_back {
    port_core& core;
    ~giving_back() {
      core.backend_.with([](auto& b) {
        if constexpr (requires { b.flush(); }) b.flush();
      });
      core.disown();
    }
  } last{*this};
  const run_scope scope{port_, *this};

  // Inside run_one of an Asio context the thread has Asio's cache of coroutine frames.
  std::size_t count = 0;
  frames_.restart();
  call_memory memory;
  const auto call = [&] { count = loop(handlers_max, until, how); };
  boost::asio::post(frames_, boost::asio::bind_allocator(call_allocator<>{memory}, call));
  frames_.run_one();
  return count;
}

std::size_t port_core::loop(std::size_t handlers_max, time_point until, patience how) {
  backend_.with([](auto& b) { b.attach(); });
  std::size_t count = 0;
  bool looked = false;
  while (count < handlers_max && !stopped()) {
    if (!ready.empty() && handlers_since_look_ < options_.handlers_per_turn) {
      if (run_ready_one()) ++count;
      continue;
    }
    if (ready.empty()) {
      if (looked && how == patience::poll) {
        // What other threads posted while handlers ran is ready as well.
        perform_hops();
        accept_posts();
        if (!ready.empty()) continue;
        if (out_of_work()) stop();
        break;
      }
      if (out_of_work()) {
        stop();
        break;
      }
    }
    // Also with handlers ready: a chain of them must not outlast the time.
    if (looked && how == patience::wait && until != time_point::max() &&
        std::chrono::steady_clock::now() >= until) {
      break;
    }
    look_around(until, how);
    looked = true;
  }
  return count;
}

bool take_step(completion_port& port) noexcept {
  port_core& core = core_of(port);
  if (!core.may_go_on()) return false;
  core.take_step();
  return true;
}

bool port_core::run_ready_one() {
  operation* op = ready.pop();
  ++handlers_since_look_;
  steps_left_ = options_.faults == nullptr ? steps_max : 0;
  counts_.handlers_run.add();
  op->perform(op, *this, act::run);
  return true;
}

void port_core::look_around(time_point until, patience how) {
  handlers_since_look_ = 0;
  perform_hops();
  accept_posts();
  if (hook_ != nullptr) fire_deadlines();  // what is due is no reason to stop looking
  release_delayed();
  enter_kernel(until, how);
  perform_hops();
  accept_posts();
  fire_deadlines();
  // Looked at relaxed first: the exchange below pairs with the handler's store.
  if (signalled_.load(std::memory_order_relaxed) &&
      signalled_.exchange(false, std::memory_order_seq_cst)) {
    deliver_signals();
  }
}

void port_core::accept_posts() noexcept {
  for (operation* op = posts_.take_all(); op != nullptr;) {
    operation* following = op->next;
    ready.push(op);
    op = following;
  }
}

void port_core::fire_deadlines() noexcept {
  if (timers_.next() == time_point::max()) return;
  read_at_ = now();
  while (io_op* op = timers_.pop_due(read_at_)) {
    counts_.timers.subtract();
    if (op->kind == op_kind::timer) {
      complete(*op, {}, 0);
    } else {
      op->flags |= op_timed_out;
      cancel(*op);
    }
  }
}

void port_core::enter_kernel(time_point until, patience how) {
  const bool hot = hook_ != nullptr && hook_->hot(*hook_);
  if (hot && look_at_hook(until, how)) return;
  time_point wake_at = time_point::min();
  if (how == patience::wait && ready.empty() && delayed_ == nullptr) {
    if (!hot && busy_poll_.length() > duration::zero() && poll_kernel(until)) return;
    wake_at = until;
    if (!manual_time()) wake_at = std::min(wake_at, timers_.next());
    // From here a producer that pushes sees `sleeping_`, or this thread sees what it pushed.
    sleeping_.store(true, std::memory_order_seq_cst);
    if (!posts_.empty() || !hops_.empty() || stopped() || out_of_work() ||
        signalled_.load(std::memory_order_seq_cst) ||
        (manual_time() && timers_.next() <= now())) {
      wake_at = time_point::min();
    }
  }
  sleep_in_kernel(wake_at);
  // A producer that still sees true sends a wake that the next wait takes: harmless.
  sleeping_.store(false, std::memory_order_relaxed);
}

void port_core::sleep_in_kernel(time_point until) noexcept {
  const auto wait = [&] { backend_.with([&](auto& b) { b.wait(until); }); };
  if (until == time_point::min() || (hook_ == nullptr && !busy_poll_.is_ever())) return wait();
  const time_point before = std::chrono::steady_clock::now();
  wait();
  const duration slept = std::chrono::steady_clock::now() - before;
  if (hook_ != nullptr) hook_->slept(*hook_, slept);
  busy_poll_.slept(slept);
  if (has_come()) busy_poll_.woken();
}

bool port_core::has_come() const noexcept {
  return !ready.empty() || delayed_ != nullptr || !posts_.empty() || !hops_.empty() || stopped() ||
         out_of_work() || signalled_.load(std::memory_order_relaxed);
}

// True: the next turn comes before any sleep.
bool port_core::poll_kernel(time_point until) noexcept {
  const time_point begun = std::chrono::steady_clock::now();
  const time_point whole = begun + busy_poll_.length();
  const time_point end = std::min({until, timers_.next(), whole});
  // What handlers started goes to the kernel first: what that ends at once was not found by a look.
  backend_.with([](auto& b) { b.wait(time_point::min()); });
  if (has_come()) return true;
  time_point current = std::chrono::steady_clock::now();
  while (current < end) {
    processor_pause();
    backend_.with([](auto& b) {
      if constexpr (requires { b.has_news(); }) {
        if (!b.has_news()) return;
      }
      b.wait(time_point::min());
    });
    if (has_come()) {
      busy_poll_.found();
      return true;
    }
    if (hook_ != nullptr && hook_->hot(*hook_)) return true;
    current = std::chrono::steady_clock::now();
  }
  busy_poll_.missed(current - begun);
  return end != whole;
}

void port_core::enter_if_due() noexcept {
  const bool due = backend_.with([&](auto& b) {
    if constexpr (requires { b.has_news(); }) {
      return b.has_news();
    } else {
      if ((++hot_turns_ & 7) != 0) return false;  // the clock is not free either
      const time_point current = std::chrono::steady_clock::now();
      if (current - entered_ < kernel_pause) return false;
      entered_ = current;
      return true;
    }
  });
  if (!due) return;
  backend_.with([&](auto& b) {
    b.wait(time_point::min());
    if constexpr (!requires { b.has_news(); }) {
      // Where an entry is dear (under Wine), most of the time is for looking all the same.
      const auto cost = std::chrono::steady_clock::now() - entered_;
      entered_ += std::min<duration>(5 * cost, kernel_pause_max);
    }
  });
}

// True: this turn needs no entry into the kernel.
bool port_core::look_at_hook(time_point until, patience how) {
  const bool found = hook_->look(*hook_);
  if (how == patience::poll) return false;
  enter_if_due();
  if (found || !ready.empty() || delayed_ != nullptr) return true;
  if (!hook_->hot(*hook_)) return false;
  const duration window = hook_->window(*hook_);
  if (window > duration::zero()) {
    time_point end = std::min(until, std::chrono::steady_clock::now() + window);
    if (!manual_time()) end = std::min(end, timers_.next());
    if (look_until(end)) return true;
    hook_->missed(*hook_);
  }
  return hook_->park(*hook_);
}

bool port_core::look_until(time_point end) noexcept {
  for (unsigned looks = 1;; ++looks) {
    processor_pause();
    if (hook_->look(*hook_)) return true;
    enter_if_due();
    if (has_come()) return true;  // looked at again before sleeping
    if ((looks & 15) == 0 && std::chrono::steady_clock::now() >= end) return false;
  }
}

bool port_core::out_of_work() const noexcept {
  return local_work_ + foreign_work_.load(std::memory_order_seq_cst) <= 0 && ready.empty() &&
         posts_.empty() && hops_.empty() && delayed_ == nullptr;
}

void port_core::stop() noexcept {
  stopped_.store(true, std::memory_order_seq_cst);
  wake_if_sleeping();
}

bool port_core::stopped() const noexcept { return stopped_.load(std::memory_order_seq_cst); }

void port_core::restart() noexcept { stopped_.store(false, std::memory_order_seq_cst); }

void port_core::wake_if_sleeping() noexcept {
  if (!sleeping_.load(std::memory_order_seq_cst)) return;
  if (!sleeping_.exchange(false, std::memory_order_seq_cst)) return;
  wake();
}

void port_core::wake() noexcept {
  counts_.wakeups_sent.fetch_add(1, std::memory_order_relaxed);  // a plain count
  backend_.with([](auto& b) { b.wake(); });
}

void port_core::post(operation* op) noexcept {
  if (running_here()) {
    ready.push(op);
  } else {
    post_elsewhere(op);
  }
}

void port_core::post_elsewhere(operation* op) noexcept {
  posts_.push(op);
  wake_if_sleeping();
}

void port_core::post_hop(operation* op) noexcept {
  hops_.push(op);
  wake_if_sleeping();
  // The owner may have left between our look and our push; then nobody else would perform it
  // before the next run, and a close would wait for that.
  if (try_own() == owned::borrowed) disown();
}

void port_core::work_started() noexcept {
  if (running_here()) {
    ++local_work_;
  } else {
    foreign_work_.fetch_add(1, std::memory_order_seq_cst);
  }
}

void port_core::work_finished() noexcept {
  if (running_here()) {
    --local_work_;
  } else {
    // The port may sleep with no other work: it must look again to return from run.
    foreign_work_.fetch_sub(1, std::memory_order_seq_cst);
    wake_if_sleeping();
  }
}

}  // namespace fairway::detail
