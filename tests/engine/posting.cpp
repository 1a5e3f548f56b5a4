// Functions given to a port: when, where and how often they run, and what becomes of their memory.
#include "support/limits.hpp"
#include "support/pump.hpp"
#include "support/tracking_allocator.hpp"

#include <fairway/engine/completion_port.hpp>

#include <doctest/doctest.h>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/use_future.hpp>

#include <array>
#include <future>
#include <memory>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using fairway::completion_port;

TEST_CASE("posted functions run once, in their order") {
  completion_port port;
  std::vector<int> order;
  for (int i = 0; i < 200; ++i) asio::post(port, [&order, i] { order.push_back(i); });
  CHECK(port.run() == 200);
  REQUIRE(order.size() == 200);
  for (int i = 0; i < 200; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a function is not run inside post, not even in a handler") {
  completion_port port;
  bool inside = false;
  bool ran = false;
  asio::post(port, [&] {
    inside = true;
    asio::post(port, [&] {
      CHECK_FALSE(inside);
      ran = true;
    });
    inside = false;
  });
  CHECK_FALSE(inside);
  CHECK(port.run() == 2);
  CHECK(ran);
}

TEST_CASE("defer does not run a function inside the call") {
  completion_port port;
  std::vector<int> order;
  asio::post(port, [&] {
    asio::defer(port, [&] { order.push_back(2); });
    order.push_back(1);
  });
  CHECK(port.run() == 2);
  CHECK(order == std::vector<int>{1, 2});
}

TEST_CASE("dispatch inside a handler runs a function inside the call") {
  completion_port port;
  std::vector<int> order;
  asio::post(port, [&] {
    asio::dispatch(port, [&] { order.push_back(1); });
    order.push_back(2);
  });
  CHECK(port.run() == 1);
  CHECK(order == std::vector<int>{1, 2});
}

TEST_CASE("dispatch outside of the port's thread queues") {
  completion_port port;
  bool ran = false;
  asio::dispatch(port, [&] { ran = true; });
  CHECK_FALSE(ran);
  CHECK(port.run() == 1);
  CHECK(ran);
}

TEST_CASE("an executor that never blocks queues inside a handler too") {
  completion_port port;
  std::vector<int> order;
  asio::post(port, [&] {
    asio::require(port.get_executor(), asio::execution::blocking.never).execute([&] {
      order.push_back(2);
    });
    order.push_back(1);
  });
  CHECK(port.run() == 2);
  CHECK(order == std::vector<int>{1, 2});
}

TEST_CASE("functions that own things are moved, never copied, and destroyed once") {
  completion_port port;
  auto owned = std::make_unique<int>(7);
  auto shared = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = shared;
  int seen = 0;
  asio::post(port, [owned = std::move(owned), shared = std::move(shared), &seen] {
    seen = *owned;
  });
  CHECK(port.run() == 1);
  CHECK(seen == 7);
  CHECK(watch.expired());
}

TEST_CASE("a function that throws when it is moved out is reported by run") {
  completion_port port;
  const auto throwing = [] { throw 5; };
  asio::post(port, throwing);
  CHECK_THROWS_AS(port.run(), int);
}

TEST_CASE("a function's memory comes from its allocator and is back before it runs") {
  completion_port port;
  support::allocation_record record;
  int live_inside = -1;
  asio::post(port, asio::bind_allocator(support::tracking_allocator<>{record},
                                        [&] { live_inside = record.live; }));
  CHECK(record.live == 1);
  CHECK(port.run() == 1);
  CHECK(live_inside == 0);
  CHECK(record.total == 1);
}

TEST_CASE("an executor's allocator property is where posting takes memory from") {
  completion_port port;
  support::allocation_record record;
  const auto executor =
      asio::require(asio::require(port.get_executor(), asio::execution::blocking.never),
                    asio::execution::allocator(support::tracking_allocator<>{record}));
  executor.execute([] {});
  CHECK(record.live == 1);
  CHECK(port.run() == 1);
  CHECK(record.live == 0);
}

TEST_CASE("a function larger than any recycled block runs") {
  completion_port port;
  std::array<unsigned char, 8000> large{};
  large.back() = 9;
  int seen = 0;
  asio::post(port, [large, &seen] { seen = large.back(); });
  CHECK(port.run() == 1);
  CHECK(seen == 9);
}

TEST_CASE("a function posted by another thread runs on the thread that runs the port") {
  completion_port port;
  const auto guard = asio::make_work_guard(port.get_executor());
  std::thread::id ran_on;
  std::thread poster([&] {
    asio::post(port, [&] {
      ran_on = std::this_thread::get_id();
      port.stop();
    });
  });
  port.run_for(support::guard_time);
  poster.join();
  CHECK(ran_on == std::this_thread::get_id());
}

TEST_CASE("functions of one foreign thread keep their order") {
  completion_port port;
  const auto guard = asio::make_work_guard(port.get_executor());
  const std::size_t count = 20'000;
  std::vector<std::size_t> order;
  order.reserve(count);
  std::thread poster([&] {
    for (std::size_t i = 0; i < count; ++i) asio::post(port, [&, i] { order.push_back(i); });
  });
  support::pump_until(port, [&] { return order.size() == count; });
  poster.join();
  REQUIRE(order.size() == count);
  bool ascending = true;
  for (std::size_t i = 0; i < count; ++i) ascending = ascending && order[i] == i;
  CHECK(ascending);
}

TEST_CASE("a posted function's value reaches a future on another thread") {
  completion_port port;
  std::future<int> answer = asio::post(port, asio::use_future([] { return 42; }));
  CHECK(port.run() == 1);
  CHECK(answer.get() == 42);
}

TEST_CASE("functions left in a port are destroyed with it, without running") {
  auto shared = std::make_shared<int>(0);
  bool ran = false;
  {
    completion_port port;
    for (int i = 0; i < 10; ++i) asio::post(port, [shared, &ran] { ran = true; });
    CHECK(shared.use_count() == 11);
  }
  CHECK(shared.use_count() == 1);
  CHECK_FALSE(ran);
}

TEST_CASE("a function whose destruction posts again does not outlive the port") {
  auto shared = std::make_shared<int>(0);
  bool ran = false;
  struct poster {
    completion_port* port;
    std::shared_ptr<int> kept;
    bool* ran;
    poster(completion_port* p, std::shared_ptr<int> k, bool* r)
        : port{p}, kept{std::move(k)}, ran{r} {}
    poster(poster&& other) noexcept
        : port{std::exchange(other.port, nullptr)}, kept{std::move(other.kept)}, ran{other.ran} {}
    ~poster() {
      if (port != nullptr) {
        asio::post(*port, [kept = kept, ran = ran] { *ran = true; });
      }
    }
    void operator()() {}
  };
  {
    completion_port port;
    asio::post(port, poster{&port, shared, &ran});
  }
  CHECK(shared.use_count() == 1);
  CHECK_FALSE(ran);
}
