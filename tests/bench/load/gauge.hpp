// How the two processors are for a moment: what the host of a virtual machine changes without a
// word. It may place them in one L3 or in two, between which a cache line takes four times as long,
// and give the other thread of the core that a processor is to somebody else, which takes up to
// half of what the core has. Neither is stolen time, and both change what a server's CPU is to
// another's.
#pragma once

#include "process.hpp"

#include <algorithm>
#include <atomic>
#include <sched.h>
#include <thread>

namespace bench {

// Zero: not known.
struct condition {
  double line_ns = 0;   // a cache line from one processor to the other and back
  double units_us = 0;  // on the server's processor, a loop that keeps its units busy
  double own_us = 0;    // the same on the load generator's
};

class gauge {
 public:
  // Works where the server and we have one processor each, and not the same.
  explicit gauge(pid_t server) {
    cpu_set_t own;
    works_ = server > 0 && ::sched_getaffinity(server, sizeof theirs_, &theirs_) == 0 &&
             ::sched_getaffinity(0, sizeof own, &own) == 0 && CPU_COUNT(&theirs_) == 1 &&
             CPU_COUNT(&own) == 1 && !CPU_EQUAL(&theirs_, &own);
  }

  // Some 250 us, of which both processors work 200. While the server sleeps.
  condition look() const {
    condition seen;
    if (!works_) return seen;
    struct alignas(128) {
      std::atomic<std::uint32_t> turn{0};
    } line;
    std::thread there([&] {
      ::sched_setaffinity(0, sizeof theirs_, &theirs_);
      for (std::uint32_t i = 1; i < 2 * passes * rounds; i += 2) {
        wait_for(line.turn, i);
        line.turn.store(i + 1, std::memory_order_release);
      }
      seen.units_us = units();
    });
    std::uint64_t least = ~0ull;
    for (std::uint32_t pass = 0, i = 0; pass < passes; ++pass) {
      const std::uint64_t begun = now_ns();
      for (std::uint32_t round = 0; round < rounds; ++round, i += 2) {
        line.turn.store(i + 1, std::memory_order_release);
        wait_for(line.turn, i + 2);
      }
      if (pass > 0) least = std::min(least, now_ns() - begun);  // in the first it starts
    }
    seen.own_us = units();
    there.join();
    seen.line_ns = static_cast<double>(least) / rounds;
    return seen;
  }

 private:
  static constexpr std::uint32_t passes = 4, rounds = 100;

  static void wait_for(const std::atomic<std::uint32_t>& turn, std::uint32_t value) {
    while (turn.load(std::memory_order_acquire) != value) {
    }
  }

  // Sums that do not wait for each other, more of them than a core with two busy threads has units
  // for. The least of some passes: what an interrupt takes is not meant.
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
  cpu_set_t theirs_{};
};

}  // namespace bench
