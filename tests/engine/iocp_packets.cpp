// What a completion port posts and what it does not: calls into the system, packets that are
// skipped, datagrams that fail and post all the same.

#include "support/net.hpp"

#include <array>
#include <string>

namespace {

using namespace support;
using fairway::condition;
using fairway::endpoint;

fairway::datagram open_datagram(fairway::completion_port& port) {
  return fairway::datagram::open(port, endpoint::loopback_v4(0)).value();
}

void send(fairway::completion_port& port, fairway::datagram& from, const std::string& bytes,
          const endpoint& to) {
  outcome sent;
  from.async_send_to(asio::buffer(bytes), to, sent.record());
  pump(port, [&] { return sent.done(); });
  REQUIRE_FALSE(sent.ec);
}

}  // namespace

TEST_CASE("a write that the socket takes at once ends without a packet") {
  fairway::completion_port port;
  auto pair = connect_pair(port);
  const auto before = port.statistics();
  outcome put;
  pair.a.async_write_some(asio::buffer("hello", 5), put.record());
  CHECK(port.statistics().inline_completions == before.inline_completions + 1);
  CHECK_FALSE(put.done());
  pump(port, [&] { return put.done(); });
  CHECK(put.bytes == 5);
}

TEST_CASE("an echo costs each side a receive, a send and a look at the port") {
  constexpr int rounds = 200;
  fairway::completion_port port_a;
  fairway::completion_port port_b;
  auto pair = connect_pair(port_a, port_b);
  std::array<char, 64> there{};
  std::array<char, 64> back{};
  const auto round = [&] {
    outcome asked;
    outcome heard;
    outcome answered;
    outcome got;
    pair.b.async_read_some(asio::buffer(there), heard.record());
    pair.a.async_read_some(asio::buffer(back), got.record());
    pair.a.async_write_some(asio::buffer("0123456789", 10), asked.record());
    port_a.poll();
    port_b.run_one();
    REQUIRE(heard.done());
    pair.b.async_write_some(asio::buffer(there.data(), heard.bytes), answered.record());
    while (port_b.poll() != 0) {}
    while (!got.done()) port_a.run_one();
    REQUIRE(got.bytes == 10);
    for (auto* port : {&port_a, &port_b}) port->restart();
  };
  round();  // joining the port is paid once
  const auto before = port_b.statistics().kernel_entries;
  for (int i = 0; i < rounds; ++i) round();
  // One more look a round is the poll of this loop, which finds nothing to wait for.
  CHECK(port_b.statistics().kernel_entries - before <= 4u * rounds);
}

TEST_CASE("a truncated datagram ends its receive once, whether it waited or came before") {
  fairway::completion_port port;
  auto to = open_datagram(port);
  auto from = open_datagram(port);
  const auto where = to.local_endpoint().value();
  for (const bool waits : {true, false}) {
    CAPTURE(waits);
    std::array<char, 4> room{};
    endpoint sender;
    outcome got;
    const auto receive = [&] {
      to.async_receive_from(asio::buffer(room), sender, got.record());
    };
    if (waits) receive();
    send(port, from, "123456", where);
    if (!waits) receive();
    pump(port, [&] { return got.done(); });
    drain(port);
    CHECK(got.calls == 1);
    CHECK(got.ec == asio::error::message_size);
    CHECK(got.bytes == 4);
    CHECK(std::string(room.data(), 4) == "1234");
    CHECK(sender == from.local_endpoint().value());
  }
}

TEST_CASE("an empty datagram is sent and received") {
  fairway::completion_port port;
  auto to = open_datagram(port);
  auto from = open_datagram(port);
  std::array<char, 4> room{};
  endpoint sender;
  outcome got;
  to.async_receive_from(asio::buffer(room), sender, got.record());
  send(port, from, "", to.local_endpoint().value());
  pump(port, [&] { return got.done(); });
  CHECK_FALSE(got.ec);
  CHECK(got.bytes == 0);
}

TEST_CASE("a datagram that nobody took does not end a receive of others") {
  fairway::completion_port port;
  const endpoint dead = open_datagram(port).local_endpoint().value();
  drain(port);
  auto to = open_datagram(port);
  auto from = open_datagram(port);
  std::array<char, 4> room{};
  endpoint sender;
  outcome got;
  to.async_receive_from(asio::buffer(room), sender, got.record());
  send(port, to, "lost", dead);
  send(port, from, "ok", to.local_endpoint().value());
  pump(port, [&] { return got.done(); });
  CHECK_FALSE(got.ec);
  CHECK(got.bytes == 2);
}

TEST_CASE("a receive that waits holds no buffer") {
  fairway::port_options options;
  options.receive_buffers_max = 1;
  fairway::completion_port port{options};
  auto idle = connect_pair(port);
  auto busy = connect_pair(port);
  received_bytes waiting;
  received_bytes got;
  idle.a.async_receive(waiting.record());
  drain(port);
  busy.a.async_receive(got.record());
  outcome put;
  busy.b.async_write_some(asio::buffer("x", 1), put.record());
  pump(port, [&] { return got.done() && put.done(); });
  CHECK(text_of(got.value) == "x");
  CHECK_FALSE(waiting.done());
  idle.a.cancel();
  pump(port, [&] { return waiting.done(); });
  CHECK(waiting.ec == condition::aborted);
}
