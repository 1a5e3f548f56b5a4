// The ring between two threads that park: no byte is lost or doubled and no wake-up is missed. The
// thread sanitizer looks at these; it does not know fences, which are the model's to prove.

#include "support/net.hpp"

#include <cstring>
#include <semaphore>

#include "loopback/segment.hpp"

using namespace loopback_test;

namespace {

struct parking {
  std::binary_semaphore data{0};
  std::binary_semaphore space{0};
  // Rings what is not rung already: a bell that nobody heard yet counts for all.
  static void ring(std::binary_semaphore& bell) {
    bell.try_acquire();
    bell.release();
  }
};

// One end writes, the other reads; both park after a short look. Returns false on a wrong byte.
bool run_both_ends(std::uint64_t bytes, std::size_t piece_max, bool spin) {
  connection c;
  c.accept();
  parking park;
  bool in_order = true;
  std::atomic<bool> stuck{false};
  const auto patient = [&](std::binary_semaphore& bell) {
    if (bell.try_acquire_for(support::patience)) return true;
    stuck.store(true, std::memory_order_relaxed);  // read after the join
    return false;
  };
  std::thread reader{[&] {
    switch_machine& me = *c.acceptor;
    std::uint64_t at = 0;
    while (at < bytes) {
      if (me.way_in() == way::ring) {
        const std::string got = get(me.in(), piece_max);
        for (const char byte : got) in_order &= byte == static_cast<char>(at++ * 7);
        if (!got.empty()) {
          if (me.in().wake_writer()) parking::ring(park.space);
          continue;
        }
      }
      for (int i = 0; spin && i < 200 && me.in().refresh() == 0; ++i) {}
      me.arm_data();
      full_fence();
      if (me.way_in() == way::ring && me.in().refresh() != 0) continue;
      if (!patient(park.data)) return;
    }
  }};
  switch_machine& me = *c.connector;
  REQUIRE(me.way_out() == way::ring);
  std::string text(piece_max, '\0');
  for (std::uint64_t at = 0; at < bytes && !stuck.load(std::memory_order_relaxed);) {  // a hint
    const std::size_t size = std::min<std::uint64_t>(1 + at % piece_max, bytes - at);
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((at + i) * 7);
    const std::size_t put_now = put(me.out(), {text.data(), size});
    at += put_now;
    if (put_now != 0) {
      if (me.wake_peer()) parking::ring(park.data);
      continue;
    }
    me.arm_space(1024);
    full_fence();
    if (me.out().space(1024) >= 1024) continue;
    if (!patient(park.space)) break;
  }
  reader.join();
  return in_order && !stuck.load(std::memory_order_relaxed);  // after the join
}

}  // namespace

TEST_CASE("two threads that park at once pass every byte") {
  CHECK(run_both_ends(500'000, 900, false));
}

TEST_CASE("two threads that look for a while before they park pass every byte") {
  CHECK(run_both_ends(1'000'000, 3000, true));
}

TEST_CASE("single bytes pass two threads that park after each") {
  CHECK(run_both_ends(3'000, 1, false));
}
