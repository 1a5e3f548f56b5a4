// Small transfers of coroutines over shared memory, which need no operation while there is room or
// something to read: what they move, what still takes an operation, and that others come to their
// turn.

#include "support/shared_memory.hpp"
#include "support/transfer.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::endpoint;

namespace {

// Both ends on one port, both on shared memory.
stream_pair pair_at_once(completion_port& port, std::size_t ring_bytes = 64 * 1024) {
  auto [a, c] = connect_fast(port, port, {.loopback_ring_bytes = ring_bytes});
  stream_pair both{std::move(a), std::move(c)};
  take_part(port, both.a);
  say(port, both.b, "switch");
  CHECK(hear(port, both.a, 6) == "switch");
  say(port, both.a, "switch");
  CHECK(hear(port, both.b, 6) == "switch");
  return both;
}

coroutine<void> write_many(fairway::stream& to, int count) {
  for (int i = 0; i < count; ++i) {
    const auto text = std::to_string(100'000 + i);
    const auto put = co_await fairway::async_write(to, asio::buffer(text));
    CHECK(put.value() == text.size());
  }
}

coroutine<void> read_many(fairway::stream& from, int count, bool whole, int first = 0) {
  std::array<char, 6> room{};
  for (int i = 0; i < count; ++i) {
    std::size_t got = 0;
    if (whole) {
      got = (co_await fairway::async_read(from, asio::buffer(room))).value();
    } else {
      while (got < room.size()) {
        got += (co_await from.async_read_some(asio::buffer(room) + got)).value();
      }
    }
    CHECK(std::string(room.data(), got) == std::to_string(100'000 + first + i));
  }
}

}  // namespace

TEST_CASE("what fits is written, and what is there is read, without a turn of the port") {
  completion_port port;
  auto [a, b] = pair_at_once(port);
  const auto before = port.statistics();
  run(port, write_many(b, 1000));
  run(port, read_many(a, 500, true));
  run(port, read_many(a, 500, false, 500));
  const auto after = port.statistics();
  CHECK(after.inline_completions - before.inline_completions >= 2000);
  CHECK(after.operations_in_flight == before.operations_in_flight);
  CHECK(after.handlers_run - before.handlers_run < 200);
}

TEST_CASE("what does not fit, is large or is not there yet takes an operation, and loses nothing") {
  completion_port port;
  auto [a, b] = pair_at_once(port, 4096);
  int ended = 0;
  for (const bool whole : {true, false}) {
    fairway::spawn(port, write_many(b, 5000), [&](std::exception_ptr) { ++ended; });
    fairway::spawn(port, read_many(a, 5000, whole), [&](std::exception_ptr) { ++ended; });
    pump(port, [&] { return ended == 2; });
    ended = 0;
  }
  transfer_whole(port, b, a, 100'000);
}

TEST_CASE("a list of more pieces than an operation takes is written and read whole") {
  completion_port port;
  auto [a, b] = pair_at_once(port);
  std::string text;
  for (int i = 0; i < 200; ++i) text += static_cast<char>('a' + i % 26);
  std::string got(text.size(), '\0');
  std::vector<asio::const_buffer> from;
  std::vector<asio::mutable_buffer> into;
  for (std::size_t i = 0; i < text.size(); ++i) {
    from.push_back(asio::buffer(text.data() + i, 1));
    into.push_back(asio::buffer(got.data() + i, 1));
  }
  using sources = std::vector<asio::const_buffer>;
  using targets = std::vector<asio::mutable_buffer>;
  run(port, [](fairway::stream& to, const sources& pieces) -> coroutine<void> {
    CHECK((co_await fairway::async_write(to, pieces)).value() == 200);
    CHECK((co_await fairway::async_write(to, asio::const_buffer{})).value() == 0);
  }(b, from));
  run(port, [](fairway::stream& other, const targets& pieces) -> coroutine<void> {
    CHECK((co_await fairway::async_read(other, pieces)).value() == 200);
  }(a, into));
  CHECK(got == text);
}

TEST_CASE("others come to their turn beside a coroutine that never has to wait") {
  completion_port port;
  auto [a, b] = pair_at_once(port);
  bool end = false;
  int turns = 0;
  int steps = 0;
  int ended = 0;
  fairway::timer soon{port};
  soon.expires_after(std::chrono::milliseconds{1});
  bool due = false;
  soon.async_wait([&](error_code) { due = true; });
  auto greedy = [&](fairway::stream& from, fairway::stream& to) -> fairway::task<> {
    char byte = 'x';
    while (!end) {
      const auto put = co_await fairway::async_write(to, asio::buffer(&byte, 1));
      const auto got = co_await from.async_read_some(asio::buffer(&byte, 1));
      if (!put || !got) break;
      ++steps;
    }
    ++ended;
  };
  std::function<void()> again = [&] {
    ++turns;
    if (!(end = due && turns > 20)) asio::post(port, [&] { again(); });
  };
  again();
  fairway::spawn(port, greedy(a, b));
  pump(port, [&] { return ended == 1; });
  CHECK(due);
  CHECK(steps > turns);       // it went on by itself
  CHECK(steps < 40 * turns);  // and not for long
}

TEST_CASE("a second operation on a side is refused, and the first one goes on") {
  completion_port port;
  auto [a, b] = pair_at_once(port);
  std::array<char, 4> room{};
  outcome first;
  a.async_read_some(asio::buffer(room), first.record());
  run(port, [](fairway::stream& from) -> coroutine<void> {
    char byte = 0;
    const auto second = co_await from.async_read_some(asio::buffer(&byte, 1));
    CHECK(second.error() == asio::error::in_progress);
  }(a));
  say(port, b, "text");
  pump(port, [&] { return first.done(); });
  CHECK(first.bytes == 4);
}

TEST_CASE("the end of the stream comes after what was written, to coroutines as well") {
  completion_port port;
  auto [a, b] = pair_at_once(port);
  run(port, [](fairway::stream& from, fairway::stream& to) -> coroutine<void> {
    CHECK((co_await fairway::async_write(to, asio::buffer("last", 4))).value() == 4);
    CHECK(to.shutdown(fairway::shutdown_kind::send));
    CHECK((co_await fairway::async_write(to, asio::buffer("more", 4))).error() ==
          asio::error::broken_pipe);
    std::array<char, 8> room{};
    CHECK((co_await from.async_read_some(asio::buffer(room))).value() == 4);
    CHECK((co_await from.async_read_some(asio::buffer(room))).error() == condition::eof);
    to.close();
    CHECK((co_await fairway::async_write(to, asio::buffer("x", 1))).error() ==
          asio::error::bad_descriptor);
  }(a, b));
}

TEST_CASE("a cancelled coroutine starts nothing more, also nothing that would end at once") {
  completion_port port;
  auto [a, b] = pair_at_once(port);
  asio::cancellation_signal stop;
  bool threw = false;
  bool ended = false;
  fairway::spawn(
      port,
      [](fairway::stream& to, asio::cancellation_signal& by, bool& thrown) -> fairway::task<> {
        co_await asio::post(to.get_executor(), fairway::use_task);
        by.emit(asio::cancellation_type::terminal);
        try {
          (void)co_await fairway::async_write(to, asio::buffer("x", 1));
        } catch (const boost::system::system_error& e) {
          thrown = e.code() == asio::error::operation_aborted;
        }
      }(b, stop, threw),
      asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr) { ended = true; }));
  pump(port, [&] { return ended; });
  CHECK(threw);
  say(port, b, "next");
  CHECK(hear(port, a, 4) == "next");
}

TEST_CASE("readers of small messages that answer nothing get all of them") {
  completion_port one;
  completion_port two;
  auto l = listen(one, endpoint::loopback_v4(0), {.loopback = fairway::loopback::shared_memory});
  std::thread writer{[&, at = l.local_endpoint().value()] {
    fairway::connector dial{two, {.loopback = fairway::loopback::shared_memory}};
    run(two, [](fairway::connector& by, endpoint to) -> coroutine<void> {
      auto s = (co_await by.async_connect(to)).value();
      co_await write_many(s, 20'000);
    }(dial, at));
  }};
  auto a = accept(one, l);
  run(one, read_many(a, 20'000, false));
  char byte = 0;
  run(one, [](fairway::stream& from, char& into) -> coroutine<void> {
    CHECK((co_await from.async_read_some(asio::buffer(&into, 1))).error() == condition::eof);
  }(a, byte));
  writer.join();
}
