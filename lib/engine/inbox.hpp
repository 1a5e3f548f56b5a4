// Many producers, one consumer: how other threads hand operations to a port.
//
// A stack of intrusive nodes: producers push with one compare-and-swap, the consumer takes all at
// once with one exchange and turns them round, so order is kept for each producer and, seen from
// the consumer, overall. Pushing releases, taking acquires: what a producer wrote into its node
// before is visible to the consumer.
#pragma once

#include <fairway/engine/detail/posted.hpp>

#include <atomic>

namespace fairway::detail {

class inbox {
 public:
  // Any thread. The order is sequentially consistent because the producer then looks whether the
  // consumer sleeps, and the consumer looks here after it said so: one of them sees the other.
  void push(operation* op) noexcept {
    operation* head = head_.load(std::memory_order_relaxed);  // only a guess for the exchange
    do {
      op->next = head;
    } while (!head_.compare_exchange_weak(head, op, std::memory_order_seq_cst,
                                          std::memory_order_relaxed));
  }

  // Any thread.
  bool empty() const noexcept { return head_.load(std::memory_order_seq_cst) == nullptr; }

  // Any thread. Relaxed: what it misses is seen next time; it keeps the line shared while nobody
  // posts.
  bool seems_empty() const noexcept { return head_.load(std::memory_order_relaxed) == nullptr; }

  // Owner only. The operations in the order of their arrival, linked by `next`.
  operation* take_all() noexcept {
    if (seems_empty()) return nullptr;
    operation* reversed = head_.exchange(nullptr, std::memory_order_acquire);
    operation* ordered = nullptr;
    while (reversed != nullptr) {
      operation* following = reversed->next;
      reversed->next = ordered;
      ordered = reversed;
      reversed = following;
    }
    return ordered;
  }

 private:
  alignas(64) std::atomic<operation*> head_{nullptr};
};

}  // namespace fairway::detail
