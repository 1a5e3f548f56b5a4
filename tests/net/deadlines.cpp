// set_timeouts: on the port's clock, never early, and only for what really took too long.

#include "support/net.hpp"

#include <array>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::manual_clock;

namespace {

fairway::port_options on(manual_clock& clock) {
  fairway::port_options options;
  options.clock = &clock;
  return options;
}

}  // namespace

TEST_CASE("a read that takes too long ends with timed out, not a tick early") {
  manual_clock clock;
  completion_port port{on(clock)};
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 1h});
  std::array<char, 8> room{};
  outcome got;
  stream.async_read_some(asio::buffer(room), got.record());
  drain(port);
  clock.advance(1h - 1ns);
  drain(port);
  CHECK(got.calls == 0);
  clock.advance(1ns);
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == asio::error::timed_out);
  CHECK(got.ec == condition::timed_out);
  CHECK(got.bytes == 0);
  CHECK(port.statistics().timers == 0);
}

TEST_CASE("a stream is usable after a time-out, and each operation has its own time") {
  manual_clock clock;
  completion_port port{on(clock)};
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 1s});
  std::array<char, 8> room{};
  outcome first;
  stream.async_read_some(asio::buffer(room), first.record());
  clock.advance(1s);
  pump(port, [&] { return first.done(); });
  outcome second;
  stream.async_read_some(asio::buffer(room), second.record());
  clock.advance(999ms);
  drain(port);
  CHECK(second.calls == 0);
  peer.write("late");
  pump(port, [&] { return second.done(); });
  CHECK(!second.ec);
  CHECK(second.bytes == 4);
}

TEST_CASE("a deadline of an operation that has ended does not hit the next one") {
  manual_clock clock;
  completion_port port{on(clock)};
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 10s});
  std::array<char, 8> room{};
  for (int i = 0; i < 20; ++i) {
    outcome got;
    stream.async_read_some(asio::buffer(room), got.record());
    drain(port);
    clock.advance(9s);
    drain(port);
    REQUIRE(got.calls == 0);
    peer.write("x");
    pump(port, [&] { return got.done(); });
    REQUIRE(!got.ec);
  }
  CHECK(port.statistics().timers == 0);
}

TEST_CASE("bytes that came in time win over a deadline that passed before they were looked at") {
  manual_clock clock;
  completion_port port{on(clock)};
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 1s});
  std::array<char, 8> room{};
  outcome got;
  stream.async_read_some(asio::buffer(room), got.record());
  drain(port);
  peer.write("abc");
  clock.advance(2s);
  pump(port, [&] { return got.done(); });
  std::string all{room.data(), got.bytes};
  if (got.ec) {
    CHECK(got.ec == condition::timed_out);
    CHECK(got.bytes == 0);
    stream.set_timeouts({});
    outcome rest;
    stream.async_read_some(asio::buffer(room), rest.record());
    pump(port, [&] { return rest.done(); });
    all.assign(room.data(), rest.bytes);
  }
  CHECK(all == "abc");
}

TEST_CASE("a receive that takes too long ends with timed out") {
  manual_clock clock;
  completion_port port{on(clock)};
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 5s});
  received_bytes got;
  stream.async_receive(got.record());
  drain(port);
  clock.advance(5s);
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::timed_out);
  peer.write("x");
  received_bytes next;
  stream.async_receive(next.record());
  pump(port, [&] { return next.done(); });
  CHECK(text_of(next.value) == "x");
}

TEST_CASE("a write that takes too long ends with timed out, a read's limit does not touch it") {
  manual_clock clock;
  completion_port port{on(clock)};
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 1s, .write = 10s});
  const std::string big(8 << 20, 'x');
  outcome put;
  do {
    put = {};
    stream.async_write_some(asio::buffer(big), put.record());
    drain(port);
  } while (put.done());
  clock.advance(9s);
  drain(port);
  CHECK(put.calls == 0);
  clock.advance(1s);
  pump(port, [&] { return put.done(); });
  CHECK(put.ec == condition::timed_out);
}

TEST_CASE("timeouts apply to operations that start later only") {
  manual_clock clock;
  completion_port port{on(clock)};
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  outcome got;
  stream.async_read_some(asio::buffer(room), got.record());
  drain(port);
  stream.set_timeouts({.read = 1s});
  clock.advance(1h);
  drain(port);
  CHECK(got.calls == 0);
  peer.write("x");
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
}

TEST_CASE("a cancel before the deadline is aborted and not timed out") {
  manual_clock clock;
  completion_port port{on(clock)};
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 1s});
  std::array<char, 8> room{};
  outcome got;
  stream.async_read_some(asio::buffer(room), got.record());
  drain(port);
  stream.cancel();
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
  CHECK(port.statistics().timers == 0);
}

TEST_CASE("a thousand streams time out in the order of their deadlines") {
  manual_clock clock;
  completion_port port{on(clock)};
  constexpr int count = 1000;
  auto l = listen(port);
  std::vector<half_pair> all;
  std::vector<int> ended;
  for (int i = 0; i < count; ++i) {
    auto peer = raw_peer::connect(l.local_endpoint().value());
    all.push_back({accept(port, l), std::move(peer)});
  }
  std::array<char, 8> room{};
  for (int i = 0; i < count; ++i) {
    auto& s = all[static_cast<std::size_t>(i)].stream;
    s.set_timeouts({.read = std::chrono::seconds{1 + (i * 7919) % count}});
    s.async_read_some(asio::buffer(room), [&, i](error_code ec, std::size_t) {
      REQUIRE(ec == condition::timed_out);
      ended.push_back(1 + (i * 7919) % count);
    });
  }
  for (int second = 1; second <= count; ++second) {
    clock.advance(1s);
    pump(port, [&] { return ended.size() >= static_cast<std::size_t>(second); });
    REQUIRE(ended.back() == second);
    REQUIRE(ended.size() == static_cast<std::size_t>(second));
  }
}

TEST_CASE("on the steady clock a deadline is not early") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 20ms});
  std::array<char, 8> room{};
  outcome got;
  const auto begun = std::chrono::steady_clock::now();
  stream.async_read_some(asio::buffer(room), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::timed_out);
  CHECK(std::chrono::steady_clock::now() - begun >= 20ms);
}
