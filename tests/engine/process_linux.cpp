// A port and its process: fork, descriptors, threads.
#include "support/child.hpp"
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/port_group.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/post.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <set>
#include <string>
#include <thread>

#include <fcntl.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::timer;

namespace {

std::set<int> open_descriptors() {
  std::set<int> open;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const int descriptor = std::atoi(entry.path().filename().c_str());
    if (::fcntl(descriptor, F_GETFD) >= 0) open.insert(descriptor);
  }
  return open;
}

std::ptrdiff_t threads_of_this_process() {
  const std::filesystem::directory_iterator tasks{"/proc/self/task"};
  return std::distance(begin(tasks), end(tasks));
}

// A thread that has been joined may still be listed for a moment.
bool threads_come_down_to(std::ptrdiff_t most) {
  const auto limit = std::chrono::steady_clock::now() + support::guard_time;
  while (threads_of_this_process() > most) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

int use_a_port() {
  completion_port port;
  timer soon{port, 1ms};
  int ends = 0;
  soon.async_wait([&](error_code ec) { ends += ec ? 0 : 1; });
  asio::post(port, [&] { ++ends; });
  if (!support::run_dry(port)) return 1;
  return ends == 2 ? 0 : 2;
}

}  // namespace

TEST_CASE("a forked child may make its own port, the parent's goes on") {
  if (support::thread_sanitizer) {
    std::puts("SKIP: the thread sanitizer does not follow a fork");
    return;
  }
  completion_port port;
  timer soon{port, 1ms};
  bool fired = false;
  soon.async_wait([&](error_code ec) { fired = !ec; });
  port.poll();
  CHECK(support::in_child(use_a_port) == 0);
  CHECK(support::run_dry(port));
  CHECK(fired);
}

TEST_CASE("a child forked inside a handler may make its own port") {
  if (support::thread_sanitizer) {
    std::puts("SKIP: the thread sanitizer does not follow a fork");
    return;
  }
  completion_port port;
  int status = -1;
  asio::post(port, [&] { status = support::in_child(use_a_port); });
  CHECK(port.run() == 1);
  CHECK(status == 0);
}

TEST_CASE("every descriptor of a port is closed on exec") {
  const auto before = open_descriptors();
  completion_port port;
  port.poll();
  int ours = 0;
  for (int descriptor : open_descriptors()) {
    if (before.count(descriptor) != 0) continue;
    ++ours;
    CHECK((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(ours > 0);
}

TEST_CASE("a destroyed port leaves no descriptor") {
  const auto before = open_descriptors();
  for (int i = 0; i < 10; ++i) {
    completion_port port;
    timer hour{port, 1h};
    hour.async_wait([](error_code) {});
    port.poll();
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("a port and its timers start no thread") {
  const auto before = threads_of_this_process();
  completion_port port;
  timer soon{port, 1ms};
  soon.async_wait([](error_code) {});
  std::ptrdiff_t during = 0;
  asio::post(port, [&] { during = threads_of_this_process(); });
  CHECK(support::run_dry(port));
  CHECK(during == before);
}

TEST_CASE("a group has one thread a port and nothing else") {
  // A sanitizer starts a thread of its own beside a program's first.
  const auto alone = threads_of_this_process();
  std::thread{[] {}}.join();
  REQUIRE(threads_come_down_to(alone + (support::thread_sanitizer ? 1 : 0)));
  const auto before = threads_of_this_process();
  fairway::port_group group{3};
  CHECK(threads_of_this_process() == before);
  std::promise<std::ptrdiff_t> counted;
  asio::post(group[2], [&] { counted.set_value(threads_of_this_process()); });
  group.start();
  CHECK(counted.get_future().get() == before + 3);
  group.stop();
  group.join();
  CHECK(threads_come_down_to(before));
}
