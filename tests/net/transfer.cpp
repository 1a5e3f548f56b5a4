// Reading and writing as such: bytes arrive, in order, once, whatever the shape of the buffers.

#include "support/net.hpp"

#include <array>

using namespace support;
using fairway::completion_port;
using fairway::condition;

TEST_CASE("what the peer wrote is read, over each family") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto [stream, peer] = connect_peer(port, local);
    outcome got;
    std::array<char, 16> room{};
    stream.async_read_some(asio::buffer(room), got.record());
    drain(port);
    CHECK(got.calls == 0);
    peer.write("hello");
    pump(port, [&] { return got.done(); });
    CHECK(!got.ec);
    CHECK(std::string_view(room.data(), got.bytes) == "hello");
    drain(port);
    CHECK(got.calls == 1);
  }
}

TEST_CASE("what is written reaches the peer, over each family") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto [stream, peer] = connect_peer(port, local);
    outcome put;
    stream.async_write_some(asio::buffer("hello", 5), put.record());
    pump(port, [&] { return put.done(); });
    CHECK(!put.ec);
    CHECK(put.bytes == 5);
    CHECK(read_exactly(port, peer, 5) == "hello");
  }
}

TEST_CASE("no handler runs inside the call that started its operation") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.write("ready");
  bool inside = false;
  unsigned done = 0;
  std::array<char, 16> room{};
  asio::post(port, [&] {
    inside = true;
    stream.async_read_some(asio::buffer(room), [&](error_code, std::size_t) {
      CHECK_FALSE(inside);
      ++done;
    });
    stream.async_write_some(asio::buffer("x", 1), [&](error_code, std::size_t) {
      CHECK_FALSE(inside);
      ++done;
    });
    inside = false;
  });
  pump(port, [&] { return done == 2; });
}

TEST_CASE("no accept handler runs inside the call that started it") {
  completion_port port;
  auto l = listen(port);
  auto peer = raw_peer::connect(l.local_endpoint().value());
  bool inside = true;
  bool done = false;
  l.async_accept([&](error_code ec, fairway::stream s) {
    CHECK_FALSE(inside);
    CHECK(!ec);
    CHECK(s.is_open());
    done = true;
  });
  inside = false;
  pump(port, [&] { return done; });
}

TEST_CASE("reading into several buffers fills them in order") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.write("abcdefgh");
  std::array<char, 3> one{};
  std::array<char, 2> two{};
  std::array<char, 16> three{};
  outcome got;
  stream.async_read_some(
      std::vector<asio::mutable_buffer>{asio::buffer(one), {}, asio::buffer(two),
                                        asio::buffer(three)},
      got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.bytes == 8);
  CHECK(std::string_view(one.data(), 3) == "abc");
  CHECK(std::string_view(two.data(), 2) == "de");
  CHECK(std::string_view(three.data(), 3) == "fgh");
}

TEST_CASE("writing more buffers than one call takes writes the first ones") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  const std::string text = seeded{1}.bytes(500);
  std::vector<asio::const_buffer> pieces;
  for (const char& c : text) pieces.push_back(asio::buffer(&c, 1));
  outcome put;
  stream.async_write_some(pieces, put.record());
  pump(port, [&] { return put.done(); });
  CHECK(!put.ec);
  CHECK(put.bytes > 0);
  CHECK(put.bytes <= text.size());
  CHECK(read_exactly(port, peer, put.bytes) == text.substr(0, put.bytes));
}

TEST_CASE("empty buffers complete at once with zero bytes and no error") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  outcome got;
  outcome put;
  stream.async_read_some(asio::mutable_buffer{}, got.record());
  stream.async_write_some(std::vector<asio::const_buffer>{}, put.record());
  pump(port, [&] { return got.done() && put.done(); });
  CHECK(!got.ec);
  CHECK(got.bytes == 0);
  CHECK(!put.ec);
  CHECK(put.bytes == 0);
}

TEST_CASE("a second read is refused and the first goes on unharmed") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  outcome first;
  outcome second;
  outcome receive;
  std::array<char, 8> room{};
  std::array<char, 8> other{};
  stream.async_read_some(asio::buffer(room), first.record());
  stream.async_read_some(asio::buffer(other), second.record());
  stream.async_receive([&](error_code ec, fairway::received) {
    receive.ec = ec;
    ++receive.calls;
  });
  pump(port, [&] { return second.done() && receive.done(); });
  CHECK(second.ec == asio::error::in_progress);
  CHECK(second.ec == condition::in_progress);
  CHECK(receive.ec == condition::in_progress);
  CHECK(first.calls == 0);
  peer.write("abc");
  pump(port, [&] { return first.done(); });
  CHECK(std::string_view(room.data(), first.bytes) == "abc");
}

TEST_CASE("a second write is refused and the first goes on unharmed") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  const std::string big = seeded{2}.bytes(64 << 20);
  std::size_t sent = 0;
  // Writes until the buffers on the way are full and a write stays in flight.
  outcome first;
  for (;;) {
    first = {};
    stream.async_write_some(asio::buffer(big) + sent, first.record());
    drain(port);
    if (!first.done()) break;
    REQUIRE(!first.ec);
    sent += first.bytes;
    REQUIRE(sent < big.size());
  }
  outcome second;
  stream.async_write_some(asio::buffer("no", 2), second.record());
  pump(port, [&] { return second.done(); });
  CHECK(second.ec == condition::in_progress);
  CHECK(first.calls == 0);
  std::string got;
  pump(port, [&] {
    peer.read(got);
    return first.done();
  });
  REQUIRE(!first.ec);
  sent += first.bytes;
  got += read_exactly(port, peer, sent - got.size());
  CHECK(got.size() == sent);
  CHECK((got == big.substr(0, sent)));
}

TEST_CASE("a read and a write may be in flight together") {
  completion_port port;
  auto pair = connect_pair(port);
  outcome got;
  outcome put;
  std::array<char, 8> room{};
  pair.a.async_read_some(asio::buffer(room), got.record());
  pair.a.async_write_some(asio::buffer("out", 3), put.record());
  pump(port, [&] { return put.done(); });
  CHECK(got.calls == 0);
  outcome back;
  pair.b.async_write_some(asio::buffer("in", 2), back.record());
  pump(port, [&] { return got.done() && back.done(); });
  CHECK(std::string_view(room.data(), got.bytes) == "in");
}

TEST_CASE("the end of the peer's stream is end of file, again and again") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto [stream, peer] = connect_peer(port, local);
    peer.write("last");
    peer.shutdown_send();
    std::array<char, 16> room{};
    outcome got;
    stream.async_read_some(asio::buffer(room), got.record());
    pump(port, [&] { return got.done(); });
    CHECK(std::string_view(room.data(), got.bytes) == "last");
    for (int i = 0; i < 3; ++i) {
      outcome end;
      stream.async_read_some(asio::buffer(room), end.record());
      pump(port, [&] { return end.done(); });
      CHECK(end.ec == asio::error::eof);
      CHECK(end.ec == condition::eof);
      CHECK(end.bytes == 0);
    }
  }
}
