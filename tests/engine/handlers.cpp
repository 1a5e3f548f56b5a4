// A completion handler: once, where it wants to be, never inside the call, its memory given back.
#include "support/limits.hpp"
#include "support/pump.hpp"
#include "support/tracking_allocator.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <array>
#include <chrono>
#include <future>
#include <memory>
#include <thread>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;

TEST_CASE("a handler runs exactly once") {
  completion_port port;
  timer now{port, 0s};
  int runs = 0;
  now.async_wait([&](error_code) { ++runs; });
  now.cancel();
  CHECK(support::run_dry(port));
  port.restart();
  port.poll();
  CHECK(runs == 1);
}

TEST_CASE("a handler does not run inside the initiating call, not even on the port's thread") {
  completion_port port;
  timer now{port, 0s};
  bool inside = false;
  bool ran = false;
  asio::post(port, [&] {
    inside = true;
    now.async_wait([&](error_code) {
      CHECK_FALSE(inside);
      ran = true;
    });
    inside = false;
  });
  CHECK(support::run_dry(port));
  CHECK(ran);
}

TEST_CASE("a handler bound to a strand runs in it") {
  completion_port port;
  auto strand = asio::make_strand(port.get_executor());
  timer now{port, 0s};
  bool in_strand = false;
  now.async_wait(asio::bind_executor(
      strand, [&](error_code) { in_strand = strand.running_in_this_thread(); }));
  CHECK(support::run_dry(port));
  CHECK(in_strand);
}

TEST_CASE("a handler bound to an any_io_executor of the port runs on the port") {
  completion_port port;
  const asio::any_io_executor any = port.get_executor();
  timer now{port, 0s};
  bool here = false;
  now.async_wait(asio::bind_executor(
      any, [&](error_code) { here = port.get_executor().running_in_this_thread(); }));
  CHECK(support::run_dry(port));
  CHECK(here);
}

TEST_CASE("a handler bound to another port runs there, and that port waits for it") {
  completion_port port;
  completion_port home;
  timer soon{port, 1ms};
  bool at_home = false;
  soon.async_wait(asio::bind_executor(home.get_executor(), [&](error_code ec) {
    at_home = !ec && home.get_executor().running_in_this_thread();
  }));
  CHECK(home.poll() == 0);
  CHECK_FALSE(home.stopped());
  std::thread other([&] { port.run_for(support::guard_time); });
  CHECK(support::run_dry(home));
  other.join();
  CHECK(at_home);
}

TEST_CASE("a handler bound to a thread pool runs on the pool's thread") {
  completion_port port;
  asio::thread_pool pool{1};
  timer now{port, 0s};
  std::promise<std::thread::id> ran_on;
  now.async_wait(asio::bind_executor(
      pool, [&](error_code) { ran_on.set_value(std::this_thread::get_id()); }));
  CHECK(support::run_dry(port));
  CHECK(ran_on.get_future().get() != std::this_thread::get_id());
  pool.join();
}

TEST_CASE("a handler's memory comes from its allocator and is back before the handler runs") {
  completion_port port;
  support::allocation_record record;
  timer now{port, 0s};
  int live_inside = -1;
  now.async_wait(asio::bind_allocator(support::tracking_allocator<>{record},
                                      [&](error_code) { live_inside = record.live; }));
  CHECK(record.live > 0);
  CHECK(support::run_dry(port));
  CHECK(live_inside == 0);
}

TEST_CASE("a wait that is refused takes and gives back memory of the handler's allocator only") {
  completion_port port;
  support::allocation_record record;
  timer hour{port, 1h};
  hour.async_wait([](error_code) {});
  int live_inside = -1;
  hour.async_wait(asio::bind_allocator(support::tracking_allocator<>{record},
                                       [&](error_code) { live_inside = record.live; }));
  CHECK(port.poll() == 1);
  CHECK(live_inside == 0);
}

TEST_CASE("a handler that is never run gives its memory back to its allocator") {
  support::allocation_record record;
  {
    completion_port port;
    timer hour{port, 1h};
    hour.async_wait(
        asio::bind_allocator(support::tracking_allocator<>{record}, [](error_code) {}));
    CHECK(record.live > 0);
  }
  CHECK(record.live == 0);
}

TEST_CASE("a cancellation slot is empty again when its handler runs") {
  completion_port port;
  asio::cancellation_signal stop;
  timer now{port, 0s};
  bool empty = false;
  asio::post(port, [&] {
    now.async_wait(asio::bind_cancellation_slot(
        stop.slot(), [&](error_code) { empty = !stop.slot().has_handler(); }));
    CHECK(stop.slot().has_handler());
  });
  CHECK(support::run_dry(port));
  CHECK(empty);
}

TEST_CASE("a handler that starts the same operation again finds it free") {
  completion_port port;
  timer beat{port};
  int beats = 0;
  struct again {
    timer& beat;
    int& beats;
    void operator()(error_code ec) const {
      CHECK_FALSE(ec);
      if (++beats < 1000) beat.async_wait(*this);
    }
  };
  beat.async_wait(again{beat, beats});
  CHECK(support::run_dry(port));
  CHECK(beats == 1000);
}

TEST_CASE("a handler may destroy the object whose operation it ends") {
  completion_port port;
  auto now = std::make_unique<timer>(port, 0s);
  bool ran = false;
  now->async_wait([&](error_code) {
    now.reset();
    ran = true;
  });
  CHECK(support::run_dry(port));
  CHECK(ran);
}

TEST_CASE("handlers of every size keep their contents") {
  completion_port port;
  const auto check = [&]<std::size_t Bytes>(std::integral_constant<std::size_t, Bytes>) {
    timer now{port, 0s};
    std::array<unsigned char, Bytes> load{};
    load.front() = 1;
    load.back() = 2;
    int sum = 0;
    now.async_wait([load, &sum](error_code) { sum = load.front() + load.back(); });
    CHECK(support::run_dry(port));
    CHECK(sum == 3);
  };
  check(std::integral_constant<std::size_t, 8>{});
  check(std::integral_constant<std::size_t, 128>{});
  check(std::integral_constant<std::size_t, 129>{});
  check(std::integral_constant<std::size_t, 376>{});
  check(std::integral_constant<std::size_t, 2048>{});
  check(std::integral_constant<std::size_t, 10'000>{});
}

TEST_CASE("a handler that can only be moved is moved") {
  completion_port port;
  timer now{port, 0s};
  auto owned = std::make_unique<int>(5);
  int seen = 0;
  now.async_wait([owned = std::move(owned), &seen](error_code) { seen = *owned; });
  CHECK(support::run_dry(port));
  CHECK(seen == 5);
}
