// How the two processors are for a moment: what the host of a virtual machine changes without a
// word. It may place them in one L3 or in two, between which a cache line takes four times as long,
// and give the other thread of a processor's core to somebody else, which takes up to half of what
// the core has. Neither is stolen time.
#pragma once

#include "process.hpp"

#include <algorithm>
#include <atomic>
#include <pthread.h>
#include <sched.h>

namespace bench {

// Zero: not known.
struct condition {
  double line_ns = 0;   // a cache line from one processor to the other and back
  double units_us = 0;  // on the server's processor, a loop that keeps its units busy
};

class gauge {
 public:
  // Works where the server and we have one processor each, and not the same.
  explicit gauge(pid_t server) {
    cpu_set_t theirs, own;
    works_ = server > 0 && ::sched_getaffinity(server, sizeof theirs, &theirs) == 0 &&
             ::sched_getaffinity(0, sizeof own, &own) == 0 && CPU_COUNT(&theirs) == 1 &&
             CPU_COUNT(&own) == 1 && !CPU_EQUAL(&theirs, &own) &&
             ::pthread_attr_init(&there_) == 0;
    // From its first instruction: whoever waits for it spins.
    if (works_) works_ = ::pthread_attr_setaffinity_np(&there_, sizeof theirs, &theirs) == 0;
  }
  gauge(const gauge&) = delete;
  gauge& operator=(const gauge&) = delete;
  ~gauge() {
    if (works_) ::pthread_attr_destroy(&there_);
  }

  // Takes some 0.3 ms. While the server sleeps.
  condition look() const {
    condition seen;
    shared with;
    pthread_t partner;
    if (!works_ || ::pthread_create(&partner, &there_, &answer, &with) != 0) return seen;
    std::uint64_t least = ~0ull;
    for (std::uint32_t pass = 0, i = 0; pass < passes; ++pass) {
      const std::uint64_t begun = now_ns();
      for (std::uint32_t round = 0; round < rounds; ++round, i += 2) {
        with.turn.store(i + 1, std::memory_order_release);
        wait_for(with.turn, i + 2);
      }
      if (pass > 0) least = std::min(least, now_ns() - begun);  // in the first it starts
    }
    ::pthread_join(partner, nullptr);
    seen.line_ns = static_cast<double>(least) / rounds;
    seen.units_us = with.units_us;
    return seen;
  }

 private:
  static constexpr std::uint32_t passes = 4, rounds = 100;

  struct shared {
    alignas(128) std::atomic<std::uint32_t> turn{0};
    alignas(128) double units_us = 0;
  };

  // Of the thread on the server's processor.
  static void* answer(void* with) {
    shared& both = *static_cast<shared*>(with);
    for (std::uint32_t i = 1; i < 2 * passes * rounds; i += 2) {
      wait_for(both.turn, i);
      both.turn.store(i + 1, std::memory_order_release);
    }
    both.units_us = units();
    return nullptr;
  }

  static void wait_for(const std::atomic<std::uint32_t>& turn, std::uint32_t value) {
    while (turn.load(std::memory_order_acquire) != value) {
    }
  }

  // More sums at once than a core with two busy threads has units for. The least of some passes:
  // what an interrupt takes is not meant.
  static double units() {
    std::uint64_t least = ~0ull;
    for (int pass = 0; pass < 3; ++pass) {
      const std::uint64_t begun = now_ns();
      std::uint64_t p = 1, q = 2, r = 3, s = 4, u = 5, w = 6;
      for (std::uint64_t i = 0; i < 40'000; ++i) {
        p += q ^ i;
        q += r;
        r ^= s + i;
        s += u;
        u ^= w;
        w += p;
        asm volatile("" : : "r"(p), "r"(q), "r"(r));
      }
      least = std::min(least, now_ns() - begun);
    }
    return static_cast<double>(least) / 1000;
  }

  bool works_ = false;
  pthread_attr_t there_;
};

}  // namespace bench
