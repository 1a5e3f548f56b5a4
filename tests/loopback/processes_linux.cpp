// Two processes: the other one dies at any moment, or writes nonsense into what both share.

#include "support/child.hpp"
#include "support/net.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <fstream>

#include "loopback/layout.hpp"

#include <csignal>
#include <dirent.h>
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

// The mappings of arenas in this process.
std::vector<std::pair<std::uint64_t*, std::size_t>> arenas_here() {
  std::vector<std::pair<std::uint64_t*, std::size_t>> found;
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:fairway-loopback") == std::string::npos) continue;
    char* after = nullptr;
    const auto from = std::strtoull(line.c_str(), &after, 16);
    const auto to = std::strtoull(after + 1, nullptr, 16);
    found.emplace_back(reinterpret_cast<std::uint64_t*>(from), to - from);
  }
  return found;
}

}  // namespace

TEST_CASE("a peer that is killed at any moment is the end within a second, and nothing is left") {
  completion_port port;
  auto l = listen(port, endpoint::loopback_v4(0), {.loopback = loopback::shared_memory});
  const endpoint at = l.local_endpoint().value();
  seeded random{3};
  std::size_t descriptors = 0;
  unsigned fast = 0;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = start_child([&] { chatter(at); });
    auto s = accept(port, l);
    error_code how;
    std::size_t bytes = 0;
    bool ended = false;
    asio::co_spawn(port, echo(s, how, bytes), [&](std::exception_ptr) { ended = true; });
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
  CHECK(fast > 10);
  CHECK(open_descriptors() <= descriptors + 2);
}

TEST_CASE("a peer that scribbles over the segment costs its connections and nothing else") {
  completion_port port;
  auto l = listen(port, endpoint::loopback_v4(0), {.loopback = loopback::shared_memory});
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
      asio::co_spawn(port, echo(accepted_here[i], how[i], bytes[i]),
                     [&](std::exception_ptr) { ++ended; });
    }
    int status = 1;
    pump(port, [&] { return ::waitpid(child, &status, WNOHANG) == child; });
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    pump(port, [&] { return ended == 4; });
  }
  // The listener serves others as before.
  fairway::connector dial{port, {.loopback = loopback::shared_memory}};
  accepted made;
  dial.async_connect(at, made.record());
  pump(port, [&] { return made.done(); });
  REQUIRE(!made.ec);
  auto s = accept(port, l);
  take_part(port, s);
}
