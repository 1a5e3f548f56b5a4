// What an operation costs in memory: nothing, in the steady state.

#include "support/allocation_count.hpp"
#include "support/limits.hpp"
#include "support/net.hpp"

#include "net/objects.hpp"

#include <array>

using namespace support;
using fairway::completion_port;
using fairway::stream;

namespace {

constexpr int warm_up = 100;
// Wine needs a millisecond a request, and many on a busy machine.
constexpr int requests = support::on_windows ? 500 : 2000;

using coroutine_of_size = coroutine<fairway::result<std::size_t>>;

coroutine_of_size read_in_child(stream& s, asio::mutable_buffer room) {
  co_return co_await s.async_read_some(asio::buffer(room));
}
coroutine_of_size write_in_child(stream& s, asio::const_buffer bytes) {
  co_return co_await s.async_write_some(asio::buffer(bytes));
}

coroutine<void> echo_direct(stream& s) {
  std::array<char, 64> room;
  while (auto got = co_await s.async_read_some(asio::buffer(room))) {
    if (!co_await s.async_write_some(asio::buffer(room, got.value()))) co_return;
  }
}

coroutine<void> echo_in_children(stream& s) {
  std::array<char, 64> room;
  while (auto got = co_await read_in_child(s, asio::buffer(room))) {
    if (!co_await write_in_child(s, asio::buffer(room, got.value()))) co_return;
  }
}

coroutine<void> echo_received(stream& s) {
  while (auto got = co_await s.async_receive()) {
    if (!co_await s.async_write_some(got.value().buffer())) co_return;
  }
}

coroutine<void> echo_composed(stream& s) {
  std::array<char, 64> room;
  for (;;) {
    auto got = co_await asio::async_read(s, asio::buffer(room),
                                         fairway::as_result(asio::deferred));
    if (!got) co_return;
    auto put = co_await asio::async_write(s, asio::buffer(room),
                                          fairway::as_result(asio::deferred));
    if (!put) co_return;
  }
}

// Asks by callbacks, in memory of its own.
struct asker {
  completion_port& port;
  stream& s;
  std::array<char, 64> out{};
  std::array<char, 64> in{};
  int answered = 0;
  int wanted = 0;

  void ask() {
    s.async_write_some(asio::buffer(out), [this](error_code ec, std::size_t n) {
      REQUIRE((!ec && n == out.size()));
    });
    s.async_read_some(asio::buffer(in), [this](error_code ec, std::size_t n) {
      REQUIRE((!ec && n == in.size()));
      if (++answered < wanted) {
        ask();
      } else {
        port.stop();
      }
    });
  }
};

template <class Echo>
void check_echo(Echo echo, fairway::timeouts limits = {}) {
  if (!allocation_count::available) {
    std::puts("SKIP: a sanitizer brings its own allocator");
    return;
  }
  completion_port port;
  auto pair = connect_pair(port);
  pair.b.set_timeouts(limits);
  asker a{port, pair.a};
  // A port that hangs stops itself, and the counts below tell.
  fairway::timer guard{port, patience};
  guard.async_wait([&](error_code ec) {
    if (!ec) port.stop();
  });
  const auto answer = [&](int wanted) {
    a.answered = 0;
    a.wanted = wanted;
    a.ask();
    port.restart();
    port.run();
    REQUIRE(a.answered == wanted);
  };
  asio::co_spawn(port, echo(pair.b), asio::detached);
  answer(warm_up);
  allocation_count count;
  answer(requests);
  // Entering `run` may cost a few; a request must not: far fewer than one in a hundred.
  CHECK(count.made() < requests / 100);
}

}  // namespace

TEST_CASE("an echo loop in a coroutine allocates nothing per request") { check_echo(echo_direct); }

TEST_CASE("an echo loop whose operations sit in child coroutines allocates nothing per request") {
  check_echo(echo_in_children);
}

TEST_CASE("an echo loop on the engine's buffers allocates nothing per request") {
  check_echo(echo_received);
}

TEST_CASE("an echo loop of composed operations allocates nothing per request") {
  check_echo(echo_composed);
}

TEST_CASE("a deadline on each operation allocates nothing") {
  check_echo(echo_direct, {.read = 1h, .write = 1h});
}

TEST_CASE("a typed control code in a coroutine allocates nothing") {
  if (!allocation_count::available) {
    std::puts("SKIP: a sanitizer brings its own allocator");
    return;
  }
  completion_port port;
  auto pair = connect_pair(port);
  bool over = false;
  std::uint64_t made = 0;
  auto ask = [&]() -> coroutine<void> {
    for (const int count : {warm_up, requests}) {
      allocation_count counted;
      for (int i = 0; i < count; ++i) {
        auto unread = co_await fairway::async_control(pair.a, fairway::bytes_readable{});
        REQUIRE(unread.has_value());
        auto set = co_await fairway::async_control(pair.a, fairway::keepalive{});
        REQUIRE(set.has_value());
        (void)co_await fairway::async_control(pair.a, fairway::tcp_information{});
      }
      made = counted.made();
    }
    over = true;
  };
  asio::co_spawn(port, ask(), asio::detached);
  while (!over) {
    if (port.stopped()) port.restart();
    port.run();
  }
  CHECK(made < requests / 100);
}

TEST_CASE("a stream's state, with room for a read and a write, fits its budget") {
  CHECK(sizeof(fairway::detail::stream_state) <= 768);
  CHECK(sizeof(stream) == sizeof(void*));
  CHECK(sizeof(fairway::listener) == sizeof(void*));
  CHECK(sizeof(fairway::datagram) == sizeof(void*));
  CHECK(sizeof(fairway::unconnected_socket) == sizeof(void*));
}
