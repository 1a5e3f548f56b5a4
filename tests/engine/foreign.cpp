// Operations started by other threads than the one that runs the port.
#include "support/limits.hpp"
#include "support/pump.hpp"

#include "engine/port_core.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;

namespace {

// A port that a thread of its own runs.
struct running_port {
  completion_port port;
  asio::executor_work_guard<completion_port::executor_type> guard =
      asio::make_work_guard(port.get_executor());
  std::thread runner{[this] { port.run(); }};
  ~running_port() {
    guard.reset();
    runner.join();
  }
};

}  // namespace

TEST_CASE("a wait started on one thread completes on the thread that runs the port") {
  running_port elsewhere;
  timer soon{elsewhere.port, 1ms};
  std::promise<std::thread::id> ran_on;
  soon.async_wait([&](error_code) { ran_on.set_value(std::this_thread::get_id()); });
  CHECK(ran_on.get_future().get() == elsewhere.runner.get_id());
}

TEST_CASE("waiting with a future on a port that runs elsewhere, again and again") {
  running_port elsewhere;
  timer t{elsewhere.port};
  for (int i = 0; i < 500; ++i) {
    t.expires_after(std::chrono::microseconds{i % 3});
    auto done = t.async_wait(asio::use_future);
    REQUIRE(done.wait_for(support::guard_time) == std::future_status::ready);
    CHECK_NOTHROW(done.get());
  }
}

TEST_CASE("many threads wait on timers of one port") {
  running_port elsewhere;
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  const int each = support::on_windows ? 50 : 200;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < each; ++k) {
        timer t{elsewhere.port, std::chrono::microseconds{k % 5}};
        auto done = t.async_wait(asio::use_future);
        if (done.wait_for(support::guard_time) != std::future_status::ready) return;
        done.get();
        good.fetch_add(1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(good.load() == 8 * each);
}

TEST_CASE("a wait started by a thread that has ended completes") {
  completion_port port;
  timer soon{port};
  bool fired = false;
  std::thread([&] {
    soon.expires_after(1ms);
    soon.async_wait([&](error_code ec) { fired = !ec; });
  }).join();
  CHECK(support::run_dry(port));
  CHECK(fired);
}

TEST_CASE("a wait started while the port is busy elsewhere completes after its thread has ended") {
  running_port elsewhere;
  timer soon{elsewhere.port};
  std::promise<bool> fired;
  std::thread([&] {
    soon.expires_after(1ms);
    soon.async_wait([&](error_code ec) { fired.set_value(!ec); });
  }).join();
  auto done = fired.get_future();
  REQUIRE(done.wait_for(support::guard_time) == std::future_status::ready);
  CHECK(done.get());
}

TEST_CASE("timers created and destroyed on other threads while the port runs leave nothing") {
  running_port elsewhere;
  std::atomic<int> ended{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 500; ++k) {
        timer t{elsewhere.port, 1h};
        t.async_wait([&](error_code) { ended.fetch_add(1); });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::promise<void> all;
  asio::post(elsewhere.port, [&] { asio::post(elsewhere.port, [&] { all.set_value(); }); });
  CHECK(all.get_future().wait_for(support::guard_time) == std::future_status::ready);
  CHECK(ended.load() == 2000);
  CHECK(elsewhere.port.statistics().operations_in_flight == 0);
  CHECK(elsewhere.port.statistics().timers == 0);
}

TEST_CASE("threads that start waits while nobody runs the port do not disturb each other") {
  completion_port port;
  std::atomic<int> fired{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 300; ++k) {
        timer t{port, k % 2 == 0 ? 0s : 1h};
        t.async_wait([&](error_code) { fired.fetch_add(1); });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(support::run_dry(port));
  CHECK(fired.load() == 2400);
}

TEST_CASE("a port that is run in slices is shared with threads that start waits meanwhile") {
  completion_port port;
  const auto guard = asio::make_work_guard(port.get_executor());
  std::atomic<int> fired{0};
  std::vector<std::thread> threads;
  const int each = support::on_windows ? 100 : 500;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < each; ++k) {
        timer t{port};
        auto done = t.async_wait(asio::use_future);
        if (done.wait_for(support::guard_time) == std::future_status::ready) fired.fetch_add(1);
      }
    });
  }
  const auto limit = std::chrono::steady_clock::now() + support::guard_time;
  while (fired.load() < 4 * each && std::chrono::steady_clock::now() < limit) port.run_for(20us);
  for (auto& thread : threads) thread.join();
  CHECK(fired.load() == 4 * each);
}

TEST_CASE("a call that hops in the moment in which the port is given back is performed") {
  namespace detail = fairway::detail;
  completion_port port;
  detail::port_core& core = detail::core_of(port);
  const int rounds = static_cast<int>(support::scaled(20'000));
  std::atomic<int> begun{0};
  std::atomic<int> hopped{0};
  int performed = 0;  // the owner's
  // Waits that meet the moment turn on the spot; where another process has the other thread's
  // processor, that thread gets this one.
  const auto spun = [](int& turns) {
    if (++turns % 1000 == 0) std::this_thread::yield();
  };
  std::thread other([&] {
    for (int round = 1; round <= rounds; ++round) {
      for (int turns = 0; begun.load() < round;) spun(turns);
      detail::initiation<void>::hop(core, [&] { ++performed; });
      hopped.store(round);
    }
  });
  int lost = 0;
  for (int round = 1; round <= rounds; ++round) {
    begun.store(round);
    for (int turns = 0; hopped.load() < round; spun(turns)) {
      const detail::ownership here{core};
    }
    if (performed == round) continue;
    ++lost;
    const detail::ownership late{core};
  }
  other.join();
  CHECK(lost == 0);
}
