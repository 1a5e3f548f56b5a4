// port_options::busy_poll: a port that looks before it sleeps is not woken, and nothing waits for
// the end of its look.

#include "support/net.hpp"
#include "support/tickets.hpp"

#include <fairway/testing/fault_schedule.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <functional>
#include <optional>

#if defined(__linux__)
#include <csignal>
#include <ctime>
#include <unistd.h>
#endif

using namespace support;
using fairway::completion_port;
using fairway::endpoint;

namespace {

using std::chrono::steady_clock;

// The most there is: whatever ends with the look only is late by a second.
constexpr std::chrono::microseconds long_look = 1s;
constexpr auto at_once = 900ms;

fairway::port_options looking(std::chrono::microseconds how_long,
                              fairway::port_clock* clock = nullptr) {
  fairway::port_options options;
  options.busy_poll = how_long;
  options.clock = clock;
  return options;
}

// Wakes that posts of another thread cost, each made when the one before has run.
std::uint64_t wakes_of_posts(const fairway::port_options& options) {
  completion_port port{options};
  auto guard = asio::make_work_guard(port.get_executor());
  std::thread runner([&] { port.run(); });
  tickets done;
  for (int i = 0; i < 2000; ++i) {
    asio::post(port, [&] { done.release(); });
    REQUIRE(done.try_acquire_for(patience));
  }
  const std::uint64_t sent = port.statistics().wakeups_sent;
  port.stop();
  runner.join();
  return sent;
}

// Echoes to the first client until that ends.
coroutine<void> echo_to_one(fairway::listener& l) {
  auto s = co_await l.async_accept();
  std::array<char, 64> room;
  while (auto got = co_await s.value().async_read_some(asio::buffer(room))) {
    (void)co_await fairway::async_write(s.value(), asio::buffer(room, got.value()));
  }
}

// How long `run` takes to return, on a port that is looking when `ender` is called.
template <class Ender>
steady_clock::duration time_to_return(Ender ender) {
  completion_port port{looking(long_look)};
  std::optional guard{asio::make_work_guard(port.get_executor())};
  tickets running;
  asio::post(port, [&] { running.release(); });
  std::thread runner([&] { port.run(); });
  running.acquire();
  const auto begun = steady_clock::now();
  ender(port, guard);
  runner.join();
  return steady_clock::now() - begun;
}

}  // namespace

TEST_CASE("a port that looks is not woken by posts") {
  CHECK(wakes_of_posts(looking(0us)) > 0);
  CHECK(wakes_of_posts(looking(long_look)) == 0);
}

TEST_CASE("a port with a clock of its own does not look") {
  fairway::manual_clock clock;
  CHECK(wakes_of_posts(looking(long_look, &clock)) > 0);
}

TEST_CASE("stop, and the end of all work, end a look") {
  CHECK(time_to_return([](auto& port, auto&) { port.stop(); }) < at_once);
  CHECK(time_to_return([](auto&, auto& guard) { guard.reset(); }) < at_once);
}

TEST_CASE("timers and the time of a run function end a look") {
  completion_port port{looking(long_look)};
  const auto begun = steady_clock::now();
  fairway::timer soon{port, 2ms};
  bool fired = false;
  soon.async_wait([&](auto) { fired = true; });
  pump(port, [&] { return fired; });
  const auto guard = asio::make_work_guard(port.get_executor());
  port.restart();
  CHECK(port.run_for(2ms) == 0);
  port.poll();
  CHECK(steady_clock::now() - begun < at_once);
}

TEST_CASE("bytes end a look, on both ends of a connection") {
  completion_port here{looking(long_look)};
  completion_port there{looking(long_look)};
  auto listening = listen(there, endpoint::loopback_v4(0), {});
  const endpoint at = listening.local_endpoint().value();
  constexpr std::size_t rounds = scaled(2000);
  std::thread server([&] { run(there, echo_to_one(listening)); });
  const auto begun = steady_clock::now();
  std::size_t answered = 0;
  run(here, [](completion_port& port, endpoint to, std::size_t& count) -> coroutine<void> {
    fairway::connector dial{port};
    auto s = co_await dial.async_connect(to);
    REQUIRE(s);
    for (std::array<char, 1> one{}; count < rounds; ++count) {
      one[0] = static_cast<char>(count);
      REQUIRE(co_await fairway::async_write(s.value(), asio::buffer(one)));
      std::array<char, 2> back{};
      auto got = co_await s.value().async_read_some(asio::buffer(back));
      REQUIRE(got);
      REQUIRE(got.value() == 1);
      REQUIRE(back[0] == one[0]);
    }
  }(here, at, answered));
  server.join();
  CHECK(answered == rounds);
  CHECK(steady_clock::now() - begun < patience);
}

TEST_CASE("a run function without time still takes what has come") {
  completion_port port{looking(long_look)};
  half_pair pair = connect_peer(port);
  std::array<char, 4> room{};
  std::size_t bytes = 0;
  pair.stream.async_read_some(asio::buffer(room), [&](error_code, std::size_t n) { bytes = n; });
  pair.peer.write("news");
  const auto limit = steady_clock::now() + patience;
  while (bytes == 0 && steady_clock::now() < limit) {
    if (port.stopped()) port.restart();
    port.run_for(0s);
  }
  CHECK(bytes > 0);
}

TEST_CASE("timers that are due at every look leave sockets their turn") {
  completion_port port{looking(long_look)};
  half_pair pair = connect_peer(port);
  std::array<char, 4> room{};
  std::size_t bytes = 0;
  pair.stream.async_read_some(asio::buffer(room), [&](error_code, std::size_t n) { bytes = n; });
  pair.peer.write("news");
  fairway::timer at_any_time{port, 0us};
  const auto limit = steady_clock::now() + patience;
  const std::function<void(error_code)> again = [&](error_code) {
    if (bytes != 0 || steady_clock::now() > limit) return;
    at_any_time.expires_after(0us);
    at_any_time.async_wait(again);
  };
  again({});
  port.run_for(patience);
  CHECK(bytes > 0);
}

TEST_CASE("a completion that a fault holds back comes in its turn") {
  struct late final : fairway::testing::fault_schedule {
    fairway::testing::completion_fault on_completion(fairway::testing::operation_kind, int,
                                                     std::size_t) override {
      return {.delay_turns = 1};
    }
  } faults;
  fairway::port_options options = looking(long_look);
  options.faults = &faults;
  completion_port port{options};
  half_pair pair = connect_peer(port);
  std::array<char, 4> room{};
  std::size_t bytes = 0;
  pair.stream.async_read_some(asio::buffer(room), [&](error_code, std::size_t n) { bytes = n; });
  pair.peer.write("news");
  if (port.stopped()) port.restart();
  const auto begun = steady_clock::now();
  while (bytes == 0 && port.run_one_for(patience) != 0) {}
  CHECK(bytes > 0);
  CHECK(steady_clock::now() - begun < at_once);
}

#if defined(__linux__)

namespace {

std::chrono::nanoseconds spent_by_thread() {
  timespec at{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return std::chrono::seconds{at.tv_sec} + std::chrono::nanoseconds{at.tv_nsec};
}

}  // namespace

TEST_CASE("a signal ends a look") {
  completion_port port{looking(long_look)};
  fairway::signals wanted{port, {fairway::signal_kind::hangup}};
  bool came = false;
  tickets running;
  asio::post(port, [&] {
    wanted.async_wait([&](error_code, fairway::signal_kind) { came = true; });
    asio::post(port, [&] { running.release(); });
  });
  std::thread runner([&] { port.run(); });
  running.acquire();
  const auto begun = steady_clock::now();
  ::kill(::getpid(), SIGHUP);
  runner.join();
  CHECK(came);
  CHECK(steady_clock::now() - begun < at_once);
}

TEST_CASE("a port with nothing to do sleeps after a look") {
  completion_port port{looking(50us)};
  const auto guard = asio::make_work_guard(port.get_executor());
  const auto before = spent_by_thread();
  CHECK(port.run_for(200ms) == 0);
  CHECK(spent_by_thread() - before < 100ms);
}

TEST_CASE("timers that cut each look short do not keep the port looking") {
  completion_port port{looking(20ms)};
  int left = 100;
  fairway::timer often{port, 4ms};
  const std::function<void(error_code)> again = [&](error_code) {
    if (--left == 0) return;
    often.expires_after(4ms);
    often.async_wait(again);
  };
  often.async_wait(again);
  const auto before = spent_by_thread();
  port.run();
  CHECK(left == 0);
  CHECK(spent_by_thread() - before < 200ms);  // of 400
}

TEST_CASE("requests that are far apart do not keep the port looking") {
  completion_port port{looking(10ms)};
  auto listening = listen(port, endpoint::loopback_v4(0), {});
  std::thread client([at = listening.local_endpoint().value()] {
    completion_port own;
    run(own, [](completion_port& p, endpoint to) -> coroutine<void> {
      fairway::connector dial{p};
      auto s = co_await dial.async_connect(to);
      REQUIRE(s);
      fairway::timer pause{p};
      for (int i = 0; i < 10; ++i) {
        pause.expires_after(100ms);
        (void)co_await pause.async_wait();
        std::array<char, 4> room{};
        (void)co_await fairway::async_write(s.value(), asio::buffer(room));
        (void)co_await s.value().async_read_some(asio::buffer(room));
      }
    }(own, at));
  });
  const auto before = spent_by_thread();
  run(port, echo_to_one(listening));
  const auto spent = spent_by_thread() - before;
  client.join();
  CHECK(spent < 75ms);  // a whole look a request is more than 100, and none soon 20
}

#endif
