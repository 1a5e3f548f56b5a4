// The timer: never early, in order, many at once, on the steady clock and on a manual one.
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/clock.hpp>
#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <deque>
#include <future>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;
using steady = std::chrono::steady_clock;

namespace {

fairway::port_options on(fairway::port_clock& clock) {
  fairway::port_options options;
  options.clock = &clock;
  return options;
}

}  // namespace

TEST_CASE("a timer on the steady clock never fires early") {
  completion_port port;
  for (const auto delay : {1us, 50us, 300us, 999us, 1000us, 1001us, 2500us, 7777us}) {
    timer pause{port};
    const auto due = steady::now() + delay;
    pause.expires_at(due);
    steady::time_point fired{};
    pause.async_wait([&](error_code ec) {
      CHECK_FALSE(ec);
      fired = steady::now();
    });
    CHECK(support::run_dry(port));
    CHECK(fired >= due);
  }
}

TEST_CASE("a timer whose time has passed completes at once, through the queue") {
  completion_port port;
  timer past{port};
  past.expires_at(steady::now() - 1h);
  bool fired = false;
  past.async_wait([&](error_code ec) { fired = !ec; });
  CHECK_FALSE(fired);
  CHECK(port.poll() == 1);
  CHECK(fired);
}

TEST_CASE("a timer that was never set counts as past") {
  completion_port port;
  timer fresh{port};
  bool fired = false;
  fresh.async_wait([&](error_code ec) { fired = !ec; });
  CHECK(port.poll() == 1);
  CHECK(fired);
}

TEST_CASE("timers fire in the order of their deadlines") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  std::vector<int> order;
  std::deque<timer> timers;
  for (int ms : {30, 10, 20, 40}) {
    timers.emplace_back(port, std::chrono::milliseconds{ms}).async_wait([&, ms](error_code) {
      order.push_back(ms);
    });
  }
  clock.advance(1s);
  CHECK(support::run_dry(port));
  CHECK(order == std::vector<int>{10, 20, 30, 40});
}

TEST_CASE("on a manual clock a timer waits for the clock and not for real time") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer hour{port, 1h};
  bool fired = false;
  hour.async_wait([&](error_code ec) { fired = !ec; });
  CHECK(port.run_for(2ms) == 0);
  clock.advance(1h - 1ns);
  CHECK(port.poll() == 0);
  CHECK_FALSE(fired);
  clock.advance(1ns);
  CHECK(port.poll() == 1);
  CHECK(fired);
}

TEST_CASE("an hour of idling with a heartbeat each second takes no real time") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer beat{port};
  int beats = 0;
  auto again = [&](auto& self) -> void {
    beat.expires_after(1s);
    beat.async_wait([&](error_code) {
      ++beats;
      self(self);
    });
  };
  again(again);
  for (int second = 0; second < 3600; ++second) {
    clock.advance(1s);
    port.poll();
  }
  CHECK(beats == 3600);
}

TEST_CASE("advancing a manual clock on another thread wakes the port") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer hour{port, 1h};
  bool fired = false;
  hour.async_wait([&](error_code ec) { fired = !ec; });
  std::promise<void> running;
  asio::post(port, [&] { running.set_value(); });
  std::thread mover([&] {
    running.get_future().wait();
    clock.advance(1h);
  });
  CHECK(support::run_dry(port));
  mover.join();
  CHECK(fired);
}

TEST_CASE("the port's time is its clock's time") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  const auto before = port.now();
  clock.advance(5s);
  CHECK(port.now() - before == 5s);
  timer late{port, 3s};
  CHECK(late.expiry() == clock.now() + 3s);
}

TEST_CASE("a hundred thousand timers fire once each, none early, in order") {
  const std::size_t count = support::scaled(100'000);
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  std::mt19937 random{12345};
  std::deque<timer> timers;
  std::size_t fired = 0;
  bool early = false;
  bool disordered = false;
  auto last = clock.now();
  for (std::size_t i = 0; i < count; ++i) {
    timer& t = timers.emplace_back(port, std::chrono::microseconds{random() % 1'000'000});
    t.async_wait([&, due = t.expiry()](error_code) {
      ++fired;
      early = early || clock.now() < due;
      disordered = disordered || due < last;
      last = due;
    });
  }
  port.poll();
  CHECK(port.statistics().timers + fired == count);
  for (int step = 0; step < 100; ++step) {
    clock.advance(10ms);
    port.poll();
  }
  CHECK(fired == count);
  CHECK_FALSE(early);
  CHECK_FALSE(disordered);
  CHECK(port.statistics().timers == 0);
}

TEST_CASE("setting a timer again ends its wait with operation aborted") {
  completion_port port;
  timer moved{port, 1h};
  error_code first;
  moved.async_wait([&](error_code ec) { first = ec; });
  moved.expires_after(0s);
  CHECK(support::run_dry(port));
  CHECK(first == asio::error::operation_aborted);
}

TEST_CASE("a timer set again can be awaited before the aborted wait's handler has run") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer idle{port, 1s};
  std::vector<error_code> ends;
  idle.async_wait([&](error_code ec) { ends.push_back(ec); });
  for (int i = 0; i < 3; ++i) {
    idle.expires_after(1s);
    idle.async_wait([&](error_code ec) { ends.push_back(ec); });
  }
  clock.advance(1s);
  CHECK(support::run_dry(port));
  REQUIRE(ends.size() == 4);
  for (int i = 0; i < 3; ++i) {
    CHECK(ends[static_cast<std::size_t>(i)] == asio::error::operation_aborted);
  }
  CHECK_FALSE(ends[3]);
}

TEST_CASE("a timer moved again and again does not fire before its last deadline") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer idle{port};
  int fired = 0;
  int aborted = 0;
  for (int i = 0; i < 1000; ++i) {
    idle.expires_after(1s);
    idle.async_wait([&](error_code ec) { ++(ec ? aborted : fired); });
    clock.advance(999ms);
    port.poll();
  }
  CHECK(fired == 0);
  clock.advance(1ms);
  CHECK(support::run_dry(port));
  CHECK(fired == 1);
  CHECK(aborted == 999);
}

TEST_CASE("a second wait on one timer is refused, the first goes on") {
  fairway::manual_clock clock;
  completion_port port{on(clock)};
  timer one{port, 1s};
  error_code first = asio::error::fault;
  error_code second;
  one.async_wait([&](error_code ec) { first = ec; });
  one.async_wait([&](error_code ec) { second = ec; });
  CHECK(port.poll() == 1);
  CHECK(second == asio::error::in_progress);
  clock.advance(1s);
  CHECK(support::run_dry(port));
  CHECK_FALSE(first);
}

TEST_CASE("a timer that is moved to another object keeps its wait") {
  completion_port port;
  timer a{port, 1ms};
  bool fired = false;
  a.async_wait([&](error_code ec) { fired = !ec; });
  timer b{std::move(a)};
  CHECK(support::run_dry(port));
  CHECK(fired);
}
