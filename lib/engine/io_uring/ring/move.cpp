// How a port changes its thread, and how it ends.
//
// A ring that is bound to a thread cannot be entered, cancelled in or even drained by another one.
// What the new thread can do: take the completions that are already in the queue, which is shared
// memory, and end the ring. Requests that are left never touch data: a receive copies bytes only
// when its own thread enters the ring, so ending it cancels them all and no byte is lost. When the
// kernel has let go, each is treated as cancelled: started again on the new ring, or ended if that
// was asked for. A connection that was under way is picked up where it is.
//
// Ending a ring takes the kernel some 40 ms, so a port that keeps moving with operations in flight
// gets a ring that any thread may enter, at the price of its fast path.
#include "engine/io_uring/accept_queue.hpp"
#include "engine/io_uring/port.hpp"
#include "engine/io_uring/ring/thread_number.hpp"
#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <cassert>
#include <cerrno>
#include <chrono>
#include <utility>

namespace fairway::detail::io_uring {

namespace {

constexpr unsigned costly_moves_max = 3;
// Far beyond what was measured; after it the port goes on, because nothing but a request that sits
// in a kernel worker could still touch memory.
constexpr std::chrono::seconds end_patience{2};

}  // namespace

void port::attach() {
  if (process_ != this_process_number()) {
    throw boost::system::system_error(boost::asio::error::operation_not_supported,
                                      "a port of the parent process");
  }
  const std::uint64_t me = this_thread_number();
  if (thread_ == me) return;
  if (thread_ != 0 && ring_->bound()) move_here();
  if (const int error = ring_->enable()) {
    throw boost::system::system_error(
        error_code{error, boost::asio::error::get_system_category()}, "io_uring_register");
  }
  thread_ = me;
}

void port::flush() noexcept {
  if (thread_ != this_thread_number() || !ring_is_mine()) return;
  start_deferred();
  if (ring_->unsubmitted() == 0) return;
  enter(0, time_point::min());
  reap();  // what the entry ended; of a close that is its end
}

// What the kernel owes completions for, in two lists.
struct port::outstanding {
  io_op* operations = nullptr;
  accept_queue* accepts = nullptr;
};

port::outstanding port::collect_outstanding() noexcept {
  // Cancels that were still to be pushed have lost their ring; what is to be started stays.
  io_op* op = std::exchange(deferred_, nullptr);
  deferred_last_ = nullptr;
  while (op != nullptr) {
    auto* following = static_cast<io_op*>(op->next);
    op->backend_word &= ~op_deferred;
    if (op->owed == 0) defer(*op);
    op = following;
  }
  outstanding all;
  core_.for_each_object([&](io_object& object) {
    for (io_op* one : object.operations()) {
      if (one == nullptr || one->owed == 0) continue;
      one->next = all.operations;
      all.operations = one;
    }
    accept_queue* queue = queue_of(object);
    if (queue == nullptr || !queue->armed) return;
    queue->next = all.accepts;
    all.accepts = queue;
  });
  return all;
}

void port::take_back(outstanding all) noexcept {
  while (all.operations != nullptr) {
    io_op& op = *all.operations;
    all.operations = static_cast<io_op*>(op.next);
    on_operation(op, -ECANCELED, 0);
  }
  while (all.accepts != nullptr) {
    accept_queue& queue = *all.accepts;
    all.accepts = queue.next;
    on_accept(queue, -ECANCELED, 0);
  }
  assert(owed_ == 0);
}

void port::move_here() {
  reap();
  const bool costly = owed_ != 0;
  const bool bound = costly_moves_ < costly_moves_max;
  auto fresh = std::make_unique<ring>(entries_, bound);  // may throw: nothing has changed then
  if (costly) ++costly_moves_;
  ring_->end(costly ? duration{end_patience} : duration::zero());
  ring_ = std::move(fresh);
  buffers_.open(ring_->native());
  wake_armed_ = false;
  thread_ = 0;
  // The new ring is nobody's yet: all goes to the list that the first wait works off.
  take_back(collect_outstanding());
}

// Cancels everything and takes what comes. False: something does not end.
bool port::drain() noexcept {
  using namespace std::chrono_literals;
  constexpr int rounds_max = 50;
  for (int round = 0; owed_ != 0; ++round) {
    if (round == rounds_max) return false;
    if (io_uring_sqe* entry = next_entry()) {
      io_uring_prep_cancel64(entry, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
      entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
      entry->user_data = tag_ignored;
    }
    core_.counts().kernel_entries.add();
    ring_->enter(owed_ != 0 ? 1 : 0, std::chrono::steady_clock::now() + 100ms);
    reap();
    flush_overflow();
  }
  return true;
}

void port::shutdown() noexcept {
  shutting_down_ = true;
  if (process_ != this_process_number()) {
    // A child made by fork has no part in the ring.
    static_cast<void>(ring_.release());
    thread_ = 0;
  }
  core_.for_each_object([this](io_object& object) { core_.close(object); });
  if (ring_ != nullptr && !(ring_is_mine() && drain())) {
    reap();
    ring_->end(owed_ != 0 ? duration{end_patience} : duration::zero());
  }
  if (owed_ != 0) take_back(collect_outstanding());
  ring_.reset();
  buffers_.give_back();
}

}  // namespace fairway::detail::io_uring
