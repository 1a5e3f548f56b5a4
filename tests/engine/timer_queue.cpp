// The heap of deadlines against a model, without a port: order, lazy re-arming, removal.
#include "engine/timer_queue.hpp"

#include "engine/operation.hpp"
#include "support/limits.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <vector>

using fairway::detail::io_op;
using fairway::detail::op_kind;
using fairway::detail::time_point;
using fairway::detail::timer_queue;

namespace {

time_point at(int tick) { return time_point{std::chrono::milliseconds{tick}}; }

// What the queue has to do, in the plainest way.
class model {
 public:
  void arm(io_op* op, int tick) {
    disarm(op);
    entries_.emplace(tick, op);
  }
  void disarm(io_op* op) {
    for (auto i = entries_.begin(); i != entries_.end(); ++i) {
      if (i->second == op) {
        entries_.erase(i);
        return;
      }
    }
  }
  // All that is due, earliest first; equal times in any order.
  std::multimap<int, io_op*> take_due(int tick) {
    const auto end = entries_.upper_bound(tick);
    std::multimap<int, io_op*> due(entries_.begin(), end);
    entries_.erase(entries_.begin(), end);
    return due;
  }
  std::optional<int> first() const {
    return entries_.empty() ? std::nullopt : std::optional{entries_.begin()->first};
  }
  std::size_t size() const { return entries_.size(); }

 private:
  std::multimap<int, io_op*> entries_;
};

bool same_due(timer_queue& queue, model& expected, int tick) {
  auto due = expected.take_due(tick);
  time_point previous = time_point::min();
  while (io_op* op = queue.pop_due(at(tick))) {
    if (op->deadline.when < previous || op->deadline.armed) return false;
    previous = op->deadline.when;
    auto i = due.begin();
    while (i != due.end() && i->second != op) ++i;
    if (i == due.end() || at(i->first) != op->deadline.when) return false;
    due.erase(i);
  }
  return due.empty();
}

std::uint64_t seed_of_this_run() {
  if (const char* given = std::getenv("FAIRWAY_TEST_SEED")) return std::strtoull(given, nullptr, 0);
  return std::random_device{}();
}

}  // namespace

TEST_CASE("an empty queue has nothing due and no next time") {
  timer_queue queue;
  CHECK(queue.pop_due(time_point::max()) == nullptr);
  CHECK(queue.next() == time_point::max());
  CHECK(queue.armed() == 0);
}

TEST_CASE("deadlines come out in their order") {
  timer_queue queue;
  std::deque<io_op> ops;
  for (int tick : {5, 1, 4, 2, 3}) queue.arm(ops.emplace_back(op_kind::timer), at(tick));
  for (int tick = 1; tick <= 5; ++tick) {
    io_op* op = queue.pop_due(at(5));
    REQUIRE(op != nullptr);
    CHECK(op->deadline.when == at(tick));
  }
  CHECK(queue.pop_due(at(5)) == nullptr);
}

TEST_CASE("a deadline is due at its time and not before") {
  timer_queue queue;
  io_op op{op_kind::timer};
  queue.arm(op, at(10));
  CHECK(queue.pop_due(at(9)) == nullptr);
  CHECK(queue.pop_due(at(10)) == &op);
  CHECK(queue.armed() == 0);
}

TEST_CASE("a deadline moved later is not due at its old time") {
  timer_queue queue;
  io_op op{op_kind::timer};
  queue.arm(op, at(10));
  queue.arm(op, at(20));
  CHECK(queue.armed() == 1);
  CHECK(queue.pop_due(at(19)) == nullptr);
  CHECK(queue.pop_due(at(20)) == &op);
}

TEST_CASE("a deadline moved earlier is due at its new time") {
  timer_queue queue;
  io_op first{op_kind::timer};
  io_op moved{op_kind::timer};
  queue.arm(first, at(15));
  queue.arm(moved, at(20));
  queue.arm(moved, at(5));
  CHECK(queue.next() == at(5));
  CHECK(queue.pop_due(at(5)) == &moved);
  CHECK(queue.pop_due(at(15)) == &first);
}

TEST_CASE("a deadline disarmed and armed again fires once, at the new time") {
  timer_queue queue;
  io_op op{op_kind::timer};
  queue.arm(op, at(10));
  queue.disarm(op);
  queue.disarm(op);
  CHECK(queue.armed() == 0);
  queue.arm(op, at(30));
  queue.disarm(op);
  queue.arm(op, at(20));
  CHECK(queue.armed() == 1);
  CHECK(queue.pop_due(at(19)) == nullptr);
  CHECK(queue.pop_due(at(40)) == &op);
  CHECK(queue.pop_due(at(40)) == nullptr);
}

TEST_CASE("a removed deadline leaves no trace of its operation") {
  timer_queue queue;
  {
    io_op op{op_kind::timer};
    queue.arm(op, at(10));
    queue.remove(op);
  }
  CHECK(queue.next() == time_point::max());
  CHECK(queue.pop_due(time_point::max()) == nullptr);
}

TEST_CASE("a disarmed deadline that comes up is dropped from the heap") {
  timer_queue queue;
  io_op op{op_kind::timer};
  queue.arm(op, at(10));
  queue.disarm(op);
  CHECK(queue.pop_due(at(10)) == nullptr);
  CHECK(queue.next() == time_point::max());
}

TEST_CASE("random arming, moving, disarming and removing agrees with a sorted map") {
  const std::uint64_t seed = seed_of_this_run();
  INFO("FAIRWAY_TEST_SEED=" << seed);
  std::mt19937_64 random{seed};
  timer_queue queue;
  model expected;
  std::deque<io_op> ops;
  for (int i = 0; i < 200; ++i) ops.emplace_back(op_kind::timer);
  int now = 0;
  bool agreed = true;
  const std::size_t steps = support::scaled(300'000);
  for (std::size_t step = 0; step < steps && agreed; ++step) {
    io_op& op = ops[random() % ops.size()];
    const auto dice = random() % 100;
    if (dice < 60) {
      const int tick = now + static_cast<int>(random() % 500);
      queue.arm(op, at(tick));
      expected.arm(&op, tick);
    } else if (dice < 80) {
      queue.disarm(op);
      expected.disarm(&op);
    } else if (dice < 90) {
      queue.remove(op);
      expected.disarm(&op);
    } else {
      now += static_cast<int>(random() % 40);
      agreed = same_due(queue, expected, now);
    }
    agreed = agreed && queue.armed() == expected.size();
    // Lazily kept entries may make the queue look too early, never too late.
    if (expected.first()) agreed = agreed && queue.next() <= at(*expected.first());
  }
  CHECK(agreed);
  CHECK(same_due(queue, expected, now + 1000));
  CHECK(queue.armed() == 0);
}
