// What an operation costs in memory: nothing, in the steady state.

#include "support/allocation_count.hpp"
#include "support/net.hpp"

#include "net/objects.hpp"

#include <array>

using namespace support;
using fairway::completion_port;
using fairway::stream;

namespace {

constexpr int warm_up = 100;
constexpr int requests = 2000;

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
      if (++answered < wanted) ask();
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
  asker a{pair.a};
  asio::co_spawn(port, echo(pair.b), asio::detached);
  a.wanted = warm_up;
  a.ask();
  pump(port, [&] { return a.answered == a.wanted; });
  // What a run function sets up for itself is not a request's: this is one run.
  a.answered = 0;
  a.wanted = requests;
  std::uint64_t made = ~std::uint64_t{0};
  asio::post(port, [&] {
    allocation_count count;
    a.ask();
    made = count.made();
  });
  allocation_count count;
  while (a.answered < a.wanted) port.run_one_for(patience);
  const auto total = count.made();
  CHECK(made == 0);
  // Entering the loop may cost a few; a request must not: far fewer than one in a hundred.
  CAPTURE(total);
  CAPTURE(port.statistics().handlers_run);
  CHECK(total < static_cast<std::uint64_t>(requests) / 100);
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

TEST_CASE("a stream's state, with room for a read and a write, fits its budget") {
  CHECK(sizeof(fairway::detail::stream_state) <= 768);
  CHECK(sizeof(stream) == sizeof(void*));
  CHECK(sizeof(fairway::listener) == sizeof(void*));
  CHECK(sizeof(fairway::datagram) == sizeof(void*));
}
