// Writing messages: gathering, marks, lending, flushes, failures and cancellation.

#include "protocol/support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <new>
#include <stdexcept>
#include <string_view>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::framed;
using fairway::length_prefix_codec;

TEST_CASE("messages that are written in one go leave in one write") {
  completion_port port;
  auto [writer, peer] = connect_lines(port);
  ending done[10];
  for (ending& each : done) {
    writer.async_write("x", each.record());
    CHECK(!each.done());
  }
  for (ending& each : done) pump(port, [&] { return each.done(); });
  drain(port);
  CHECK(writer.stream().writes() == 1);
  std::string expected;
  for (int i = 0; i < 10; ++i) expected += "x\n";
  CHECK(read_peer(port, peer) == expected);
}

TEST_CASE("answers to pipelined requests leave in one write") {
  completion_port port;
  auto [server, peer] = connect_lines(port);
  fairway::spawn(port, [&s = server]() -> fairway::task<> {
    while (auto got = co_await s.async_read()) {
      if (!co_await s.async_write(got.value())) break;
    }
  });
  std::string requests;
  for (int i = 0; i < 16; ++i) requests += "request " + std::to_string(i) + "\n";
  write_peer(port, peer, requests);
  CHECK(read_peer(port, peer) == requests);
  CHECK(server.stream().writes() == 1);
}

TEST_CASE("what gathers while a write is in flight leaves with the next one") {
  completion_port port;
  auto [writer, peer] = connect_lines(port, {.capacity = 4});
  ending first, flushed;
  writer.async_write("12345678", first.record());
  writer.async_flush(flushed.record());
  drain(port);
  CHECK(first.done());
  CHECK(!flushed.done());
  for (int i = 0; i < 5; ++i) CHECK(writer.try_write("abc"));
  CHECK(read_peer(port, peer) == "12345678\nabc\nabc\nabc\nabc\nabc\n");
  CHECK(flushed.done());
  CHECK(!flushed.ec);
}

TEST_CASE("past the high mark a write waits until the low mark") {
  completion_port port;
  auto [writer, peer] =
      connect_lines(port, {.capacity = 10},
                    {.write_high_bytes = 100, .write_low_bytes = 50, .gather_bytes = 20});
  const std::string forty(39, 'x');
  ending done[4];
  for (ending& each : done) writer.async_write(forty, each.record());
  drain(port);
  CHECK(done[2].done());
  CHECK(!done[3].done());
  CHECK(writer.queued_bytes() >= 100);
  CHECK(writer.try_write("x").error() == boost::asio::error::would_block);
  std::size_t read = 0;
  while (!done[3].done()) {
    CHECK(writer.queued_bytes() > 50);
    std::string room(10, '\0');
    outcome got;
    peer.async_read_some(asio::buffer(room), got.record());
    drain(port);
    REQUIRE(got.done());
    read += got.bytes;
    REQUIRE(read < 120);
  }
  CHECK(read >= 60);
  read += read_peer(port, peer).size();
  CHECK(read == 160);
}

TEST_CASE("writes that wait keep their order") {
  completion_port port;
  auto [writer, peer] =
      connect_lines(port, {.capacity = 8},
                    {.write_high_bytes = 16, .write_low_bytes = 8, .gather_bytes = 8});
  std::string expected;
  std::vector<ending> done(50);
  for (int i = 0; i < 50; ++i) {
    writer.async_write("message " + std::to_string(i), done[i].record());
    expected += "message " + std::to_string(i) + "\n";
  }
  CHECK(read_peer(port, peer) == expected);
  for (const ending& each : done) {
    CHECK(each.calls == 1);
    CHECK(!each.ec);
  }
}

TEST_CASE("a large lvalue is lent, and its write ends when it has left") {
  completion_port port;
  auto [a, b] = memory_stream::pair(port, {.capacity = 1000});
  framed writer{std::move(a), length_prefix_codec<>{}};
  const std::string big(50'000, 'b');
  ending lent, temporary;
  writer.async_write(std::string(50'000, 't'), temporary.record());
  drain(port);
  CHECK(temporary.done());
  writer.async_write(big, lent.record());
  drain(port);
  CHECK(!lent.done());
  const std::string got = read_peer(port, b);
  CHECK(got.size() == 100'008);
  CHECK((got.substr(4, 50'000) == std::string(50'000, 't')));
  CHECK((got.substr(50'008) == big));
  CHECK(lent.done());
  CHECK(!lent.ec);
}

TEST_CASE("a range is written whole, waiting for room in between") {
  completion_port port;
  auto [writer, peer] =
      connect_lines(port, {.capacity = 100},
                    {.write_high_bytes = 64, .write_low_bytes = 32, .gather_bytes = 16});
  std::vector<std::string> all;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    all.push_back("number " + std::to_string(i));
    expected += all.back() + "\n";
  }
  ending done, none;
  writer.async_write_all(all, done.record());
  writer.async_write_all(std::vector<std::string>{}, none.record());
  drain(port);
  CHECK(!done.done());
  CHECK(read_peer(port, peer) == expected);
  CHECK(done.done());
  CHECK(none.done());
}

TEST_CASE("a message that the codec refuses leaves nothing behind") {
  completion_port port;
  auto [writer, peer] = connect_lines(port);
  ending bad, all;
  writer.async_write("a\nb", bad.record());
  writer.async_write_all(std::vector<std::string>{"good", "b\nd", "never"}, all.record());
  pump(port, [&] { return bad.done() && all.done(); });
  CHECK(bad.ec == condition::invalid_argument);
  CHECK(all.ec == condition::invalid_argument);
  CHECK(writer.try_write("c\nd").error() == condition::invalid_argument);
  CHECK(read_peer(port, peer) == "good\n");
}

namespace {

// Puts half of a message that begins with '!' and throws.
struct half_lines : fairway::line_codec<> {
  fairway::result<void> encode(const std::string& text, fairway::gather& out) {
    if (text == "!memory") throw std::bad_alloc{};
    if (text.starts_with('!')) {
      out.copy(std::string_view{"half"});
      throw std::runtime_error{"as asked"};
    }
    return fairway::line_codec<>::encode(text, out);
  }
};

}  // namespace

TEST_CASE("what a codec throws ends the write that waits for room, and the ones behind it go on") {
  completion_port port;
  auto [a, b] = memory_stream::pair(port, {.capacity = 4});
  framed writer{std::move(a), half_lines{},
                fairway::framed_options{
                    .write_high_bytes = 8, .write_low_bytes = 3, .gather_bytes = 4}};
  const std::vector<std::string> some{"one", "two", "!three", "four"};
  ending first, memory, other, all, last;
  writer.async_write(std::string("fills it"), first.record());
  writer.async_write(std::string("!memory"), memory.record());
  writer.async_write(std::string("!other"), other.record());
  writer.async_write_all(some, all.record());
  writer.async_write(std::string("last"), last.record());
  drain(port);
  CHECK(first.done());
  CHECK(!memory.done());
  const std::string got = read_peer(port, b);
  CHECK(memory.ec == asio::error::no_memory);
  CHECK(other.ec == condition::invalid_argument);
  CHECK(all.ec == condition::invalid_argument);
  CHECK(last.done());
  CHECK(!last.ec);
  CHECK(got.starts_with("fills it\n"));
  CHECK(got.ends_with("last\n"));
  CHECK(got.find("half") == std::string::npos);
  CHECK(writer.queued_bytes() == 0);
  CHECK_THROWS_AS((void)writer.try_write(std::string("!now")), std::runtime_error);
}

TEST_CASE("a write that fails ends every write, and later ones") {
  completion_port port;
  auto [writer, peer] = connect_lines(
      port, {.capacity = 8, .writes_until_failure = 1},
      {.write_high_bytes = 16, .write_low_bytes = 8, .gather_bytes = 8});
  ending queued, waits, flushed, later;
  writer.async_write("0123456789012345", queued.record());
  writer.async_write("waits", waits.record());
  writer.async_flush(flushed.record());
  drain(port);
  CHECK(queued.done());
  CHECK(!queued.ec);
  CHECK(read_peer(port, peer).size() == 8);
  CHECK(waits.ec == condition::reset);
  CHECK(flushed.ec == condition::reset);
  writer.async_write("later", later.record());
  drain(port);
  CHECK(later.ec == condition::reset);
  CHECK(writer.queued_bytes() == 0);
}

TEST_CASE("every number of calls before a failure ends each write once") {
  for (std::size_t calls = 0; calls < 8; ++calls) {
    completion_port port;
    auto [writer, peer] =
        connect_lines(port, {.write_bytes_max = 5, .writes_until_failure = calls},
                      {.write_high_bytes = 16, .write_low_bytes = 8, .gather_bytes = 4});
    std::vector<ending> done(6);
    for (ending& each : done) writer.async_write("1234567", each.record());
    ending flushed;
    writer.async_flush(flushed.record());
    read_peer(port, peer);
    for (const ending& each : done) CHECK(each.calls == 1);
    CHECK(flushed.calls == 1);
    CHECK(flushed.ec == condition::reset);
  }
}

TEST_CASE("a write that is cancelled while it waits for room is not sent") {
  completion_port port;
  auto [writer, peer] =
      connect_lines(port, {.capacity = 4},
                    {.write_high_bytes = 8, .write_low_bytes = 3, .gather_bytes = 4});
  asio::cancellation_signal signal;
  ending first, second, third;
  writer.async_write("first 1", first.record());
  writer.async_write("second", asio::bind_cancellation_slot(signal.slot(), second.record()));
  writer.async_write("third", third.record());
  drain(port);
  CHECK(!second.done());
  signal.emit(asio::cancellation_type::total);
  drain(port);
  CHECK(second.ec == condition::aborted);
  CHECK(read_peer(port, peer) == "first 1\nthird\n");
  CHECK(third.done());
}

TEST_CASE("a lent message that is on its way is sent whole, or a terminal cancel closes") {
  for (const bool terminal : {false, true}) {
    completion_port port;
    auto [a, b] = memory_stream::pair(port, {.capacity = 1000});
    framed writer{std::move(a), length_prefix_codec<>{}};
    const std::string big(50'000, 'b');
    asio::cancellation_signal signal;
    ending lent;
    writer.async_write(big, asio::bind_cancellation_slot(signal.slot(), lent.record()));
    drain(port);
    signal.emit(terminal ? asio::cancellation_type::terminal : asio::cancellation_type::total);
    drain(port);
    CHECK(lent.done() == terminal);
    CHECK(writer.is_open() == !terminal);
    if (terminal) {
      CHECK(lent.ec == condition::aborted);
    } else {
      CHECK(read_peer(port, b).size() == 50'004);
      CHECK(!lent.ec);
    }
  }
}

TEST_CASE("closing ends writes and flushes that wait") {
  completion_port port;
  auto [writer, peer] =
      connect_lines(port, {.capacity = 4},
                    {.write_high_bytes = 8, .write_low_bytes = 4, .gather_bytes = 4});
  ending first, waits, flushed;
  writer.async_write("12345678", first.record());
  writer.async_write("waits", waits.record());
  writer.async_flush(flushed.record());
  drain(port);
  writer.close();
  CHECK(!waits.done());
  drain(port);
  CHECK(waits.ec == condition::aborted);
  CHECK(flushed.ec == condition::aborted);
  CHECK(writer.try_write("x").error() == condition::not_a_socket);
}
