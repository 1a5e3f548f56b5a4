// Calls of a coroutine that framed answers from what it has: they go on at once, in order, within
// a budget, and tell what goes wrong; every other handler comes through the port's queue.

#include "protocol/support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <algorithm>
#include <string>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::framed;
using fairway::length_prefix_codec;
using fairway::line_codec;

namespace {

// The most steps that a handler goes on by itself, and some more.
constexpr std::size_t steps_enough = 40;

std::string numbered(std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += std::to_string(i) + "\n";
  return all;
}

// Runs `port` a handler at a time until `count` is `end`; the most that it grew in one of them.
std::size_t most_in_a_handler(completion_port& port, const std::size_t& count, std::size_t end) {
  std::size_t most = 0;
  while (count != end) {
    const std::size_t before = count;
    REQUIRE(port.run_one_for(patience) == 1);
    most = std::max(most, count - before);
  }
  return most;
}

}  // namespace

TEST_CASE("messages that have arrived are read by a coroutine without a turn each, in order") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  write_peer(port, peer, numbered(1000));
  std::size_t read = 0;
  bool ended = false;
  fairway::spawn(port, [&r = reader, &read, &ended]() -> fairway::task<> {
    for (;;) {
      auto got = co_await r.async_read();
      if (!got) break;
      CHECK(got.value() == std::to_string(read));
      ++read;
    }
    ended = true;
  });
  const auto before = port.statistics().handlers_run;
  pump(port, [&] { return read == 1000; });
  CHECK(port.statistics().handlers_run - before < 1000 / 4);
  peer.close();
  pump(port, [&] { return ended; });
}

TEST_CASE("others come to their turn beside a coroutine that finds every message there") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  write_peer(port, peer, numbered(5000));
  std::size_t read = 0;
  fairway::spawn(port, [&r = reader, &read]() -> fairway::task<> {
    while (read != 5000) {
      auto got = co_await r.async_read();
      REQUIRE(got);
      ++read;
    }
  });
  const std::size_t most = most_in_a_handler(port, read, 5000);
  CHECK(most > 1);
  CHECK(most <= steps_enough);
}

TEST_CASE("writes that find room do not starve others either, and arrive in order") {
  completion_port port;
  auto [writer, peer] = connect_lines(port, {.capacity = 1 << 20});
  std::size_t wrote = 0;
  fairway::spawn(port, [&w = writer, &wrote]() -> fairway::task<> {
    while (wrote != 2000) {
      auto put = co_await w.async_write(std::to_string(wrote));
      REQUIRE(put);
      ++wrote;
    }
    CHECK(co_await w.async_flush());
  });
  const std::size_t most = most_in_a_handler(port, wrote, 2000);
  CHECK(most > 1);
  CHECK(most <= steps_enough);
  CHECK(read_peer(port, peer) == numbered(2000));
}

TEST_CASE("a handler is never called inside the call, also when its message is there") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  write_peer(port, peer, "one\ntwo\nthree\n");
  line first, second;
  ending wrote, flushed;
  bool looked = false;
  reader.async_read(first.record());
  pump(port, [&] { return first.done(); });
  asio::post(port, [&] {
    reader.async_read(second.record());
    reader.async_write("x", wrote.record());
    reader.async_flush(flushed.record());
    CHECK(!second.done());
    CHECK(!wrote.done());
    CHECK(!flushed.done());
    looked = true;
  });
  pump(port, [&] { return looked && second.done() && wrote.done() && flushed.done(); });
  CHECK(second.value == "two");
}

TEST_CASE("a read that is made and never awaited takes no message") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  write_peer(port, peer, "one\ntwo\nthree\n");
  bool ended = false;
  fairway::spawn(port, [&r = reader, &ended]() -> fairway::task<> {
    auto one = co_await r.async_read();
    CHECK(one.value() == "one");
    { auto dropped = r.async_read(); }
    auto late = r.async_read();
    auto two = co_await r.async_read();
    CHECK(two.value() == "two");
    auto three = co_await std::move(late);
    CHECK(three.value() == "three");
    ended = true;
  });
  pump(port, [&] { return ended; });
}

TEST_CASE("a coroutine gets the end, and errors of the codec, behind the messages before") {
  completion_port port;
  auto [reader, peer] = connect_lines(port, {}, {}, 8);
  write_peer(port, peer, "one\ntwo\nmuch too long\n");
  error_code ended;
  int read = 0;
  fairway::spawn(port, [&r = reader, &ended, &read]() -> fairway::task<> {
    for (;;) {
      auto got = co_await r.async_read();
      if (!got) {
        ended = got.error();
        break;
      }
      ++read;
    }
    auto again = co_await r.async_read();
    CHECK(again.error() == ended);
    r.close();
    auto closed = co_await r.async_read();
    CHECK(closed.error() == asio::error::bad_descriptor);
    auto put = co_await r.async_write("x");
    CHECK(put.error() == asio::error::bad_descriptor);
    ++read;
  });
  pump(port, [&] { return read == 3; });
  CHECK(ended == fairway::error::frame_too_large);
}

TEST_CASE("a coroutine's write that lends goes on from where it looked, and its bytes leave once") {
  completion_port port;
  auto [a, b] = memory_stream::pair(port, {.capacity = 1000});
  framed writer{std::move(a), length_prefix_codec<>{}};
  const std::string big(50'000, 'b');
  int wrote = 0;
  fairway::spawn(port, [&]() -> fairway::task<> {
    for (int i = 0; i < 3; ++i) {
      auto lent = co_await writer.async_write(big);
      CHECK(lent);
      CHECK(writer.queued_bytes() == 0);
      auto copied = co_await writer.async_write(std::string(100, 'c'));
      CHECK(copied);
      ++wrote;
    }
    CHECK(co_await writer.async_flush());
    ++wrote;
  });
  const std::string got = read_peer(port, b);
  pump(port, [&] { return wrote == 4; });
  CHECK(got.size() == 3 * (50'004 + 104));
}

TEST_CASE("a coroutine's write of a range waits for room in the middle and goes on") {
  completion_port port;
  auto [writer, peer] =
      connect_lines(port, {.capacity = 100},
                    {.write_high_bytes = 64, .write_low_bytes = 32, .gather_bytes = 16});
  std::vector<std::string> all;
  for (int i = 0; i < 100; ++i) all.push_back(std::to_string(i));
  bool done = false;
  fairway::spawn(port, [&, &w = writer]() -> fairway::task<> {
    auto put = co_await w.async_write_all(all);
    CHECK(put);
    auto left = co_await w.async_flush();
    CHECK(left);
    CHECK(w.queued_bytes() == 0);
    done = true;
  });
  CHECK(read_peer(port, peer) == numbered(100));
  CHECK(done);
}

TEST_CASE("a cancelled coroutine's call that would go on at once takes no message") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  write_peer(port, peer, "one\ntwo\n");
  asio::cancellation_signal cancel;
  bool ended = false;
  asio::co_spawn(
      port,
      [&r = reader, &cancel]() -> fairway::task<> {
        auto one = co_await r.async_read();
        CHECK(one.value() == "one");
        cancel.emit(asio::cancellation_type::terminal);
        auto two = co_await r.async_read();
        FAIL("goes on: ", two.has_value());
      },
      asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr failure) {
        ended = true;
        CHECK(failure != nullptr);
      }));
  pump(port, [&] { return ended; });
  const auto left = reader.try_read();
  CHECK(left.value().value() == "two");
}

namespace {

// A peer that has gone with a reset, of which the stream knows.
struct gone_peer {
  explicit gone_peer(completion_port& port) : half{connect_peer(port)} {
    ending known;
    half.peer.reset();
    half.stream.async_wait(fairway::wait_kind::read, known.record());
    pump(port, [&] { return known.done(); });
  }
  half_pair half;
};

}  // namespace

TEST_CASE("a small answer that cannot be sent is told by the flush behind it, and ever after") {
  completion_port port;
  gone_peer gone{port};
  framed lines{std::move(gone.half.stream), line_codec<>{}};
  bool ended = false;
  fairway::spawn(port, [&]() -> fairway::task<> {
    CHECK(co_await lines.async_write("answer"));
    const auto left = co_await lines.async_flush();
    CHECK(left.error() == condition::reset);
    const auto again = co_await lines.async_write("more");
    CHECK(again.error() == left.error());
    const auto flushed = co_await lines.async_flush();
    CHECK(flushed.error() == left.error());
    CHECK(lines.try_write("more").error() == left.error());
    CHECK(lines.queued_bytes() == 0);
    CHECK(lines.is_open());
    ended = true;
  });
  pump(port, [&] { return ended; });
}

TEST_CASE("a small answer that the next read cannot send ends reading, and is told by a flush") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  framed lines{std::move(stream), line_codec<>{}};
  bool asked = false;
  bool go_on = false;
  bool ended = false;
  peer.write("ask\n");
  fairway::timer pause{port};
  pause.expires_after(std::chrono::hours{1});
  fairway::spawn(port, [&]() -> fairway::task<> {
    const auto first = co_await lines.async_read();
    CHECK(first.value() == "ask");
    asked = true;
    (void)co_await pause.async_wait();
    CHECK(go_on);
    CHECK(lines.try_write("answer"));
    const auto next = co_await lines.async_read();
    REQUIRE(!next);
    CHECK((next.error() == condition::reset || next.error() == condition::eof));
    // The send may have been on its way when the read ended, but it is known by the end of this.
    const auto left = co_await lines.async_flush();
    CHECK(left.error() == condition::reset);
    const auto again = co_await lines.async_write("more");
    CHECK(again.error() == left.error());
    CHECK(lines.queued_bytes() == 0);
    ended = true;
  });
  pump(port, [&] { return asked; });
  peer.reset();
  ending known;
  lines.stream().async_wait(fairway::wait_kind::read, known.record());
  pump(port, [&] { return known.done(); });
  go_on = true;
  pause.cancel();
  pump(port, [&] { return ended; });
}
