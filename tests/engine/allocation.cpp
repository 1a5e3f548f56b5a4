// No heap allocation in the steady state, counted at malloc.
#include "support/allocation_count.hpp"
#include "support/coroutine.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;
using support::allocation_count;
using support::coroutine;
using support::use_coroutine;

namespace {

constexpr int warm_up = 200;
// A wait of Wine costs milliseconds.
constexpr int measured = support::on_windows ? 500 : 2000;

bool counting() {
  if (!allocation_count::available) std::puts("SKIP: a sanitizer brings its own allocator");
  return allocation_count::available;
}

// What `step` allocates after it has been done some times before.
struct meter {
  std::optional<allocation_count> count;
  std::uint64_t made = 0;
  int steps = 0;
  // False after the last step.
  bool step() {
    if (++steps == warm_up) count.emplace();
    if (steps == warm_up + measured) made = count->made();
    return steps < warm_up + measured;
  }
};

coroutine<> wait_in_child(timer& t) { co_await t.async_wait(use_coroutine); }

coroutine<int> wait_in_grandchild(timer& t) {
  co_await wait_in_child(t);
  co_return 1;
}

}  // namespace

TEST_CASE("the allocation counter sees malloc, aligned_alloc and operator new") {
  if (!counting()) return;
  const allocation_count count;
  void* volatile one = ::operator new(1);
  ::operator delete(one);
  CHECK(count.made() >= 1);
#if defined(__GLIBC__)
  void* volatile a = std::malloc(10);
  void* volatile b = std::aligned_alloc(64, 64);
  void* volatile c = std::calloc(1, 10);
  c = std::realloc(c, 100'000);
  std::free(a);
  std::free(b);
  std::free(c);
  CHECK(count.made() >= 5);
#endif
}

TEST_CASE("posting on the port's own thread allocates nothing") {
  if (!counting()) return;
  completion_port port;
  meter m;
  struct again {
    completion_port& port;
    meter& m;
    void operator()() const {
      if (m.step()) asio::post(port, *this);
    }
  };
  asio::post(port, again{port, m});
  port.run();
  CHECK(m.made == 0);
}

TEST_CASE("posting large functions on the port's own thread allocates nothing") {
  if (!counting()) return;
  completion_port port;
  meter m;
  struct again {
    completion_port& port;
    meter& m;
    std::array<char, 1500> load;
    void operator()() const {
      if (m.step()) asio::post(port, *this);
    }
  };
  asio::post(port, again{port, m, {}});
  port.run();
  CHECK(m.made == 0);
}

TEST_CASE("waiting on a timer by callback allocates nothing") {
  if (!counting()) return;
  completion_port port;
  timer t{port};
  meter m;
  struct again {
    timer& t;
    meter& m;
    std::array<char, 300> load;
    void operator()(error_code) const {
      if (!m.step()) return;
      t.expires_after(1us);
      t.async_wait(*this);
    }
  };
  t.async_wait(again{t, m, {}});
  CHECK(support::run_dry(port));
  CHECK(m.made == 0);
}

TEST_CASE("a coroutine that waits on timers in a loop allocates nothing") {
  if (!counting()) return;
  completion_port port;
  timer t{port};
  meter m;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        while (m.step()) {
          t.expires_after(1us);
          co_await t.async_wait(use_coroutine);
        }
      },
      asio::detached);
  CHECK(support::run_dry(port));
  CHECK(m.made == 0);
}

TEST_CASE("a coroutine that waits with the default token allocates nothing") {
  if (!counting()) return;
  completion_port port;
  timer t{port};
  meter m;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        while (m.step()) {
          const auto waited = co_await t.async_wait();
          CHECK(waited.has_value());
        }
      },
      asio::detached);
  CHECK(support::run_dry(port));
  CHECK(m.made == 0);
}

TEST_CASE("a coroutine whose operation sits in a child coroutine allocates nothing") {
  if (!counting()) return;
  completion_port port;
  timer t{port};
  meter m;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        while (m.step()) co_await wait_in_child(t);
      },
      asio::detached);
  CHECK(support::run_dry(port));
  CHECK(m.made == 0);
}

TEST_CASE("setting a timer again before its aborted wait has been told allocates nothing") {
  if (!counting()) return;
  completion_port port;
  timer t{port};
  meter m;
  struct step {
    timer& t;
    meter& m;
    completion_port& port;
    void operator()() const {
      t.expires_after(1h);
      t.async_wait([](error_code) {});
      t.expires_after(1h);
      t.async_wait([](error_code) {});
      if (m.step()) {
        asio::post(port, *this);
      } else {
        t.cancel();
      }
    }
  };
  asio::post(port, step{t, m, port});
  CHECK(support::run_dry(port));
  CHECK(m.made == 0);
}

TEST_CASE("pumping a port by hand allocates nothing") {
  if (!counting()) return;
  completion_port port;
  timer hour{port, 1h};
  hour.async_wait([](error_code) {});
  for (int i = 0; i < warm_up; ++i) port.poll();
  const allocation_count count;
  for (int i = 0; i < measured; ++i) port.poll();
  CHECK(count.made() == 0);
}

TEST_CASE("creating timers again and again costs one allocation each") {
  if (!counting()) return;
  completion_port port;
  const allocation_count count;
  for (int i = 0; i < 100; ++i) timer{port, 1h};
  CHECK(count.made() <= 100);
}

TEST_CASE("a deeper call chain costs at most one frame a level") {
  if (!counting()) return;
  completion_port port;
  timer t{port};
  meter m;
  asio::co_spawn(
      port,
      [&]() -> coroutine<> {
        while (m.step()) co_await wait_in_grandchild(t);
      },
      asio::detached);
  CHECK(support::run_dry(port));
  CHECK(m.made <= 2 * measured);
}
