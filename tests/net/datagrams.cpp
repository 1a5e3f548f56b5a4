// UDP.

#include "support/net.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <array>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::datagram;
using fairway::endpoint;

namespace {

std::vector<endpoint> places() {
  std::vector<endpoint> all{endpoint::loopback_v4(0)};
  if (has_ipv6()) all.push_back(endpoint::loopback_v6(0));
  return all;
}

datagram open(completion_port& port, const endpoint& local = endpoint::loopback_v4(0)) {
  return datagram::open(port, local).value();
}

}  // namespace

TEST_CASE("a datagram arrives with its sender, over each family") {
  for (const auto& local : places()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto a = open(port, local);
    auto b = open(port, local);
    std::array<char, 100> room{};
    endpoint from;
    outcome got;
    outcome put;
    b.async_receive_from(asio::buffer(room), from, got.record());
    a.async_send_to(asio::buffer("hello", 5), b.local_endpoint().value(), put.record());
    pump(port, [&] { return got.done() && put.done(); });
    CHECK(!put.ec);
    CHECK(put.bytes == 5);
    CHECK(!got.ec);
    CHECK(std::string_view(room.data(), got.bytes) == "hello");
    CHECK(from == a.local_endpoint().value());
  }
}

TEST_CASE("datagrams keep their bounds, also the empty one") {
  completion_port port;
  auto d = open(port);
  auto peer = raw_peer::datagram(endpoint::loopback_v4(0));
  for (const char* text : {"one", "", "three"}) peer.send_to(text, d.local_endpoint().value());
  for (const std::string expected : {"one", "", "three"}) {
    std::array<char, 100> room{};
    endpoint from;
    outcome got;
    d.async_receive_from(asio::buffer(room), from, got.record());
    pump(port, [&] { return got.done(); });
    CHECK(!got.ec);
    CHECK(std::string(room.data(), got.bytes) == expected);
    CHECK(from == peer.local());
  }
}

TEST_CASE("a datagram longer than the buffers is cut, and says so") {
  completion_port port;
  auto d = open(port);
  auto peer = raw_peer::datagram(endpoint::loopback_v4(0));
  peer.send_to("0123456789", d.local_endpoint().value());
  peer.send_to("next", d.local_endpoint().value());
  std::array<char, 4> room{};
  endpoint from;
  outcome got;
  d.async_receive_from(asio::buffer(room), from, got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == asio::error::message_size);
  CHECK(got.bytes == 4);
  CHECK(std::string_view(room.data(), 4) == "0123");
  CHECK(from == peer.local());
  outcome next;
  d.async_receive_from(asio::buffer(room), from, next.record());
  pump(port, [&] { return next.done(); });
  CHECK(!next.ec);
  CHECK(std::string_view(room.data(), next.bytes) == "next");
}

TEST_CASE("a datagram is gathered from several buffers and scattered into several") {
  completion_port port;
  auto a = open(port);
  auto b = open(port);
  std::array<char, 2> one{};
  std::array<char, 10> two{};
  endpoint from;
  outcome got;
  outcome put;
  b.async_receive_from(std::array{asio::buffer(one, 2), asio::buffer(two, 10)}, from,
                       got.record());
  a.async_send_to(std::array{asio::buffer("abc", 3), asio::buffer("def", 3)},
                  b.local_endpoint().value(), put.record());
  pump(port, [&] { return got.done() && put.done(); });
  CHECK(put.bytes == 6);
  CHECK(got.bytes == 6);
  CHECK(std::string_view(one.data(), 2) == "ab");
  CHECK(std::string_view(two.data(), 4) == "cdef");
}

TEST_CASE("a datagram that is too long for the system is refused") {
  completion_port port;
  auto d = open(port);
  const std::string huge(70'000, 'x');
  outcome put;
  d.async_send_to(asio::buffer(huge), d.local_endpoint().value(), put.record());
  pump(port, [&] { return put.done(); });
  CHECK(put.ec == asio::error::message_size);
}

TEST_CASE("a connected datagram socket hears its peer only") {
  completion_port port;
  auto d = open(port);
  auto peer = raw_peer::datagram(endpoint::loopback_v4(0));
  auto stranger = raw_peer::datagram(endpoint::loopback_v4(0));
  REQUIRE(d.connect(peer.local()).has_value());
  stranger.send_to("no", d.local_endpoint().value());
  peer.send_to("yes", d.local_endpoint().value());
  std::array<char, 8> room{};
  outcome got;
  outcome put;
  d.async_receive(asio::buffer(room), got.record());
  d.async_send(asio::buffer("back", 4), put.record());
  pump(port, [&] { return got.done() && put.done(); });
  CHECK(std::string_view(room.data(), got.bytes) == "yes");
  CHECK(read_exactly(port, peer, 4) == "back");
}

TEST_CASE("a connected socket learns that nobody took its datagram") {
  completion_port port;
  auto d = open(port);
  endpoint nobody;
  {
    auto gone = raw_peer::datagram(endpoint::loopback_v4(0));
    nobody = gone.local();
  }
  REQUIRE(d.connect(nobody).has_value());
  std::array<char, 8> room{};
  outcome got;
  outcome put;
  d.async_receive(asio::buffer(room), got.record());
  drain(port);
  d.async_send(asio::buffer("x", 1), put.record());
  pump(port, [&] { return got.done() && put.done(); });
  CHECK(!put.ec);
  CHECK(got.ec == condition::refused);
}

TEST_CASE("cancel, slot and close end a waiting receive with aborted") {
  for (const int how : {0, 1, 2, 3}) {
    CAPTURE(how);
    completion_port port;
    auto d = open(port);
    std::array<char, 8> room{};
    endpoint from;
    outcome got;
    asio::cancellation_signal signal;
    d.async_receive_from(asio::buffer(room), from,
                         asio::bind_cancellation_slot(signal.slot(), got.record()));
    drain(port);
    if (how == 0) d.cancel();
    if (how == 1) signal.emit(asio::cancellation_type::partial);
    if (how == 2) d.close();
    if (how == 3) d = datagram{};
    CHECK(got.calls == 0);
    pump(port, [&] { return got.done(); });
    CHECK(got.ec == condition::aborted);
    if (how == 2) {
      outcome late;
      d.async_receive_from(asio::buffer(room), from, late.record());
      pump(port, [&] { return late.done(); });
      CHECK(late.ec == asio::error::bad_descriptor);
    }
  }
}

TEST_CASE("a second receive is refused, a send goes beside it") {
  completion_port port;
  auto d = open(port);
  std::array<char, 8> room{};
  endpoint from;
  outcome first;
  outcome second;
  outcome put;
  d.async_receive_from(asio::buffer(room), from, first.record());
  d.async_receive_from(asio::buffer(room), from, second.record());
  pump(port, [&] { return second.done(); });
  CHECK(second.ec == condition::in_progress);
  d.async_send_to(asio::buffer("self", 4), d.local_endpoint().value(), put.record());
  pump(port, [&] { return first.done() && put.done(); });
  CHECK(first.bytes == 4);
}

TEST_CASE("an endpoint that is taken is address in use") {
  completion_port port;
  auto d = open(port);
  auto second = datagram::open(port, d.local_endpoint().value());
  REQUIRE(second.has_error());
  CHECK(second.error() == condition::address_in_use);
}

TEST_CASE("a thousand datagrams back and forth in a coroutine keep their order") {
  completion_port port;
  auto a = open(port);
  auto b = open(port);
  run(port, [](datagram& x, datagram& y) -> coroutine<void> {
    const endpoint to = y.local_endpoint().value();
    for (unsigned i = 0; i < 1000; ++i) {
      unsigned got = 0;
      endpoint from;
      CHECK((co_await x.async_send_to(asio::buffer(&i, sizeof i), to)).has_value());
      CHECK((co_await y.async_receive_from(asio::buffer(&got, sizeof got), from)).has_value());
      REQUIRE(got == i);
      CHECK((co_await y.async_send_to(asio::buffer(&got, sizeof got), from)).has_value());
      CHECK((co_await x.async_receive_from(asio::buffer(&got, sizeof got), from)).has_value());
      REQUIRE(from == to);
    }
  }(a, b));
}
