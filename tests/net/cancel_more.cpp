// Cancelling writes, accepts, composed operations and tasks.

#include "support/net.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <array>

using namespace support;
using asio::cancellation_type;
using fairway::completion_port;
using fairway::condition;

namespace {

// Writes until a write stays in flight. Returns how much was taken before it.
std::size_t fill(completion_port& port, fairway::stream& s, const std::string& bytes, outcome& put,
                 asio::cancellation_slot slot = {}) {
  std::size_t sent = 0;
  for (;;) {
    put = {};
    s.async_write_some(asio::buffer(bytes) + sent,
                       asio::bind_cancellation_slot(slot, put.record()));
    drain(port);
    if (!put.done()) return sent;
    REQUIRE(!put.ec);
    sent += put.bytes;
    REQUIRE(sent < bytes.size());
  }
}

}  // namespace

TEST_CASE("a cancelled write tells exactly how much the peer will read") {
  const std::string bytes = seeded{10}.bytes(32 << 20);
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto [stream, peer] = connect_peer(port, local);
    asio::cancellation_signal signal;
    outcome put;
    std::size_t sent = fill(port, stream, bytes, put, signal.slot());
    std::string got;
    peer.read(got);
    signal.emit(cancellation_type::total);
    pump(port, [&] { return put.done(); });
    CHECK((put.ec == condition::aborted || !put.ec));
    sent += put.bytes;
    stream.close();
    CHECK(read_to_end(port, peer, got) == raw_peer::event::end);
    CHECK(got.size() == sent);
    CHECK((got == bytes.substr(0, got.size())));
  }
}

TEST_CASE("cancelling a read leaves the write in flight alone when done by slot") {
  const std::string bytes = seeded{11}.bytes(32 << 20);
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  outcome put;
  fill(port, stream, bytes, put);
  std::array<char, 8> room{};
  asio::cancellation_signal signal;
  outcome got;
  stream.async_read_some(asio::buffer(room),
                         asio::bind_cancellation_slot(signal.slot(), got.record()));
  signal.emit(cancellation_type::terminal);
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
  CHECK(put.calls == 0);
}

TEST_CASE("a cancelled accept is aborted, and the next one works") {
  completion_port port;
  auto l = listen(port);
  accepted first;
  l.async_accept(first.record());
  drain(port);
  l.cancel();
  l.cancel();
  CHECK(first.calls == 0);
  pump(port, [&] { return first.done(); });
  CHECK(first.ec == asio::error::operation_aborted);
  CHECK_FALSE(first.value.is_open());
  auto peer = raw_peer::connect(l.local_endpoint().value());
  auto s = accept(port, l);
  CHECK(s.remote_endpoint().value() == peer.local());
  CHECK(first.calls == 1);
}

TEST_CASE("a cancel that races with a connection never loses it") {
  completion_port port;
  auto l = listen(port);
  for (int i = 0; i < 200; ++i) {
    accepted got;
    asio::cancellation_signal signal;
    l.async_accept(asio::bind_cancellation_slot(signal.slot(), got.record()));
    if (i % 3 == 0) drain(port);
    auto peer = raw_peer::connect(l.local_endpoint().value());
    if (i % 2 == 0) port.poll_one();
    if (port.stopped()) port.restart();
    signal.emit(cancellation_type::total);
    pump(port, [&] { return got.done(); });
    fairway::stream s;
    if (got.ec) {
      REQUIRE(got.ec == condition::aborted);
      s = accept(port, l);
    } else {
      s = std::move(got.value);
    }
    REQUIRE(s.remote_endpoint().value() == peer.local());
  }
}

TEST_CASE("closing a listener aborts its accept and frees the endpoint") {
  completion_port port;
  auto l = listen(port);
  const auto where = l.local_endpoint().value();
  accepted got;
  l.async_accept(got.record());
  drain(port);
  l.close();
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
  accepted late;
  l.async_accept(late.record());
  pump(port, [&] { return late.done(); });
  CHECK(late.ec == asio::error::bad_descriptor);
  auto again = fairway::listener::open(port, where);
  CHECK(again.has_value());
}

TEST_CASE("each cancellation type ends a composed read, with the bytes it has so far") {
  for (const auto type : {cancellation_type::terminal, cancellation_type::partial,
                          cancellation_type::total}) {
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    std::array<char, 100> room{};
    asio::cancellation_signal signal;
    outcome got;
    asio::async_read(stream, asio::buffer(room),
                     asio::bind_cancellation_slot(signal.slot(), got.record()));
    peer.write("some");
    // The first piece has been read once nothing is left in the socket.
    pump(port, [&] { return std::string_view(room.data(), 4) == "some"; });
    drain(port);
    CHECK(got.calls == 0);
    signal.emit(type);
    if (type == cancellation_type::total) {
      // Something was transferred: total can no longer be promised (Asio's rule), so it goes on.
      drain(port);
      CHECK(got.calls == 0);
      stream.cancel();
    }
    pump(port, [&] { return got.done(); });
    CHECK(got.ec == condition::aborted);
    CHECK(got.bytes == 4);
  }
}

TEST_CASE("a composed write that is cancelled counts what the peer will read") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  const std::string bytes = seeded{12}.bytes(32 << 20);
  asio::cancellation_signal signal;
  outcome put;
  asio::async_write(stream, asio::buffer(bytes),
                    asio::bind_cancellation_slot(signal.slot(), put.record()));
  drain(port);
  CHECK(put.calls == 0);
  signal.emit(cancellation_type::partial);
  pump(port, [&] { return put.done(); });
  CHECK(put.ec == condition::aborted);
  stream.close();
  std::string got;
  CHECK(read_to_end(port, peer, got) == raw_peer::event::end);
  CHECK(got.size() == put.bytes);
}

TEST_CASE("a read that races against a timer loses no byte, whoever is first") {
  completion_port port;
  auto half = connect_peer(port);
  const std::string bytes = seeded{13}.bytes(300'000);
  std::string got;
  unsigned timer_first = 0;
  run(port, [](completion_port& p, half_pair& h, const std::string& all, std::string& into,
               unsigned& lost_races) -> coroutine<void> {
    std::array<char, 777> room;
    std::size_t sent = 0;
    seeded random{13};
    fairway::timer soon{p};
    while (into.size() < all.size()) {
      if (random.one_in(2)) {
        sent += h.peer.write_some(std::string_view(all).substr(sent, random.below(2000)));
      }
      soon.expires_after(std::chrono::microseconds{random.below(60)});
      auto [order, ec, n, timer_ec] =
          co_await asio::experimental::make_parallel_group(
              h.stream.async_read_some(asio::buffer(room), asio::deferred),
              soon.async_wait(asio::deferred))
              .async_wait(asio::experimental::wait_for_one(), asio::deferred);
      if (order[0] == 1) ++lost_races;
      REQUIRE((!ec || ec == condition::aborted));
      REQUIRE((!timer_ec || timer_ec == condition::aborted));
      into.append(room.data(), n);
    }
  }(port, half, bytes, got, timer_first));
  CHECK((got == bytes));
  CHECK(timer_first > 0);
}
