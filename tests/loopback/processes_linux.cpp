// Two processes: the other one dies at any moment, lives in another network namespace, or writes
// nonsense into what both share. FAIRWAY_TEST_ROUNDS: how often one dies.

#include "support/child.hpp"
#include "support/shared_memory.hpp"
#include "support/own_network.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <fstream>

#include "loopback/layout.hpp"

#include <cstdlib>

#include <csignal>
#include <dirent.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::endpoint;
using fairway::loopback;

namespace {

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* const all = ::opendir("/proc/self/fd");
  while (::readdir(all) != nullptr) ++count;
  ::closedir(all);
  return count;
}

// What the last ones left is closed when their ends have been seen, which a busy machine may delay.
// The port looks at the kernel for that: one without work does not, as Asio's do not.
void nothing_left(completion_port& port, std::size_t before) {
  const auto work = asio::make_work_guard(port);
  pump(port, [&] { return open_descriptors() <= before + 2; });
}

// Connects, then writes and reads for ever, in a process of its own.
[[noreturn]] void chatter(const endpoint& to) {
  completion_port port;
  asio::co_spawn(
      port,
      [](completion_port& p, endpoint at) -> coroutine<void> {
        fairway::connector dial{p, {.loopback = loopback::shared_memory}};
        auto s = co_await dial.async_connect(at);
        if (!s) ::_exit(1);
        std::array<char, 3000> room{};
        for (;;) {
          if (!co_await fairway::async_write(s.value(), asio::buffer(room))) break;
          if (!co_await s.value().async_read_some(asio::buffer(room))) break;
        }
      }(port, to),
      asio::detached);
  port.run();
  ::_exit(0);
}

// Echoes until the stream ends; stores how.
coroutine<void> echo(fairway::stream& s, error_code& how, std::size_t& bytes) {
  std::array<char, 4096> room;
  for (;;) {
    auto got = co_await s.async_read_some(asio::buffer(room));
    if (!got) {
      how = got.error();
      co_return;
    }
    bytes += got.value();
    auto put = co_await fairway::async_write(s, asio::buffer(room, got.value()));
    if (!put) {
      how = put.error();
      co_return;
    }
  }
}

// The same out of the views that a receive gives, which the peer can change meanwhile.
coroutine<void> echo_views(fairway::stream& s, error_code& how, std::size_t& bytes) {
  for (;;) {
    auto got = co_await s.async_receive();
    if (!got) {
      how = got.error();
      co_return;
    }
    bytes += got.value().size();
    auto put = co_await fairway::async_write(s, got.value().buffer());
    if (!put) {
      how = put.error();
      co_return;
    }
  }
}

template <class Body>
pid_t start_child(Body body) {
  const pid_t made = ::fork();
  if (made == 0) {
    body();
    ::_exit(0);
  }
  REQUIRE(made > 0);
  return made;
}

int kill_rounds() {
  const char* const given = std::getenv("FAIRWAY_TEST_ROUNDS");
  return given == nullptr ? 40 : std::atoi(given);
}

// Listens, tells where, and echoes for ever, in a process of its own.
[[noreturn]] void echo_server(int tell) {
  completion_port port;
  auto l = fairway::listener::open(port, endpoint::loopback_v4(0),
                                   {.loopback = loopback::shared_memory});
  if (!l) ::_exit(1);
  const std::string at = l.value().local_endpoint().value().to_string();
  if (::write(tell, at.data(), at.size()) < 0) ::_exit(1);
  ::close(tell);
  const auto serve = [](fairway::stream s) -> coroutine<void> {
    error_code how;
    std::size_t bytes = 0;
    co_await echo(s, how, bytes);
  };
  asio::co_spawn(
      port,
      [&]() -> coroutine<void> {
        for (;;) {
          auto s = co_await l.value().async_accept();
          if (!s) break;
          asio::co_spawn(port, serve(std::move(s.value())), asio::detached);
        }
      },
      asio::detached);
  port.run();
  ::_exit(0);
}

struct other_process {
  pid_t process = -1;
  endpoint at;
};

other_process start_echo_server() {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  other_process made;
  made.process = start_child([&] {
    ::close(told[0]);
    echo_server(told[1]);
  });
  ::close(told[1]);
  char text[100];
  const auto got = ::read(told[0], text, sizeof text);
  ::close(told[0]);
  REQUIRE(got > 0);
  made.at = endpoint::parse({text, static_cast<std::size_t>(got)}).value();
  return made;
}

// Connects, then writes and reads until something ends that; stores how.
coroutine<void> chat(completion_port& port, endpoint at, error_code& how, bool& fast) {
  fairway::connector dial{port, {.loopback = loopback::shared_memory}};
  auto s = co_await dial.async_connect(at);
  if (!s) {
    how = s.error();
    co_return;
  }
  std::array<char, 3000> room{};
  for (;;) {
    auto put = co_await fairway::async_write(s.value(), asio::buffer(room));
    if (!put) {
      how = put.error();
      co_return;
    }
    auto got = co_await s.value().async_read_some(asio::buffer(room));
    if (!got) {
      how = got.error();
      co_return;
    }
    fast = s.value().path() == fairway::path::shared_memory;
  }
}

// Copies one way until the end, as a relay between networks does.
coroutine<void> copy(fairway::stream& from, fairway::stream& to) {
  std::array<char, 1024> room;
  for (;;) {
    auto got = co_await from.async_read_some(asio::buffer(room));
    if (!got) break;
    if (!co_await fairway::async_write(to, asio::buffer(room, got.value()))) break;
  }
}

}  // namespace

TEST_CASE("a peer that is killed at any moment is the end within a second, and nothing is left") {
  completion_port port;
  auto l = listen_fast(port);
  const endpoint at = l.local_endpoint().value();
  seeded random{3};
  std::size_t descriptors = 0;
  unsigned fast = 0;
  for (int round = 0; round < kill_rounds(); ++round) {
    const pid_t child = start_child([&] { chatter(at); });
    auto s = accept(port, l);
    error_code how;
    std::size_t bytes = 0;
    bool ended = false;
    asio::co_spawn(port, round % 2 == 0 ? echo(s, how, bytes) : echo_views(s, how, bytes),
                   [&](std::exception_ptr) { ended = true; });
    const auto until = std::chrono::microseconds{random.below(6000)};
    port.restart();
    port.run_for(until);
    if (s.path() == fairway::path::shared_memory) ++fast;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const auto killed = std::chrono::steady_clock::now();
    pump(port, [&] { return ended; });
    CHECK(std::chrono::steady_clock::now() - killed < 1s);
    const bool expected = how == condition::eof || how == condition::reset;
    CHECK_MESSAGE(expected, how.message());
    s.close();
    drain(port);
    port.restart();
    port.run_for(1ms);
    if (round == 5) descriptors = open_descriptors();
  }
  CHECK(fast > 0);  // how many is the machine's to say
  nothing_left(port, descriptors);
}

TEST_CASE("a server that is killed at any moment is the end within a second for its client") {
  completion_port port;
  seeded random{4};
  std::size_t descriptors = 0;
  unsigned fast_ones = 0;
  for (int round = 0; round < kill_rounds(); ++round) {
    const other_process server = start_echo_server();
    error_code how;
    bool fast = false;
    bool ended = false;
    asio::co_spawn(port, chat(port, server.at, how, fast),
                   [&](std::exception_ptr) { ended = true; });
    port.restart();
    port.run_for(std::chrono::microseconds{random.below(4000)});
    ::kill(server.process, SIGKILL);
    ::waitpid(server.process, nullptr, 0);
    const auto killed = std::chrono::steady_clock::now();
    pump(port, [&] { return ended; });
    CHECK(std::chrono::steady_clock::now() - killed < 1s);
    if (fast) {
      ++fast_ones;
      const bool expected = how == condition::eof || how == condition::reset ||
                            how == asio::error::broken_pipe;
      CHECK_MESSAGE(expected, how.message());
    }
    drain(port);
    port.restart();
    port.run_for(1ms);
    if (round == 5) descriptors = open_descriptors();
  }
  CHECK(fast_ones > 0);  // how many is the machine's to say
  nothing_left(port, descriptors);
}

TEST_CASE("a listener of the same endpoint in another network is neither found nor in the way") {
  completion_port port;
  auto plain = listen(port, endpoint::loopback_v4(0), {});
  auto fast = listen_fast(port);
  int ready[2];
  int end[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(end) == 0);
  const pid_t child = start_child([&] {
    ::close(end[1]);
    if (!enter_own_network()) ::_exit(77);
    completion_port own;
    const fairway::listen_options wanted{.loopback = loopback::shared_memory};
    auto a = fairway::listener::open(own, plain.local_endpoint().value(), wanted);
    auto b = fairway::listener::open(own, fast.local_endpoint().value(), wanted);
    if (!a || !b) ::_exit(1);
    accepted nobody;
    accepted no_one;
    a.value().async_accept(nobody.record());
    b.value().async_accept(no_one.record());
    char word = 'r';
    if (::write(ready[1], &word, 1) != 1) ::_exit(2);
    (void)!::read(end[0], &word, 1);
    own.run_for(20ms);
    ::_exit(nobody.done() || no_one.done() || fairway::loopback_memory() != 0 ? 3 : 0);
  });
  ::close(ready[1]);
  ::close(end[0]);
  char word = 0;
  const bool there = ::read(ready[0], &word, 1) == 1;
  if (there) {
    for (auto* l : {&plain, &fast}) {
      accepted made = dial_fast(port, l->local_endpoint().value());
      REQUIRE(!made.ec);
      auto a = accept(port, *l);
      say(port, made.value, "hello");
      CHECK(hear(port, a, 5) == "hello");
      say(port, a, "answer");
      CHECK(hear(port, made.value, 6) == "answer");
      if (l == &plain) {
        CHECK(made.value.path_reason() == fairway::path_reason::peer_did_not_ask);
      } else {
        CHECK(made.value.path() == fairway::path::shared_memory);
      }
    }
  }
  ::close(end[1]);
  ::close(ready[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    std::puts("SKIP: no network namespace may be made here");
    return;
  }
  CHECK(there);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a relay between two ends that asked leaves both of them TCP, and every byte in place") {
  completion_port port;
  auto l = listen_fast(port);
  auto between = listen(port, endpoint::loopback_v4(0), {});
  accepted made = dial_fast(port, between.local_endpoint().value());
  auto relayed = accept(port, between);
  accepted onward;
  fairway::connector plain{port, {}};
  plain.async_connect(l.local_endpoint().value(), onward.record());
  auto a = accept(port, l);
  pump(port, [&] { return onward.done(); });
  REQUIRE(!made.ec);
  REQUIRE(!onward.ec);
  asio::co_spawn(port, copy(relayed, onward.value), asio::detached);
  asio::co_spawn(port, copy(onward.value, relayed), asio::detached);
  for (int i = 0; i < 3; ++i) {
    say(port, made.value, "hello");
    CHECK(hear(port, a, 5) == "hello");
    say(port, a, "answer");
    CHECK(hear(port, made.value, 6) == "answer");
  }
  CHECK(made.value.path_reason() == fairway::path_reason::peer_did_not_ask);
  CHECK(a.path_reason() == fairway::path_reason::peer_did_not_ask);
  relayed.close();
  onward.value.close();
  drain(port);
}

TEST_CASE("a peer that scribbles over the segment costs its connections and nothing else") {
  completion_port port;
  auto l = listen_fast(port);
  const endpoint at = l.local_endpoint().value();
  for (unsigned round = 0; round < 12; ++round) {
    const pid_t child = start_child([&] {
      completion_port own;
      std::vector<fairway::stream> streams;
      fairway::connector dial{own, {.loopback = loopback::shared_memory}};
      for (int i = 0; i < 4; ++i) {
        accepted made;
        dial.async_connect(at, made.record());
        while (!made.done()) {
          own.restart();
          own.run_one_for(10ms);
        }
        if (made.ec) ::_exit(1);
        streams.push_back(std::move(made.value));
      }
      seeded random{round + 100};
      const auto arenas = arenas_here();
      if (arenas.empty()) ::_exit(2);
      const std::uint64_t bad[] = {0, 1, 2, 3, 65536, 65537, ~std::uint64_t{0},
                                   std::uint64_t{1} << 63};
      std::array<char, 64> room{};
      for (int i = 0; i < 60'000; ++i) {
        const auto& [base, bytes] = arenas[random.below(arenas.size())];
        const std::size_t words = 24'576 / sizeof *base;  // the headers
        base[random.below(words)] = bad[random.below(std::size(bad))];
        if (i % 64 == 0) {
          own.restart();
          streams[random.below(4)].async_write_some(asio::buffer(room), asio::detached);
          own.poll();
        }
      }
    });
    std::vector<fairway::stream> accepted_here;
    unsigned ended = 0;
    error_code how[4];
    std::size_t bytes[4] = {};
    for (int i = 0; i < 4; ++i) accepted_here.push_back(accept(port, l));
    for (std::size_t i = 0; i < 4; ++i) {
      const auto serve = i % 2 == 0 ? &echo : &echo_views;
      asio::co_spawn(port, serve(accepted_here[i], how[i], bytes[i]),
                     [&](std::exception_ptr) { ++ended; });
    }
    int status = 1;
    pump(port, [&] { return ::waitpid(child, &status, WNOHANG) == child; });
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    pump(port, [&] { return ended == 4; });
  }
  // The listener serves others as before.
  auto dialled = dialled_fast(port, at);
  auto s = accept(port, l);
  take_part(port, s);
}
