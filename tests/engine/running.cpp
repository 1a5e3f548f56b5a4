// The run interface: what the run functions return, when they return, who may call them.
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using fairway::completion_port;

TEST_CASE("run on a port without work returns zero and stops the port") {
  completion_port port;
  CHECK(port.run() == 0);
  CHECK(port.stopped());
}

TEST_CASE("run returns the number of handlers that ran") {
  completion_port port;
  for (int i = 0; i < 5; ++i) asio::post(port, [] {});
  CHECK(port.run() == 5);
}

TEST_CASE("run counts the handlers that handlers post") {
  completion_port port;
  asio::post(port, [&] { asio::post(port, [&] { asio::post(port, [] {}); }); });
  CHECK(port.run() == 3);
}

TEST_CASE("run_one runs one handler") {
  completion_port port;
  int ran = 0;
  for (int i = 0; i < 3; ++i) asio::post(port, [&] { ++ran; });
  CHECK(port.run_one() == 1);
  CHECK(ran == 1);
}

TEST_CASE("poll runs what is ready and does not wait for a timer") {
  completion_port port;
  fairway::timer later{port, 1h};
  later.async_wait([](auto) {});
  asio::post(port, [] {});
  CHECK(port.poll() == 1);
  CHECK(port.poll() == 0);
  CHECK_FALSE(port.stopped());
}

TEST_CASE("a poll that runs the last work stops the port, one that leaves work does not") {
  completion_port port;
  asio::post(port, [] {});
  CHECK(port.poll() == 1);
  CHECK(port.stopped());
  port.restart();
  const auto guard = asio::make_work_guard(port.get_executor());
  asio::post(port, [] {});
  CHECK(port.poll() == 1);
  CHECK_FALSE(port.stopped());
}

TEST_CASE("poll_one runs one handler or none") {
  completion_port port;
  asio::post(port, [] {});
  asio::post(port, [] {});
  CHECK(port.poll_one() == 1);
  CHECK(port.poll_one() == 1);
  CHECK(port.poll_one() == 0);
}

TEST_CASE("run_for returns after its time although work is left") {
  completion_port port;
  fairway::timer later{port, 1h};
  later.async_wait([](auto) {});
  const auto start = std::chrono::steady_clock::now();
  CHECK(port.run_for(5ms) == 0);
  CHECK(std::chrono::steady_clock::now() - start >= 5ms);
  CHECK_FALSE(port.stopped());
}

TEST_CASE("run_for returns early when the work is done") {
  completion_port port;
  asio::post(port, [] {});
  const auto start = std::chrono::steady_clock::now();
  CHECK(port.run_for(1h) == 1);
  CHECK(std::chrono::steady_clock::now() - start < support::guard_time);
}

TEST_CASE("run_for returns although handlers post handlers without end") {
  completion_port port;
  std::size_t left = support::scaled(100'000'000);
  struct again {
    completion_port& port;
    std::size_t& left;
    void operator()() const {
      if (left != 0 && --left != 0) asio::post(port, *this);
    }
  };
  asio::post(port, again{port, left});
  // Were the time not looked at, the handlers would end only by this bound.
  port.run_for(20ms);
  CHECK(left > 0);
  left = 0;
  CHECK(support::run_dry(port));
}

TEST_CASE("run_until a time in the past does not wait") {
  completion_port port;
  fairway::timer later{port, 1h};
  later.async_wait([](auto) {});
  CHECK(port.run_until(std::chrono::steady_clock::now() - 1s) == 0);
}

TEST_CASE("the longest time there is means for ever, the shortest does not wait") {
  completion_port port;
  fairway::timer t{port};
  int fired = 0;
  const auto wait = [&](completion_port::duration time) {
    if (port.stopped()) port.restart();
    t.expires_after(time);
    t.async_wait([&](boost::system::error_code ec) { fired += ec ? 0 : 1; });
  };
  wait(20ms);
  port.run_for(completion_port::duration::max());
  CHECK(fired == 1);
  wait(20ms);
  port.run_for(std::chrono::hours::max());
  CHECK(fired == 2);
  wait(20ms);
  port.run_one_for(std::chrono::years::max());
  CHECK(fired == 3);
  wait(10s);
  port.run_for(completion_port::duration::min());
  port.run_for(std::chrono::hours::min());
  port.run_until(completion_port::time_point::min());
  port.run_until(completion_port::time_point::min() + 1ns);
  port.run_one_until(completion_port::time_point::min() + 1ns);
  CHECK(fired == 3);
}

TEST_CASE("run_one_for waits for a handler until its time") {
  completion_port port;
  fairway::timer soon{port, 2ms};
  soon.async_wait([](auto) {});
  CHECK(port.run_one_for(support::guard_time) == 1);
}

TEST_CASE("stop makes run return and leaves handlers for the next run") {
  completion_port port;
  int ran = 0;
  asio::post(port, [&] { port.stop(); });
  asio::post(port, [&] { ++ran; });
  CHECK(port.run() == 1);
  CHECK(port.stopped());
  CHECK(ran == 0);
  CHECK(port.run() == 0);
  port.restart();
  CHECK(port.run() == 1);
  CHECK(ran == 1);
}

TEST_CASE("stop from another thread wakes a port that sleeps") {
  completion_port port;
  const auto guard = asio::make_work_guard(port.get_executor());
  std::promise<void> running;
  asio::post(port, [&] { running.set_value(); });
  std::thread stopper([&] {
    running.get_future().wait();
    port.stop();
  });
  CHECK(port.run_for(support::guard_time) == 1);
  CHECK(port.stopped());
  stopper.join();
}

TEST_CASE("a work guard keeps run from returning until it is reset") {
  completion_port port;
  auto guard = asio::make_work_guard(port.get_executor());
  CHECK(port.run_for(1ms) == 0);
  CHECK_FALSE(port.stopped());
  guard.reset();
  CHECK(port.run() == 0);
  CHECK(port.stopped());
}

TEST_CASE("a work guard reset by another thread ends a run that sleeps") {
  completion_port port;
  auto guard = asio::make_work_guard(port.get_executor());
  std::promise<void> running;
  asio::post(port, [&] { running.set_value(); });
  std::thread releaser([&] {
    running.get_future().wait();
    guard.reset();
  });
  port.run_for(support::guard_time);
  CHECK(port.stopped());
  releaser.join();
}

TEST_CASE("an exception of a handler leaves run, and the next run goes on") {
  completion_port port;
  int ran = 0;
  asio::post(port, [&] { ++ran; });
  asio::post(port, [] { throw std::runtime_error("from a handler"); });
  asio::post(port, [&] { ++ran; });
  CHECK_THROWS_WITH_AS(port.run(), "from a handler", std::runtime_error);
  CHECK(ran == 1);
  CHECK(port.run() == 1);
  CHECK(ran == 2);
}

TEST_CASE("an exception of a timer's handler leaves run and leaves the timer usable") {
  completion_port port;
  fairway::timer now{port, 0s};
  now.async_wait([](auto) { throw std::runtime_error("late"); });
  CHECK_THROWS_AS(port.run(), std::runtime_error);
  bool ran = false;
  now.async_wait([&](auto) { ran = true; });
  CHECK(support::run_dry(port));
  CHECK(ran);
}

TEST_CASE("a second thread in run gets a logic error and disturbs nothing") {
  completion_port port;
  const auto guard = asio::make_work_guard(port.get_executor());
  std::promise<void> running;
  asio::post(port, [&] { running.set_value(); });
  std::thread runner([&] { port.run(); });
  running.get_future().wait();
  CHECK_THROWS_AS(port.run(), std::logic_error);
  CHECK_THROWS_AS(port.poll(), std::logic_error);
  port.stop();
  runner.join();
}

TEST_CASE("run inside a handler of the same port is a logic error") {
  completion_port port;
  bool refused = false;
  asio::post(port, [&] {
    try {
      port.poll();
    } catch (const std::logic_error&) {
      refused = true;
    }
  });
  CHECK(port.run() == 1);
  CHECK(refused);
}

TEST_CASE("a handler may run another port") {
  completion_port outer;
  completion_port inner;
  std::vector<int> order;
  asio::post(outer, [&] {
    order.push_back(1);
    asio::post(inner, [&] {
      order.push_back(2);
      asio::post(outer, [&] { order.push_back(4); });
    });
    inner.run();
    order.push_back(3);
  });
  CHECK(outer.run() == 2);
  CHECK(order == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("a port may be run by another thread each time") {
  completion_port port;
  fairway::timer pause{port};
  std::thread::id ran_on;
  for (int i = 0; i < 4; ++i) {
    pause.expires_after(1ms);
    pause.async_wait([&](auto) { ran_on = std::this_thread::get_id(); });
    std::thread::id id;
    std::thread([&] {
      id = std::this_thread::get_id();
      port.restart();
      port.run_for(support::guard_time);
    }).join();
    CHECK(ran_on == id);
  }
}
