// A group of ports, a thread each.
#include "support/limits.hpp"

#include <fairway/engine/port_group.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::port_group;
using fairway::timer;

TEST_CASE("a group without a number has a port for each core, at least one") {
  port_group group;
  CHECK(group.size() >= 1);
  CHECK(group.size() <= std::max(1u, std::thread::hardware_concurrency()));
}

TEST_CASE("next goes round the ports") {
  port_group group{3};
  CHECK(group.size() == 3);
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < 3; ++i) CHECK(&group.next() == &group[i]);
  }
}

TEST_CASE("least_loaded is the port with the fewest operations in flight") {
  port_group group{3};
  timer first{group[0], 1h};
  timer third{group[2], 1h};
  first.async_wait([](error_code) {});
  third.async_wait([](error_code) {});
  CHECK(&group.least_loaded() == &group[1]);
}

TEST_CASE("each port of a running group has a thread of its own") {
  port_group group{3};
  std::vector<std::promise<std::thread::id>> ids(3);
  for (std::size_t i = 0; i < 3; ++i) {
    asio::post(group[i], [&, i] { ids[i].set_value(std::this_thread::get_id()); });
  }
  group.start();
  std::set<std::thread::id> different;
  for (auto& id : ids) different.insert(id.get_future().get());
  group.stop();
  group.join();
  CHECK(different.size() == 3);
  CHECK(different.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("a running group does not end for want of work, stop ends it") {
  port_group group{2};
  std::promise<void> second_round;
  asio::post(group[0], [&] {
    asio::post(group[1], [&] { asio::post(group[0], [&] { second_round.set_value(); }); });
  });
  group.start();
  CHECK(second_round.get_future().wait_for(support::guard_time) == std::future_status::ready);
  group.stop();
  group.join();
}

TEST_CASE("run returns when a handler stops the group") {
  port_group group{2};
  asio::post(group[1], [&] { group.stop(); });
  group.run();
  CHECK(group[0].stopped());
  CHECK(group[1].stopped());
}

TEST_CASE("a group that is stopped before it runs returns at once, and runs the next time") {
  port_group group{2};
  bool ran = false;
  timer later{group[0], 300ms};
  later.async_wait([&](error_code) {
    ran = true;
    group.stop();
  });
  group.stop();
  group.run();
  CHECK_FALSE(ran);
  group.run();
  CHECK(ran);
}

TEST_CASE("a group can be run again after it was stopped") {
  port_group group{2};
  int rounds = 0;
  for (int i = 0; i < 3; ++i) {
    asio::post(group[0], [&] {
      ++rounds;
      group.stop();
    });
    group.run();
  }
  CHECK(rounds == 3);
}

TEST_CASE("an exception of a handler stops the group and leaves run") {
  port_group group{2};
  asio::post(group[1], [] { throw std::runtime_error("in a group"); });
  CHECK_THROWS_WITH_AS(group.run(), "in a group", std::runtime_error);
  asio::post(group[0], [&] { group.stop(); });
  CHECK_NOTHROW(group.run());
}

TEST_CASE("destroying a running group stops it") {
  std::promise<void> running;
  {
    port_group group{2};
    asio::post(group[0], [&] { running.set_value(); });
    group.start();
    running.get_future().wait();
  }
  CHECK(true);
}

TEST_CASE("an operation on one port may end on another one of the group") {
  port_group group{2};
  timer soon{group[0], 1ms};
  std::promise<bool> there;
  soon.async_wait(asio::bind_executor(group[1].get_executor(), [&](error_code) {
    there.set_value(group[1].get_executor().running_in_this_thread());
  }));
  group.start();
  auto answer = there.get_future();
  REQUIRE(answer.wait_for(support::guard_time) == std::future_status::ready);
  CHECK(answer.get());
  group.stop();
  group.join();
}
