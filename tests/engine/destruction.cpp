// The end of a port with everything still going on in it.
#include "support/coroutine.hpp"
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/port_group.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;
using support::coroutine;
using support::use_coroutine;

namespace {

// Counts how many are alive.
struct token {
  explicit token(int& count) : count_{&count} { ++*count_; }
  token(token&& other) noexcept : count_{std::exchange(other.count_, nullptr)} {}
  ~token() {
    if (count_ != nullptr) --*count_;
  }
  int* count_;
};

coroutine<> wait_for_ever(completion_port& port, int& alive, int& resumed) {
  const token mine{alive};
  timer hour{port, 1h};
  co_await hour.async_wait(use_coroutine);
  ++resumed;
}

coroutine<> wait_in_child(completion_port& port, int& alive, int& resumed) {
  const token mine{alive};
  co_await wait_for_ever(port, alive, resumed);
  ++resumed;
}

}  // namespace

TEST_CASE("ten thousand suspended coroutines are destroyed with their port and not resumed") {
  constexpr int count = 10'000;
  int alive = 0;
  int resumed = 0;
  bool posted_ran = false;
  {
    completion_port port;
    for (int i = 0; i < count; ++i) {
      asio::co_spawn(port, wait_in_child(port, alive, resumed), asio::detached);
    }
    port.poll();
    CHECK(alive == 2 * count);
    for (int i = 0; i < 100; ++i) asio::post(port, [&] { posted_ran = true; });
  }
  CHECK(alive == 0);
  CHECK(resumed == 0);
  CHECK_FALSE(posted_ran);
}

TEST_CASE("coroutines that never ran are destroyed with their port") {
  int alive = 0;
  int resumed = 0;
  {
    completion_port port;
    for (int i = 0; i < 100; ++i) {
      asio::co_spawn(port, wait_for_ever(port, alive, resumed), asio::detached);
    }
  }
  CHECK(alive == 0);
  CHECK(resumed == 0);
}

TEST_CASE("completions whose handlers were still queued are destroyed with their port") {
  int alive = 0;
  bool ran = false;
  {
    completion_port port;
    timer past{port, 0s};
    past.async_wait([mine = token{alive}, &ran](error_code) { ran = true; });
    CHECK(alive == 1);
  }
  CHECK(alive == 0);
  CHECK_FALSE(ran);
}

TEST_CASE("a timer may outlive its port") {
  std::optional<completion_port> port{std::in_place};
  timer left{*port, 1h};
  int alive = 0;
  left.async_wait([mine = token{alive}](error_code) {});
  port.reset();
  CHECK(alive == 0);
  left.cancel();
}

TEST_CASE("a handler destroyed with the port may own the timer that it waited for") {
  int alive = 0;
  {
    completion_port port;
    auto hour = std::make_unique<timer>(port, 1h);
    timer& t = *hour;
    t.async_wait([mine = token{alive}, hour = std::move(hour)](error_code) {});
  }
  CHECK(alive == 0);
}

TEST_CASE("a handler whose destruction starts another wait does not keep the port") {
  struct restarter {
    timer* t;
    explicit restarter(timer& other) : t{&other} {}
    restarter(restarter&& other) noexcept : t{std::exchange(other.t, nullptr)} {}
    ~restarter() {
      if (t != nullptr) t->async_wait([](error_code) {});
    }
    void operator()(error_code) {}
  };
  std::optional<completion_port> port{std::in_place};
  timer other{*port, 1h};
  timer hour{*port, 1h};
  hour.async_wait(restarter{other});
  port.reset();
  CHECK_FALSE(port.has_value());
}

TEST_CASE("a wait that hopped to a port and was not performed is destroyed with it") {
  int alive = 0;
  {
    completion_port port;
    const auto guard = asio::make_work_guard(port.get_executor());
    timer hour{port, 1h};
    std::atomic<bool> started{false};
    asio::post(port, [&] {
      std::thread([&] { hour.async_wait([mine = token{alive}](error_code) {}); }).join();
      started.store(true);
      port.stop();
    });
    port.run();
    CHECK(started.load());
  }
  CHECK(alive == 0);
}

TEST_CASE("coroutines on a strand over a port are destroyed with the port") {
  int alive = 0;
  int resumed = 0;
  {
    completion_port port;
    auto strand = asio::make_strand(port.get_executor());
    for (int i = 0; i < 10; ++i) {
      asio::co_spawn(
          strand,
          [&]() -> asio::awaitable<void, decltype(strand)> {
            const token mine{alive};
            timer hour{port, 1h};
            co_await hour.async_wait(asio::use_awaitable_t<decltype(strand)>{});
            ++resumed;
          },
          asio::detached);
    }
    port.poll();
    CHECK(alive == 10);
  }
  CHECK(alive == 0);
  CHECK(resumed == 0);
}

TEST_CASE("a port destroyed after an exception left its run destroys the rest") {
  int alive = 0;
  {
    completion_port port;
    asio::post(port, [] { throw 1; });
    asio::post(port, [mine = token{alive}] {});
    CHECK_THROWS_AS(port.run(), int);
  }
  CHECK(alive == 0);
}

TEST_CASE("a group is destroyed while coroutines of each port wait on the next") {
  int alive = 0;
  int resumed = 0;
  {
    fairway::port_group group{3};
    for (std::size_t i = 0; i < group.size(); ++i) {
      completion_port& home = group[i];
      completion_port& away = group[(i + 1) % group.size()];
      asio::co_spawn(home, wait_for_ever(away, alive, resumed), asio::detached);
    }
    for (std::size_t i = 0; i < group.size(); ++i) group[i].poll();
    CHECK(alive == 3);
  }
  CHECK(alive == 0);
  CHECK(resumed == 0);
}
