// Writes of coroutines that the kernel takes at once: where an engine asks the kernel directly they
// need no turn of the port. What they move, how they end, and that others come to their turn.

#include "support/net.hpp"
#include "support/transfer.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <functional>
#include <string>

using namespace support;
using fairway::completion_port;
using fairway::condition;

namespace {

coroutine<void> write_numbers(fairway::stream& to, int count, bool whole) {
  for (int i = 0; i < count; ++i) {
    const auto text = std::to_string(100'000 + i);
    std::size_t put = 0;
    if (whole) {
      put = (co_await fairway::async_write(to, asio::buffer(text))).value();
    } else {
      put = (co_await to.async_write_some(asio::buffer(text))).value();
    }
    CHECK(put == text.size());
  }
}

coroutine<void> read_numbers(fairway::stream& from, int count) {
  std::string all(static_cast<std::size_t>(count) * 6, '\0');
  CHECK((co_await fairway::async_read(from, asio::buffer(all))).value() == all.size());
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i) * 6;
    CHECK(std::string_view(all).substr(at, 6) == std::to_string(100'000 + i));
  }
}

}  // namespace

TEST_CASE("what the kernel takes is written, on epoll without a turn of the port") {
  completion_port port;
  auto [a, b] = connect_pair(port);
  for (const bool whole : {true, false}) {
    CAPTURE(whole);
    const auto before = port.statistics();
    run(port, write_numbers(b, 1000, whole));
    const auto after = port.statistics();
    CHECK(after.operations_in_flight == before.operations_in_flight);
    CHECK(after.completions - before.completions >= 1000);
    if (port.engine() == fairway::engine_kind::epoll) {
      CHECK(after.handlers_run - before.handlers_run < 100);
      const bool over_tcp = b.path() == fairway::path::tcp;
      CHECK((!over_tcp || after.kernel_entries - before.kernel_entries >= 1000));
    }
    run(port, read_numbers(a, 1000));
  }
}

TEST_CASE("a write of which the kernel takes a part at once is written whole") {
  completion_port port;
  auto [a, b] = connect_pair(port);
  transfer_whole(port, b, a, 8 * 1024 * 1024);
}

TEST_CASE("a coroutine that writes to a peer that is gone gets the error, once it is known") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.reset();
  error_code ended;
  run(port, [](fairway::stream& to, error_code& with) -> coroutine<void> {
    // The first writes may go before the reset has come.
    for (;;) {
      const auto put = co_await fairway::async_write(to, asio::buffer("text", 4));
      if (put) continue;
      with = put.error();
      co_return;
    }
  }(stream, ended));
  CHECK(ended == condition::reset);
}

TEST_CASE("others come to their turn beside a coroutine whose writes never wait") {
  completion_port port;
  auto [a, b] = connect_pair(port);
  bool due = false;
  bool end = false;
  int turns = 0;
  int steps = 0;
  int ended = 0;
  fairway::timer soon{port};
  soon.expires_after(std::chrono::milliseconds{1});
  soon.async_wait([&](error_code) { due = true; });
  fairway::spawn(port, [&]() -> fairway::task<> {
    while (!end) {
      const auto put = co_await fairway::async_write(b, asio::buffer("x", 1));
      if (!put) break;
      ++steps;
    }
    b.close();
    ++ended;
  });
  fairway::spawn(port, [&]() -> fairway::task<> {
    std::string room(64 * 1024, '\0');
    while (auto got = co_await a.async_read_some(asio::buffer(room))) {
    }
    ++ended;
  });
  std::function<void()> again = [&] {
    ++turns;
    if (!(end = due && turns > 20)) asio::post(port, [&] { again(); });
  };
  again();
  pump(port, [&] { return ended == 2; });
  CHECK(due);
  CHECK(steps < 40 * turns + 40);
}

TEST_CASE("a coroutine's write beside one in flight is refused, and the first one goes on") {
  completion_port port;
  auto [a, b] = connect_pair(port);
  const std::string large(16 * 1024 * 1024, 'x');
  outcome first;
  asio::async_write(b, asio::buffer(large), first.record());
  run(port, [](fairway::stream& to) -> coroutine<void> {
    CHECK((co_await to.async_write_some(asio::buffer("y", 1))).error() ==
          asio::error::in_progress);
  }(b));
  std::string got(large.size(), '\0');
  outcome read;
  asio::async_read(a, asio::buffer(got), read.record());
  pump(port, [&] { return first.done() && read.done(); });
  CHECK(first.bytes == large.size());
  CHECK(got == large);
}
