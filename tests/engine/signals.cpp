// Process signals: delivered, kept while nobody waits, given back to their default action.
#include "support/coroutine.hpp"
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/signals.hpp>

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <cstdio>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#if !defined(_WIN32)
#include "support/child.hpp"

#include <signal.h>
#endif

namespace asio = boost::asio;
using boost::system::error_code;
using fairway::completion_port;
using fairway::signal_kind;
using fairway::signals;

TEST_CASE("a wait for signals that is cancelled ends with operation aborted") {
  completion_port port;
  signals quit{port, {signal_kind::hangup}};
  error_code end;
  quit.async_wait([&](error_code ec, signal_kind) { end = ec; });
  port.poll();
  quit.cancel();
  CHECK(support::run_dry(port));
  CHECK(end == asio::error::operation_aborted);
}

TEST_CASE("a second wait for signals is refused") {
  completion_port port;
  signals quit{port, {signal_kind::hangup}};
  error_code second;
  quit.async_wait([](error_code, signal_kind) {});
  quit.async_wait([&](error_code ec, signal_kind) { second = ec; });
  CHECK(port.poll() == 1);
  CHECK(second == asio::error::in_progress);
}

TEST_CASE("signals that wait when their port ends are destroyed quietly") {
  std::optional<signals> left;
  {
    completion_port port;
    left.emplace(port, std::initializer_list<signal_kind>{signal_kind::hangup});
    left->async_wait([](error_code, signal_kind) { FAIL("a discarded handler ran"); });
  }
  left.reset();
  CHECK_FALSE(left.has_value());
}

TEST_CASE("more than 64 watchers are refused and the places come back") {
  completion_port port;
  for (int round = 0; round < 2; ++round) {
    std::vector<signals> many;
    for (int i = 0; i < 64; ++i) {
      many.emplace_back(port, std::initializer_list<signal_kind>{signal_kind::hangup});
    }
    CHECK_THROWS_AS(signals(port, {signal_kind::hangup}), std::length_error);
  }
}

#if defined(_WIN32)

TEST_CASE("raised signals are delivered") {
  std::puts("SKIP: a console event cannot be raised for this process alone");
}

#else

TEST_CASE("a raised signal completes the wait with its kind") {
  completion_port port;
  signals quit{port, {signal_kind::interrupt, signal_kind::terminate, signal_kind::hangup}};
  const std::pair<int, signal_kind> kinds[] = {{SIGINT, signal_kind::interrupt},
                                               {SIGTERM, signal_kind::terminate},
                                               {SIGHUP, signal_kind::hangup}};
  for (const auto& [number, kind] : kinds) {
    std::optional<signal_kind> got;
    quit.async_wait([&](error_code ec, signal_kind k) {
      if (!ec) got = k;
    });
    port.poll();
    ::raise(number);
    CHECK(support::pump_until(port, [&] { return got.has_value(); }));
    CHECK(got == kind);
  }
}

TEST_CASE("a signal that comes while nobody waits is kept, once a kind") {
  completion_port port;
  signals quit{port, {signal_kind::terminate, signal_kind::hangup}};
  ::raise(SIGTERM);
  ::raise(SIGTERM);
  ::raise(SIGHUP);
  std::vector<signal_kind> got;
  for (int i = 0; i < 2; ++i) {
    quit.async_wait([&](error_code, signal_kind k) { got.push_back(k); });
    CHECK(support::run_dry(port));
  }
  CHECK(got == std::vector<signal_kind>{signal_kind::terminate, signal_kind::hangup});
  quit.async_wait([&](error_code, signal_kind k) { got.push_back(k); });
  port.poll();
  CHECK(got.size() == 2);
}

TEST_CASE("a signal is not lost to a cancelled wait") {
  completion_port port;
  signals quit{port, {signal_kind::terminate}};
  quit.async_wait([](error_code, signal_kind) {});
  quit.cancel();
  ::raise(SIGTERM);
  CHECK(support::run_dry(port));
  bool got = false;
  quit.async_wait([&](error_code ec, signal_kind) { got = !ec; });
  CHECK(support::run_dry(port));
  CHECK(got);
}

TEST_CASE("every watcher of a kind sees the signal, on each port") {
  completion_port a;
  completion_port b;
  signals first{a, {signal_kind::terminate}};
  signals second{a, {signal_kind::terminate, signal_kind::hangup}};
  signals third{b, {signal_kind::terminate}};
  signals other{b, {signal_kind::hangup}};
  int seen = 0;
  for (signals* watcher : {&first, &second, &third}) {
    watcher->async_wait([&](error_code ec, signal_kind) { seen += ec ? 0 : 1; });
  }
  other.async_wait([&](error_code ec, signal_kind) { seen += ec ? 0 : 100; });
  ::raise(SIGTERM);
  CHECK(support::run_dry(a));
  b.poll();
  CHECK(seen == 3);
}

TEST_CASE("a signal wakes a port that sleeps") {
  completion_port port;
  signals quit{port, {signal_kind::terminate}};
  bool got = false;
  quit.async_wait([&](error_code ec, signal_kind) { got = !ec; });
  const ::pthread_t runner = ::pthread_self();
  std::thread raiser([&] {
    for (int i = 0; i < 100; ++i) asio::post(port, [] {});
    ::pthread_kill(runner, SIGTERM);
  });
  CHECK(support::run_dry(port));
  raiser.join();
  CHECK(got);
}

TEST_CASE("what was there before is back when the last watcher of a kind is destroyed") {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  ::sigaction(SIGHUP, &ignore, &before);
  {
    completion_port port;
    std::optional<signals> first{std::in_place, port,
                                 std::initializer_list<signal_kind>{signal_kind::hangup}};
    const signals second{port, {signal_kind::hangup}};
    first.reset();
    struct sigaction now {};
    ::sigaction(SIGHUP, nullptr, &now);
    CHECK((now.sa_handler != SIG_IGN));
  }
  struct sigaction after {};
  ::sigaction(SIGHUP, &before, &after);
  CHECK((after.sa_handler == SIG_IGN));
}

TEST_CASE("after the last watcher a signal ends the process again") {
  if (support::thread_sanitizer) {
    std::puts("SKIP: the thread sanitizer does not follow a fork");
    return;
  }
  const int status = support::in_child([] {
    ::signal(SIGTERM, SIG_DFL);
    completion_port port;
    { const signals quit{port, {signal_kind::terminate}}; }
    ::raise(SIGTERM);
    return 0;
  });
  CHECK(status == 200 + SIGTERM);
}

#endif
