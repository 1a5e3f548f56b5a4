// Reading messages: order, ends, errors, cancellation, tokens and memory.

#include "protocol/support.hpp"
#include "support/allocation_count.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/_experimental/test/stream.hpp>

#include <deque>
#include <future>
#include <new>
#include <stdexcept>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::framed;
using fairway::line_codec;

TEST_CASE("messages are read in order however they arrive") {
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 1000u}) {
    completion_port port;
    auto [reader, peer] = connect_lines(port, {.read_bytes_max = piece});
    write_peer(port, peer, "one\ntwo\r\n\nfour\n");
    for (const char* expected : {"one", "two", "", "four"}) {
      line got;
      reader.async_read(got.record());
      CHECK(!got.done());
      pump(port, [&] { return got.done(); });
      CHECK(!got.ec);
      CHECK(got.value == expected);
    }
  }
}

TEST_CASE("a coroutine reads and writes results") {
  completion_port port;
  auto [a, b] = memory_stream::pair(port);
  framed server{std::move(a), line_codec<>{}};
  framed client{std::move(b), line_codec<>{}};
  int served = 0;
  fairway::spawn(port, [&]() -> fairway::task<> {
    while (auto got = co_await server.async_read()) {
      ++served;
      if (!co_await server.async_write("you said " + got.value())) break;
    }
    server.close();
  });
  run(port, [](auto& c) -> coroutine<void> {
    for (int i = 0; i < 100; ++i) {
      const std::string text = "line " + std::to_string(i);
      CHECK(co_await c.async_write(text));
      auto got = co_await c.async_read();
      CHECK(got.value() == "you said " + text);
    }
    c.close();
  }(client));
  drain(port);
  CHECK(served == 100);
  CHECK(!server.is_open());
}

TEST_CASE("messages go over a stream of each family") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto pair = connect_pair(port, local);
    framed a{std::move(pair.a), fairway::length_prefix_codec<>{}};
    framed b{std::move(pair.b), fairway::length_prefix_codec<>{}};
    const std::string big = seeded{7}.bytes(300'000);
    run(port, [](auto& from, auto& to, const std::string& bytes) -> coroutine<void> {
      for (int i = 0; i < 3; ++i) {
        auto sent = from.async_write(bytes, asio::use_awaitable_t<fairway::port_executor>{});
        fairway::spawn(from.get_executor(), std::move(sent));
        auto got = co_await to.async_read();
        CHECK((got.value() == bytes));
      }
    }(a, b, big));
  }
}

TEST_CASE("the end of the stream comes after the messages before it") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  write_peer(port, peer, "one\nrest");
  peer.close();
  line one, rest, end, again;
  for (line* each : {&one, &rest, &end, &again}) {
    reader.async_read(each->record());
    pump(port, [&] { return each->done(); });
  }
  CHECK(one.value == "one");
  CHECK(rest.value == "rest");
  CHECK(end.ec == condition::eof);
  CHECK(again.ec == condition::eof);
}

TEST_CASE("an end inside a frame is told from an end between two") {
  completion_port port;
  auto [a, b] = memory_stream::pair(port);
  framed reader{std::move(a), fairway::length_prefix_codec<>{}};
  using namespace std::string_literals;
  write_peer(port, b, "\0\0\0\x05"s "abc"s);
  b.close();
  line got;
  reader.async_read(got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == fairway::error::frame_truncated);
}

TEST_CASE("a frame over the limit ends reading for good, and the messages before it are read") {
  completion_port port;
  auto [reader, peer] = connect_lines(port, {}, {}, 8);
  write_peer(port, peer, "ok\n123456789\nafter\n");
  line ok, large, later;
  for (line* each : {&ok, &large, &later}) {
    reader.async_read(each->record());
    pump(port, [&] { return each->done(); });
  }
  CHECK(ok.value == "ok");
  CHECK(large.ec == fairway::error::frame_too_large);
  CHECK(later.ec == fairway::error::frame_too_large);
  CHECK(reader.try_read().error() == fairway::error::frame_too_large);
  ending wrote;
  reader.async_write("writes", wrote.record());
  pump(port, [&] { return wrote.done(); });
  CHECK(!wrote.ec);
  CHECK(read_peer(port, peer) == "writes\n");
}

TEST_CASE("a codec without a limit of its own is limited all the same") {
  struct endless : line_codec<> {
    endless() : line_codec<>{10} {}
    fairway::result<fairway::decoded<std::string>> decode(std::span<const std::byte>) {
      return fairway::need_bytes{1};
    }
  };
  completion_port port;
  auto [a, b] = memory_stream::pair(port);
  framed reader{std::move(a), endless{}};
  write_peer(port, b, "0123456789");
  line got;
  reader.async_read(got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == fairway::error::frame_too_large);
}

// Not without a name: a coroutine of framed holds it (-Wsubobject-linkage).
namespace framed_test {

// Lines that are numbers of exceptions to throw.
struct throwing_lines : line_codec<> {
  fairway::result<fairway::decoded<std::string>> decode(std::span<const std::byte> bytes) {
    auto got = line_codec<>::decode(bytes);
    if (!got || !got.value().message) return got;
    if (*got.value().message == "memory") throw std::bad_alloc{};
    if (*got.value().message == "code") {
      throw boost::system::system_error{asio::error::timed_out};
    }
    if (*got.value().message == "number") (void)std::stoi("no number");
    return got;
  }
};

}  // namespace framed_test

TEST_CASE("what a codec throws ends the read that waits with a code, for ever, and not the loop") {
  const std::pair<std::string, error_code> kinds[] = {
      {"memory", asio::error::no_memory},
      {"code", asio::error::timed_out},
      {"number", fairway::error::protocol_violation}};
  for (const auto& kind : kinds) {
    CAPTURE(kind.first);
    completion_port port;
    auto [a, b] = memory_stream::pair(port);
    framed reader{std::move(a), framed_test::throwing_lines{}};
    line good, bad, again;
    reader.async_read(good.record());
    write_peer(port, b, "good\n");
    pump(port, [&] { return good.done(); });
    CHECK(good.value == "good");
    reader.async_read(bad.record());
    drain(port);
    write_peer(port, b, kind.first + "\nafter\n");
    pump(port, [&] { return bad.done(); });
    CHECK(bad.ec == kind.second);
    reader.async_read(again.record());
    pump(port, [&] { return again.done(); });
    CHECK(again.ec == kind.second);
    ending wrote;
    reader.async_write("writes", wrote.record());
    pump(port, [&] { return wrote.done(); });
    CHECK(!wrote.ec);
  }
}

TEST_CASE("what a codec throws goes to who reads what has arrived") {
  completion_port port;
  auto [a, b] = memory_stream::pair(port);
  framed reader{std::move(a), framed_test::throwing_lines{}};
  write_peer(port, b, "good\nnumber\n");
  bool caught = false;
  fairway::spawn(port, [&]() -> fairway::task<> {
    auto good = co_await reader.async_read();
    CHECK(good.value() == "good");
    try {
      (void)co_await reader.async_read();
    } catch (const std::invalid_argument&) {
      caught = true;
    }
  });
  pump(port, [&] { return caught; });
}

TEST_CASE("a second read is refused and the first one goes on") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  line first, second;
  reader.async_read(first.record());
  reader.async_read(second.record());
  pump(port, [&] { return second.done(); });
  CHECK(second.ec == condition::in_progress);
  CHECK(!first.done());
  write_peer(port, peer, "x\n");
  pump(port, [&] { return first.done(); });
  CHECK(first.value == "x");
}

TEST_CASE("a cancelled read loses nothing") {
  using type = asio::cancellation_type;
  for (const type kind : {type::terminal, type::partial, type::total}) {
    completion_port port;
    auto [reader, peer] = connect_lines(port);
    write_peer(port, peer, "half");
    asio::cancellation_signal signal;
    line cancelled, next;
    reader.async_read(asio::bind_cancellation_slot(signal.slot(), cancelled.record()));
    drain(port);
    signal.emit(kind);
    CHECK(!cancelled.done());
    pump(port, [&] { return cancelled.done(); });
    CHECK(cancelled.ec == condition::aborted);
    write_peer(port, peer, " and half\n");
    reader.async_read(next.record());
    pump(port, [&] { return next.done(); });
    CHECK(next.value == "half and half");
    signal.emit(kind);
    CHECK(cancelled.calls == 1);
  }
}

TEST_CASE("a read that is cancelled before its port runs is aborted") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  asio::cancellation_signal signal;
  line cancelled;
  reader.async_read(asio::bind_cancellation_slot(signal.slot(), cancelled.record()));
  signal.emit(asio::cancellation_type::total);
  pump(port, [&] { return cancelled.done(); });
  CHECK(cancelled.ec == condition::aborted);
}

TEST_CASE("closing and destroying end what waits") {
  completion_port port;
  line closed, destroyed, late;
  auto [one, peer_one] = connect_lines(port);
  one.async_read(closed.record());
  drain(port);
  one.close();
  CHECK(!closed.done());
  pump(port, [&] { return closed.done(); });
  CHECK(closed.ec == condition::aborted);
  one.async_read(late.record());
  pump(port, [&] { return late.done(); });
  CHECK(late.ec == condition::not_a_socket);
  {
    auto [two, peer_two] = connect_lines(port);
    two.async_read(destroyed.record());
    drain(port);
  }
  pump(port, [&] { return destroyed.done(); });
  CHECK(destroyed.ec == condition::aborted);
}

TEST_CASE("a framed stream is moved while it waits, and a handler may destroy it") {
  completion_port port;
  auto pair = std::make_unique<lines_pair>(connect_lines(port));
  lines moved = std::move(pair->framed);
  line first;
  moved.async_read(first.record());
  drain(port);
  auto owner = std::make_unique<lines>(std::move(moved));
  write_peer(port, pair->peer, "x\n");
  pump(port, [&] { return first.done(); });
  CHECK(first.value == "x");
  bool gone = false;
  owner->async_read([&](error_code, std::string) {
    owner.reset();
    gone = true;
  });
  write_peer(port, pair->peer, "y\n");
  pump(port, [&] { return gone; });
}

TEST_CASE("a stream that is referred to stays open when the framed one goes") {
  completion_port port;
  auto [a, b] = memory_stream::pair(port);
  line got;
  {
    framed reader{a, line_codec<>{}};
    static_assert(std::is_same_v<decltype(reader), framed<memory_stream&, line_codec<>>>);
    reader.async_read(got.record());
    drain(port);
  }
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
  CHECK(a.is_open());
}

TEST_CASE("a port goes with reads and writes in flight") {
  line got;
  {
    completion_port port;
    auto [reader, peer] = connect_lines(port);
    reader.async_read(got.record());
    drain(port);
    auto half = connect_peer(port);
    framed over{std::move(half.stream), line_codec<>{}};
    over.async_read(got.record());
    over.async_flush([](error_code) {});
    drain(port);
  }
  CHECK(!got.done());
}

TEST_CASE("futures, tuples and other threads") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  std::thread runner{[&port] {
    port.restart();
    auto work = asio::make_work_guard(port);
    port.run();
  }};
  std::future<fairway::result<std::string>> result =
      reader.async_read(fairway::as_result(asio::use_future));
  std::future<std::string> plain;
  auto wrote = reader.async_write("from elsewhere", asio::use_future);
  wrote.get();
  asio::post(port, [&] {
    peer.async_write_some(asio::buffer("a\nb\n", 4), [](error_code, std::size_t) {});
  });
  CHECK(result.get().value() == "a");
  plain = reader.async_read(asio::use_future);
  CHECK(plain.get() == "b");
  asio::cancellation_signal signal;
  auto waits = reader.async_read(
      asio::bind_cancellation_slot(signal.slot(), fairway::as_result(asio::use_future)));
  asio::post(port, [&] { signal.emit(asio::cancellation_type::total); });
  CHECK(waits.get().error() == condition::aborted);
  port.stop();
  runner.join();
}

TEST_CASE("try_read gives what has arrived whole and never waits") {
  completion_port port;
  auto [reader, peer] = connect_lines(port);
  CHECK(!reader.try_read().value());
  write_peer(port, peer, "a\nb\nc");
  line got;
  reader.async_read(got.record());
  CHECK(reader.try_read().value() == std::nullopt);
  pump(port, [&] { return got.done(); });
  CHECK(got.value == "a");
  CHECK(reader.try_read().value() == "b");
  CHECK(!reader.try_read().value());
  reader.async_read(got.record());
  drain(port);
  CHECK(reader.try_read().error() == condition::in_progress);
}

TEST_CASE("it runs over Asio's own sockets and Beast's test stream") {
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
  asio::ip::tcp::socket one{context};
  one.connect(acceptor.local_endpoint());
  framed a{std::move(one), line_codec<>{}};
  framed b{acceptor.accept(), line_codec<>{}};
  line got;
  a.async_write("over Asio", asio::detached);
  b.async_read(got.record());
  while (!got.done() && context.run_one() != 0) {}
  CHECK(got.value == "over Asio");

  boost::beast::test::stream one_end{context, "from Beast\n"};
  boost::beast::test::stream other_end{context};
  one_end.connect(other_end);
  framed c{std::move(one_end), line_codec<>{}};
  line again;
  c.async_read(again.record());
  c.async_write("to Beast", asio::detached);
  context.restart();
  while ((!again.done() || other_end.str().empty()) && context.run_one() != 0) {}
  CHECK(again.value == "from Beast");
  CHECK(other_end.str() == "to Beast\n");
}

TEST_CASE("an idle connection keeps at most 1 KiB") {
  completion_port port;
  auto half = connect_peer(port);
  framed reader{std::move(half.stream), line_codec<>{64 * 1024}};
  bool done = false;
  fairway::spawn(port, [&]() -> fairway::task<> {
    while (auto got = co_await reader.async_read()) {
      if (!co_await reader.async_write(got.value())) break;
    }
    done = true;
  });
  half.peer.write(std::string(40'000, 'x') + "\nshort\n");
  CHECK(read_exactly(port, half.peer, 40'007).size() == 40'007);
  drain(port);
  CHECK(reader.held_bytes() <= 1024);
  MESSAGE("an idle framed stream keeps ", reader.held_bytes(), " bytes");
  half.peer.close();
  pump(port, [&] { return done; });
}

#if defined(__GLIBC__)
TEST_CASE("an idle connection takes at most 1 KiB of the heap, after large messages too") {
  if (!allocation_count::available) return;
  struct echo {
    explicit echo(fairway::stream& over) : lines{over, line_codec<>{64 * 1024}} { next(); }
    void next() {
      lines.async_read([this](error_code ec, std::string got) {
        if (ec) return;
        line.swap(got);
        lines.async_write(line, [this](error_code) {
          std::string{}.swap(line);
          next();
        });
      });
    }
    framed<fairway::stream&, line_codec<>> lines;
    std::string line;
  };
  constexpr std::size_t count = 100;
  completion_port port;
  std::vector<half_pair> halves;
  for (std::size_t i = 0; i < count; ++i) halves.push_back(connect_peer(port));
  std::deque<echo> echoes;
  std::string said(40'000, 'x');
  said += "\nshort\n";
  const auto talk = [&] {
    for (half_pair& half : halves) {
      half.peer.write(said);
      CHECK(read_exactly(port, half.peer, said.size()) == said);
    }
    drain(port);
  };
  // A first round fills what the port and the streams keep for themselves.
  std::size_t before = 0;
  for (int round = 0; round < 2; ++round) {
    echoes.clear();
    drain(port);
    before = mallinfo2().uordblks;
    for (half_pair& half : halves) echoes.emplace_back(half.stream);
    talk();
  }
  const std::size_t each = (mallinfo2().uordblks - before) / count;
  MESSAGE("an idle connection takes ", each, " bytes of the heap");
  CHECK(each <= 1024);
  echoes.clear();
  drain(port);
}
#endif

TEST_CASE("the steady state of an echo allocates nothing") {
  if (!allocation_count::available) return;
  completion_port port;
  auto half = connect_peer(port);
  framed echo{std::move(half.stream), line_codec<std::string_view>{}};
  fairway::spawn(port, [&]() -> fairway::task<> {
    while (auto got = co_await echo.async_read()) {
      if (!co_await echo.async_write(got.value())) break;
    }
  });
  std::string got;
  got.reserve(4096);
  const auto round = [&] {
    half.peer.write("ping ping ping\n");
    got.clear();
    pump(port, [&] {
      half.peer.read(got);
      return got.size() == 15;
    });
  };
  for (int i = 0; i < 20; ++i) round();
  allocation_count count;
  for (int i = 0; i < 100; ++i) round();
  CHECK(count.made() == 0);
  echo.close();
  drain(port);
}
