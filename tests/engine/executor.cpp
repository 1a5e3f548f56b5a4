// The executor models Asio's concept: its properties, its size, and the work that it tracks.
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>

#include <doctest/doctest.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace asio = boost::asio;
namespace ex = boost::asio::execution;
using fairway::completion_port;
using fairway::port_executor;

static_assert(ex::is_executor<port_executor>::value);
static_assert(std::is_convertible_v<port_executor, asio::any_io_executor>);
static_assert(sizeof(port_executor) == sizeof(void*));
static_assert(std::is_nothrow_copy_constructible_v<port_executor>);
static_assert(std::is_nothrow_move_constructible_v<port_executor>);
static_assert(std::is_nothrow_copy_assignable_v<port_executor>);
static_assert(std::is_same_v<completion_port::executor_type, port_executor>);
static_assert(std::is_base_of_v<asio::execution_context, completion_port>);
static_assert(asio::can_require<port_executor, ex::blocking_t::never_t>::value);
static_assert(asio::can_require<port_executor, ex::blocking_t::possibly_t>::value);
static_assert(!asio::can_require<port_executor, ex::blocking_t::always_t>::value);
static_assert(asio::can_prefer<port_executor, ex::relationship_t::continuation_t>::value);
static_assert(asio::can_prefer<port_executor, ex::outstanding_work_t::tracked_t>::value);
static_assert(asio::can_query<port_executor, ex::context_t>::value);
static_assert(asio::can_query<port_executor, ex::mapping_t>::value);
static_assert(asio::can_require<port_executor, ex::allocator_t<std::allocator<int>>>::value);

TEST_CASE("executors of one port are equal, of two ports are not") {
  completion_port a;
  completion_port b;
  CHECK(a.get_executor() == a.get_executor());
  CHECK(a.get_executor() != b.get_executor());
}

TEST_CASE("an executor knows its port as its context") {
  completion_port port;
  CHECK(&port.get_executor().context() == &port);
  CHECK(&asio::query(port.get_executor(), ex::context) ==
        static_cast<asio::execution_context*>(&port));
}

TEST_CASE("the default executor may block, forks and tracks no work") {
  completion_port port;
  const auto executor = port.get_executor();
  CHECK(asio::query(executor, ex::blocking) == ex::blocking.possibly);
  CHECK(asio::query(executor, ex::relationship) == ex::relationship.fork);
  CHECK(asio::query(executor, ex::outstanding_work) == ex::outstanding_work.untracked);
  CHECK(asio::query(executor, ex::mapping) == ex::mapping.thread);
}

TEST_CASE("a required property can be queried and taken back") {
  completion_port port;
  const auto never = asio::require(port.get_executor(), ex::blocking.never);
  CHECK(asio::query(never, ex::blocking) == ex::blocking.never);
  CHECK(asio::require(never, ex::blocking.possibly) == port.get_executor());
  const auto next = asio::prefer(port.get_executor(), ex::relationship.continuation);
  CHECK(asio::query(next, ex::relationship) == ex::relationship.continuation);
}

TEST_CASE("an any_io_executor of a port compares equal and runs functions on it") {
  completion_port port;
  const asio::any_io_executor any = port.get_executor();
  CHECK(any == asio::any_io_executor{port.get_executor()});
  bool ran = false;
  asio::post(any, [&] { ran = port.get_executor().running_in_this_thread(); });
  CHECK(port.run() == 1);
  CHECK(ran);
}

TEST_CASE("running_in_this_thread is true inside a handler only") {
  completion_port port;
  completion_port other;
  const auto executor = port.get_executor();
  CHECK_FALSE(executor.running_in_this_thread());
  asio::post(port, [&] {
    CHECK(executor.running_in_this_thread());
    CHECK_FALSE(other.get_executor().running_in_this_thread());
  });
  CHECK(port.run() == 1);
  CHECK_FALSE(executor.running_in_this_thread());
}

TEST_CASE("an executor with tracked work keeps run from returning") {
  completion_port port;
  {
    const auto tracked = asio::require(port.get_executor(), ex::outstanding_work.tracked);
    auto copy = tracked;
    auto moved = std::move(copy);
    moved = tracked;
    port.poll();
    CHECK_FALSE(port.stopped());
  }
  CHECK(port.run() == 0);
  CHECK(port.stopped());
}

TEST_CASE("tracked work may begin on one thread and end on another") {
  completion_port port;
  using tracked =
      std::decay_t<decltype(asio::require(port.get_executor(), ex::outstanding_work.tracked))>;
  std::unique_ptr<tracked> work;
  asio::post(port, [&] {
    work = std::make_unique<tracked>(
        asio::require(port.get_executor(), ex::outstanding_work.tracked));
  });
  port.poll();
  CHECK_FALSE(port.stopped());
  std::thread([&] { work.reset(); }).join();
  CHECK(port.run() == 0);
  CHECK(port.stopped());
}

TEST_CASE("work counted on many threads at once adds up to none") {
  completion_port port;
  const auto executor = port.get_executor();
  std::atomic<int> posted{0};
  {
    const auto keep = asio::require(executor, ex::outstanding_work.tracked);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          auto work = asio::require(executor, ex::outstanding_work.tracked);
          asio::post(executor, [work, &posted] { posted.fetch_add(1); });
        }
      });
    }
    support::pump_until(port, [&] { return posted.load() == 4000; });
    for (auto& thread : threads) thread.join();
  }
  CHECK(posted.load() == 4000);
  CHECK(port.run() == 0);
  CHECK(port.stopped());
}

TEST_CASE("a strand over a port keeps the order of what is posted to it") {
  completion_port port;
  auto strand = asio::make_strand(port.get_executor());
  std::vector<int> order;
  for (int i = 0; i < 4; ++i) asio::post(strand, [&order, i] { order.push_back(i); });
  CHECK(support::run_dry(port));
  CHECK(order == std::vector<int>{0, 1, 2, 3});
}
