// What the tests of the net layer share: a pump with a guard, connected pairs, recorded outcomes.
#pragma once

#include "support/fast_peer.hpp"
#include "support/limits.hpp"
#include "support/net_peer.hpp"

#include <fairway/fairway.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace support {

namespace asio = boost::asio;
using boost::system::error_code;
using namespace std::chrono_literals;

// Far more than any case needs; a case that takes longer hangs and fails.
inline constexpr auto patience = guard_time;

// Runs `port` by hand until `done()`.
template <class Done>
void pump(fairway::completion_port& port, Done&& done) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (port.stopped()) port.restart();
    // The short wait is for what `done` looks at outside the port.
    if (port.run_one_for(2ms) == 0) std::this_thread::yield();
    if (std::chrono::steady_clock::now() > limit) FAIL("hangs: what it waits for never comes");
  }
}

// Runs what is ready, and what that makes ready.
inline void drain(fairway::completion_port& port) {
  do {
    if (port.stopped()) port.restart();
  } while (port.poll() != 0);
}

template <class T>
using coroutine = asio::awaitable<T, fairway::port_executor>;

// Runs a coroutine on `port` to its end; rethrows what left it.
inline void run(fairway::completion_port& port, coroutine<void> what) {
  bool done = false;
  std::exception_ptr thrown;
  asio::co_spawn(port, std::move(what), [&](std::exception_ptr e) {
    thrown = e;
    done = true;
  });
  pump(port, [&] { return done; });
  if (thrown) std::rethrow_exception(thrown);
}

// What a handler was called with, and how often.
struct outcome {
  int calls = 0;
  error_code ec;
  std::size_t bytes = 0;

  auto record() {
    return [this](error_code e, std::size_t n) {
      ++calls;
      ec = e;
      bytes = n;
    };
  }
  auto record_error() {
    return [this](error_code e) {
      ++calls;
      ec = e;
    };
  }
  bool done() const noexcept { return calls != 0; }
};

template <class T>
struct delivered {
  int calls = 0;
  error_code ec;
  T value;

  auto record() {
    return [this](error_code e, T v) {
      ++calls;
      ec = e;
      value = std::move(v);
    };
  }
  bool done() const noexcept { return calls != 0; }
};
using accepted = delivered<fairway::stream>;
using received_bytes = delivered<fairway::received>;

inline std::string text_of(const fairway::received& r) {
  return {reinterpret_cast<const char*>(r.data()), r.size()};
}

// One loopback endpoint a family that this machine has.
inline std::vector<fairway::endpoint> loopback_endpoints() {
  std::vector<fairway::endpoint> all{fairway::endpoint::loopback_v4(0)};
  if (has_ipv6()) all.push_back(fairway::endpoint::loopback_v6(0));
#if defined(__linux__)
  static std::atomic<unsigned> count{0};
  const auto unique = std::chrono::steady_clock::now().time_since_epoch().count();
  all.push_back(fairway::endpoint::local("@fairway-test-" + std::to_string(unique) + "-" +
                                         std::to_string(count++))
                    .value());
#else
  std::puts("SKIP: no unix-domain endpoints on this system");
#endif
  return all;
}

inline fairway::listener listen(fairway::completion_port& port,
                                const fairway::endpoint& local = fairway::endpoint::loopback_v4(0),
                                const fairway::listen_options& options = {}) {
  return fairway::listener::open(port, local, options).value();
}

inline fairway::stream accept(fairway::completion_port& port, fairway::listener& l) {
  accepted got;
  l.async_accept(got.record());
  pump(port, [&] { return got.done(); });
  REQUIRE_MESSAGE(!got.ec, got.ec.message());
  return std::move(got.value);
}

// An accepted stream takes its place on the fast path with its first operation.
inline void take_part(fairway::completion_port& port, fairway::stream& accepted_stream) {
  outcome ready;
  accepted_stream.async_wait(fairway::wait_kind::write, ready.record_error());
  pump(port, [&] { return ready.done(); });
  REQUIRE_MESSAGE(accepted_stream.path() == fairway::path::shared_memory,
                  to_string(accepted_stream.path_reason()));
}

// A stream of Fairway's and a plain socket at its other end (over_shared_memory: not plain).
// Writes all of a text.
inline void say(fairway::completion_port& port, fairway::stream& to, std::string_view text) {
  outcome put;
  asio::async_write(to, asio::buffer(text), put.record());
  pump(port, [&] { return put.done(); });
  REQUIRE_MESSAGE(!put.ec, put.ec.message());
}

// Reads so many bytes.
inline std::string hear(fairway::completion_port& port, fairway::stream& from, std::size_t size) {
  std::string got(size, '\0');
  outcome all;
  asio::async_read(from, asio::buffer(got), all.record());
  pump(port, [&] { return all.done(); });
  REQUIRE_MESSAGE(!all.ec, all.ec.message());
  return got;
}

struct half_pair {
  fairway::stream stream;
  raw_peer peer;
};
inline half_pair connect_peer(
    fairway::completion_port& port,
    const fairway::endpoint& local = fairway::endpoint::loopback_v4(0)) {
  if (over_shared_memory() && local.is_ip()) {
    auto l = listen(port, local, {.loopback = fairway::loopback::shared_memory});
    raw_peer peer = raw_peer::connect_fast(l.local_endpoint().value());
    half_pair made{accept(port, l), std::move(peer)};
    take_part(port, made.stream);
    return made;
  }
  auto l = listen(port, local);
  raw_peer peer = raw_peer::connect(l.local_endpoint().value());
  return {accept(port, l), std::move(peer)};
}

// Two streams, both of Fairway's.
struct stream_pair {
  fairway::stream a;
  fairway::stream b;
};
inline stream_pair connect_pair(
    fairway::completion_port& port_a, fairway::completion_port& port_b,
    const fairway::endpoint& local = fairway::endpoint::loopback_v4(0)) {
  if (over_shared_memory() && local.is_ip()) {
    auto l = listen(port_a, local, {.loopback = fairway::loopback::shared_memory});
    fairway::connector dial{port_b, {.loopback = fairway::loopback::shared_memory}};
    accepted made;
    dial.async_connect(l.local_endpoint().value(), made.record());
    pump(port_b, [&] { return made.done(); });
    REQUIRE(!made.ec);
    stream_pair both{accept(port_a, l), std::move(made.value)};
    take_part(port_a, both.a);
    return both;
  }
  auto half = connect_peer(port_a, local);
  return {std::move(half.stream),
          fairway::stream::adopt(port_b, half.peer.release()).value()};
}
inline stream_pair connect_pair(
    fairway::completion_port& port,
    const fairway::endpoint& local = fairway::endpoint::loopback_v4(0)) {
  return connect_pair(port, port, local);
}

// Reads at the peer until `size` bytes have arrived in all.
inline std::string read_exactly(fairway::completion_port& port, raw_peer& peer, std::size_t size) {
  std::string got;
  pump(port, [&] {
    while (got.size() < size && peer.read(got) == raw_peer::event::bytes) {}
    return got.size() >= size;
  });
  return got;
}

// Reads at the peer until the stream ends in one way or the other.
inline raw_peer::event read_to_end(fairway::completion_port& port, raw_peer& peer,
                                   std::string& got) {
  raw_peer::event last = raw_peer::event::nothing;
  pump(port, [&] {
    do {
      last = peer.read(got);
    } while (last == raw_peer::event::bytes);
    return last != raw_peer::event::nothing;
  });
  return last;
}

// Random numbers that a failure can be repeated with: FAIRWAY_SEED, else a fixed one a case.
class seeded {
 public:
  explicit seeded(std::uint64_t usual) : seed_{usual} {
    if (const char* text = std::getenv("FAIRWAY_SEED")) seed_ = std::strtoull(text, nullptr, 10);
    engine_.seed(seed_);
  }
  std::uint64_t seed() const noexcept { return seed_; }
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(engine_() % limit); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  std::string bytes(std::size_t size) {
    std::string made(size, '\0');
    for (char& c : made) c = static_cast<char>(engine_());
    return made;
  }

 private:
  std::uint64_t seed_;
  std::mt19937_64 engine_;
};

}  // namespace support
