// Names into endpoints: the queue, the thread, and what an asker may rely on.
// A replacement of the system's look-up keeps the tests off the network and lets them hold it.

#include "net/resolver.hpp"

#include "held_look_up.hpp"
#include "support/tickets.hpp"

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#endif

namespace {

using fairway::endpoint;
using fairway::detail::name_query;
using fairway::testing::held_look_up;
using namespace std::chrono_literals;
namespace net_error = boost::asio::error;

constexpr auto patience = 20s;

/// An asker without a port: waits for the answer.
class asker {
 public:
  asker(std::string host, std::string service)
      : query_(std::make_shared<name_query>(std::move(host), std::move(service), &answered, this)) {
  }
  ~asker() { query_->close(); }

  bool start() { return query_->start(); }
  void close() { query_->close(); }
  bool answer() { return answered_.try_acquire_for(patience); }
  bool is_answered() { return answered_.try_acquire(); }
  void look_up() { REQUIRE((start() || answer())); }
  const name_query& query() const { return *query_; }

 private:
  static void answered(void* self) noexcept { static_cast<asker*>(self)->answered_.release(); }

  support::tickets answered_;
  std::shared_ptr<name_query> query_;
};

#if defined(__linux__)
/// The directories of this process's threads that look up names.
std::vector<std::filesystem::path> resolver_threads() {
  std::vector<std::filesystem::path> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (name == "fairway-names") {
      found.push_back(task.path());
    }
  }
  return found;
}
#endif

}  // namespace

#if defined(__linux__)
TEST_CASE("a numeric address starts no thread") {
  const auto before = resolver_threads();
  asker one("127.0.0.1", "80");
  CHECK(one.start());
  CHECK(resolver_threads() == before);
}
#endif

TEST_CASE("a numeric address is answered at once") {
  for (const char* text : {"127.0.0.1", "::1"}) {
    asker one(text, "80");
    CHECK(one.start());
    CHECK_FALSE(one.query().error());
    REQUIRE(one.query().found().size() == 1);
    CHECK(one.query().found().front().port() == 80);
    CHECK(one.query().found().front().is_loopback());
  }
}

TEST_CASE("localhost is found by the system") {
  asker one("localhost", "80");
  CHECK_FALSE(one.start());
  REQUIRE(one.answer());
  CHECK_FALSE(one.query().error());
  REQUIRE_FALSE(one.query().found().empty());
  for (const endpoint& each : one.query().found()) {
    CHECK(each.is_loopback());
    CHECK(each.port() == 80);
  }
}

TEST_CASE("no endpoint is found twice") {
  asker one("localhost", "80");
  one.look_up();
  const auto& found = one.query().found();
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      CHECK(found[i] != found[j]);
    }
  }
}

TEST_CASE("a host that the system does not know is host_not_found") {
  // A label of more than 63 characters is refused without asking a name server.
  asker one(std::string(64, 'x'), "80");
  one.look_up();
  CHECK(one.query().error() == net_error::host_not_found);
  CHECK(one.query().found().empty());
}

TEST_CASE("what can be no host is host_not_found at once") {
  for (const std::string& host :
       {std::string(), std::string("127.0.0.1\0x", 11), std::string(2000, 'x')}) {
    asker one(host, "80");
    CHECK(one.start());
    CHECK(one.query().error() == net_error::host_not_found);
  }
}

TEST_CASE("what can be no service is service_not_found at once") {
  for (const char* service : {"", "65536", "99999999999999999999"}) {
    asker one("127.0.0.1", service);
    CHECK(one.start());
    CHECK(one.query().error() == net_error::service_not_found);
  }
}

TEST_CASE("a service that the system does not know is service_not_found") {
  asker one("127.0.0.1", "no-such-service");
  one.look_up();
  CHECK(one.query().error() == net_error::service_not_found);
}

TEST_CASE("a name is answered on the resolver's thread") {
  const held_look_up names;
  asker one("name", "http");
  CHECK_FALSE(one.start());
  REQUIRE(one.answer());
  CHECK_FALSE(one.query().error());
  CHECK(one.query().found() == std::vector{held_look_up::found()});
}

TEST_CASE("a failed look-up gives its error") {
  const held_look_up names;
  asker one("unknown", "80");
  CHECK_FALSE(one.start());
  REQUIRE(one.answer());
  CHECK(one.query().error() == net_error::host_not_found);
}

TEST_CASE("a name without addresses is host_not_found") {
  const held_look_up names;
  asker one("nowhere", "80");
  one.look_up();
  CHECK(one.query().error() == net_error::host_not_found);
}

TEST_CASE("a look-up that is closed while it runs tells nobody") {
  held_look_up names;
  asker holder(names.held, "80");
  CHECK_FALSE(holder.start());
  names.wait_until_held();
  holder.close();
  names.release();
  names.wait_until_idle();
  CHECK_FALSE(holder.is_answered());
}

TEST_CASE("a look-up that is closed while it waits is never made") {
  held_look_up names;
  asker holder(names.held, "80");
  REQUIRE_FALSE(holder.start());
  names.wait_until_held();
  const int made = names.names();
  asker dropped("dropped", "80");
  asker after("after", "80");
  CHECK_FALSE(dropped.start());
  CHECK_FALSE(after.start());
  dropped.close();
  names.release();
  REQUIRE(after.answer());
  CHECK(names.names() == made + 1);
  CHECK_FALSE(dropped.is_answered());
}

TEST_CASE("a full queue is no_buffer_space, and closing one makes room") {
  held_look_up names;
  asker holder(names.held, "80");
  REQUIRE_FALSE(holder.start());
  names.wait_until_held();
  std::vector<std::unique_ptr<asker>> waiting;
  for (std::size_t i = 0; i < name_query::queue_max; ++i) {
    waiting.push_back(std::make_unique<asker>("waiting", "80"));
    REQUIRE_FALSE(waiting.back()->start());
  }
  asker refused("refused", "80");
  CHECK(refused.start());
  CHECK(refused.query().error() == net_error::no_buffer_space);
  waiting.front()->close();
  asker taken("taken", "80");
  CHECK_FALSE(taken.start());
  names.release();
  CHECK(taken.answer());
  for (std::size_t i = 1; i < waiting.size(); ++i) {
    CHECK(waiting[i]->is_answered());  // they were first
  }
}

TEST_CASE("closing races with answers and neither is told twice nor too late") {
  const held_look_up names;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&wrong] {
      for (int i = 0; i < 500; ++i) {
        asker one("name", "80");
        if (one.start()) {
          continue;  // the queue was full
        }
        if (i % 3 == 0) {
          wrong += !one.answer();
        }
        one.close();
        const bool late = one.is_answered() && i % 3 == 0;
        wrong += late;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  CHECK(wrong == 0);
}

#if defined(__linux__)

TEST_CASE("all look-ups share one thread, which takes no signals") {
  for (int i = 0; i < 3; ++i) {
    asker one("localhost", "80");
    one.look_up();
  }
  const auto threads = resolver_threads();
  REQUIRE(threads.size() == 1);
  std::ifstream status(threads.front() / "status");
  std::string line;
  unsigned long long blocked = 0;
  while (std::getline(status, line)) {
    if (line.starts_with("SigBlk:")) {
      blocked = std::stoull(line.substr(7), nullptr, 16);
    }
  }
  // All but SIGKILL, SIGSTOP and the C library's own.
  CHECK((blocked & 0x7fff'bfff) == (0x7fff'bfff & ~(1ull << 8) & ~(1ull << 18)));
}

TEST_CASE("after a fork the child looks up on a thread of its own") {
#if defined(__SANITIZE_THREAD__)
  std::puts("SKIP: the thread sanitizer does not follow a fork of a program with threads");
#else
  held_look_up names;
  asker holder(names.held, "80");
  REQUIRE_FALSE(holder.start());
  names.wait_until_held();
  const pid_t child = ::fork();
  if (child == 0) {
    holder.close();  // the parent's query: forgotten here
    asker one("name", "80");
    const bool fine =
        !one.start() && one.answer() && !one.query().error() && resolver_threads().size() == 1;
    ::_exit(fine ? 0 : 1);
  }
  names.release();
  CHECK(holder.answer());
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
#endif
}

#endif
