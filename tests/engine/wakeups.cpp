// Any posted function runs, whatever the port was doing when it was posted.
#include "support/limits.hpp"
#include "support/pump.hpp"
#include "support/tickets.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using fairway::completion_port;

namespace {

// Each post waits for the one before to have run, so most of them find the port asleep or on its
// way there.
std::size_t post_one_at_a_time(std::size_t count, bool with_timer) {
  completion_port port;
  auto guard = asio::make_work_guard(port.get_executor());
  fairway::timer hour{port, 1h};
  if (with_timer) hour.async_wait([](auto) {});
  std::thread runner([&] { port.run(); });
  support::tickets done;
  std::size_t ran = 0;
  for (; ran < count; ++ran) {
    asio::post(port, [&] { done.release(); });
    if (!done.try_acquire_for(support::guard_time)) break;
  }
  port.stop();
  runner.join();
  return ran;
}

}  // namespace

TEST_CASE("a million posts into an idle port, one at a time, all run") {
  // Under Wine each is two trips to another process.
  const std::size_t count = support::scaled(support::on_windows ? 200'000 : 1'000'000);
  CHECK(post_one_at_a_time(count, false) == count);
}

TEST_CASE("posts one at a time into a port that sleeps until a timer all run") {
  const std::size_t count = support::scaled(100'000);
  CHECK(post_one_at_a_time(count, true) == count);
}

TEST_CASE("posts of sixteen threads all run, once each") {
  completion_port port;
  const auto guard = asio::make_work_guard(port.get_executor());
  const std::size_t each = support::scaled(support::on_windows ? 20'000 : 50'000);
  std::vector<std::size_t> ran(16);
  std::size_t total = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < ran.size(); ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < each; ++i) {
        asio::post(port, [&, t] {
          ++ran[t];
          ++total;
        });
      }
    });
  }
  support::pump_until(port, [&] { return total == ran.size() * each; });
  for (auto& thread : threads) thread.join();
  for (std::size_t n : ran) CHECK(n == each);
  CHECK(port.poll() == 0);
}

TEST_CASE("two ports that post to each other never stop") {
  completion_port ping;
  completion_port pong;
  auto ping_guard = asio::make_work_guard(ping.get_executor());
  auto pong_guard = asio::make_work_guard(pong.get_executor());
  std::size_t left = support::scaled(100'000);
  struct bounce {
    completion_port* here;
    completion_port* there;
    std::size_t& left;
    void operator()() const {
      if (--left != 0) {
        asio::post(*there, bounce{there, here, left});
      } else {
        here->stop();
        there->stop();
      }
    }
  };
  asio::post(ping, bounce{&ping, &pong, left});
  std::thread other([&] { pong.run_for(support::guard_time); });
  ping.run_for(support::guard_time);
  other.join();
  CHECK(left == 0);
}

TEST_CASE("a post made between two runs is run by the second") {
  completion_port port;
  const auto guard = asio::make_work_guard(port.get_executor());
  int ran = 0;
  for (int i = 0; i < 1000; ++i) {
    std::thread poster;
    if (i % 10 == 0) {
      poster = std::thread([&] { asio::post(port, [&] { ++ran; }); });
    } else {
      asio::post(port, [&] { ++ran; });
    }
    if (poster.joinable()) poster.join();
    port.run_one_for(support::guard_time);
  }
  CHECK(ran == 1000);
}

TEST_CASE("a port that is not asleep is not woken") {
  completion_port port;
  const auto guard = asio::make_work_guard(port.get_executor());
  asio::post(port, [&] {
    std::thread([&] {
      for (int i = 0; i < 100; ++i) asio::post(port, [] {});
    }).join();
  });
  CHECK(port.poll() == 101);
  CHECK(port.statistics().wakeups_sent == 0);
}
