// A million completions that are there at once: no stack, no starving of others.
#include "support/coroutine.hpp"
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;

namespace {

constexpr std::size_t links = support::scaled(1'000'000);

// A chain of waits on a timer whose time has passed: each is complete as soon as it begins.
struct chain {
  timer& past;
  std::size_t& left;
  std::uintptr_t& lowest;
  std::uintptr_t& highest;
  void operator()(error_code = {}) const {
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    lowest = std::min(lowest, here);
    highest = std::max(highest, here);
    if (left != 0 && --left != 0) past.async_wait(*this);
  }
};

struct running_chain {
  explicit running_chain(completion_port& port) : past{port} {
    chain{past, left, lowest, highest}();
  }
  timer past;
  std::size_t left = links;
  std::uintptr_t lowest = UINTPTR_MAX;
  std::uintptr_t highest = 0;
};

}  // namespace

TEST_CASE("a million immediate completions do not grow the stack") {
  completion_port port;
  running_chain long_one{port};
  long_one.lowest = UINTPTR_MAX;
  long_one.highest = 0;
  port.run_for(support::guard_time);
  CHECK(long_one.left == 0);
  CHECK(long_one.highest - long_one.lowest < 4096);
}

TEST_CASE("a million immediate co_awaits do not grow the stack") {
  completion_port port;
  timer past{port};
  std::size_t done = 0;
  asio::co_spawn(
      port,
      [&]() -> support::coroutine<> {
        for (; done < links; ++done) co_await past.async_wait(support::use_coroutine);
      },
      asio::detached);
  port.run_for(support::guard_time);
  CHECK(done == links);
}

TEST_CASE("a function posted by another thread waits for one budget of a chain, not for its end") {
  completion_port port;
  running_chain busy{port};
  port.run_one();
  std::size_t left_when_run = 0;
  std::thread([&] { asio::post(port, [&] { left_when_run = busy.left; }); }).join();
  const std::size_t left_before = busy.left;
  while (left_when_run == 0 && port.run_one() != 0) {
  }
  CHECK(left_before - left_when_run <= 2 * fairway::port_options{}.handlers_per_turn);
  busy.left = 0;
}

TEST_CASE("a due timer waits for one budget of a chain, not for its end") {
  fairway::manual_clock clock;
  fairway::port_options options;
  options.clock = &clock;
  completion_port port{options};
  running_chain busy{port};
  timer due{port, 1s};
  std::size_t left_when_fired = 0;
  due.async_wait([&](error_code) { left_when_fired = busy.left; });
  port.run_one();
  clock.advance(1s);
  const std::size_t left_before = busy.left;
  while (left_when_fired == 0 && port.run_one() != 0) {
  }
  CHECK(left_before - left_when_fired <= 2 * options.handlers_per_turn);
  busy.left = 0;
}

TEST_CASE("two chains take turns") {
  completion_port port;
  running_chain first{port};
  running_chain second{port};
  for (int i = 0; i < 1000; ++i) port.run_one();
  CHECK(first.left == second.left);
  first.left = 0;
  second.left = 0;
}

TEST_CASE("a budget of one handler a turn still runs everything") {
  fairway::port_options options;
  options.handlers_per_turn = 1;
  completion_port port{options};
  int ran = 0;
  for (int i = 0; i < 100; ++i) asio::post(port, [&] { ++ran; });
  CHECK(port.run() == 100);
  CHECK(ran == 100);
}
