// The ring between two threads that park: no byte is lost or doubled and no wake-up is missed. The
// thread sanitizer looks at these; it does not know fences, which are the model's to prove.

#include "support/net.hpp"

#include <condition_variable>
#include <cstring>
#include <mutex>

#include "loopback/segment.hpp"

using namespace loopback_test;

namespace {

// A bell that nobody heard yet counts for all. (The timed waits of libstdc++'s semaphores sleep for
// milliseconds between looks.)
class bell {
 public:
  void ring() {
    {
      const std::lock_guard lock{mutex_};
      rung_ = true;
    }
    changed_.notify_one();
  }
  bool heard(std::chrono::steady_clock::duration patience) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, patience, [&] { return rung_; }) && !(rung_ = false);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
};

struct parking {
  bell data;
  bell space;
};

// One end writes, the other reads; both park after a short look. Returns false on a wrong byte.
bool run_both_ends(std::uint64_t bytes, std::size_t piece_max, bool spin) {
  connection c;
  c.accept();
  parking park;
  bool in_order = true;
  std::atomic<bool> stuck{false};
  const auto patient = [&](bell& waited_for) {
    if (waited_for.heard(support::patience)) return true;
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
          if (me.in().wake_writer()) park.space.ring();
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
      if (me.wake_peer()) park.data.ring();
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
  CHECK(run_both_ends(2'000'000, 900, false));
}

TEST_CASE("two threads that look for a while before they park pass every byte") {
  CHECK(run_both_ends(4'000'000, 3000, true));
}

TEST_CASE("single bytes pass two threads that park after each") {
  CHECK(run_both_ends(20'000, 1, false));
}
