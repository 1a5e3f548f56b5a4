// Asio's own composed operations over a stream.

#include "support/net.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <istream>

using namespace support;
using fairway::completion_port;
using fairway::condition;

TEST_CASE("async_read collects the pieces that the peer sends") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 9> room{};
  outcome got;
  asio::async_read(stream, asio::buffer(room), got.record());
  for (const char* piece : {"abc", "def", "ghi"}) {
    CHECK(got.calls == 0);
    peer.write(piece);
    drain(port);
  }
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
  CHECK(std::string_view(room.data(), got.bytes) == "abcdefghi");
}

TEST_CASE("async_read that meets the end tells how much there was") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 9> room{};
  outcome got;
  asio::async_read(stream, asio::buffer(room), got.record());
  peer.write("abcd");
  peer.shutdown_send();
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == asio::error::eof);
  CHECK(got.bytes == 4);
}

TEST_CASE("async_read stops at its completion condition") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.write("abcdef");
  std::array<char, 100> room{};
  outcome got;
  asio::async_read(stream, asio::buffer(room), asio::transfer_at_least(5), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
  CHECK(got.bytes >= 5);
}

TEST_CASE("async_write of many buffers writes all of them") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  const std::string bytes = seeded{40}.bytes(3 << 20);
  std::vector<asio::const_buffer> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += 10'007) {
    pieces.push_back(asio::buffer(bytes, std::min<std::size_t>(bytes.size(), at + 10'007)) + at);
  }
  REQUIRE(pieces.size() > 64);
  outcome put;
  asio::async_write(stream, pieces, put.record());
  std::string got;
  pump(port, [&] {
    peer.read(got);
    return got.size() >= bytes.size() && put.done();
  });
  CHECK(!put.ec);
  CHECK(put.bytes == bytes.size());
  CHECK((got == bytes));
}

TEST_CASE("async_read_until splits lines, in a dynamic buffer and in a streambuf") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::string lines;
  outcome got;
  asio::async_read_until(stream, asio::dynamic_buffer(lines), "\r\n", got.record());
  peer.write("GET / HT");
  drain(port);
  CHECK(got.calls == 0);
  peer.write("TP/1.1\r\nHost");
  pump(port, [&] { return got.done(); });
  CHECK(lines.substr(0, got.bytes) == "GET / HTTP/1.1\r\n");
  peer.write(": x\n");
  asio::streambuf rest;
  outcome next;
  asio::async_read_until(stream, rest, '\n', next.record());
  pump(port, [&] { return next.done(); });
  std::string line;
  std::istream in{&rest};
  std::getline(in, line);
  CHECK(lines.substr(got.bytes) + line == "Host: x");
}

TEST_CASE("async_read_until tells when the buffer is full without a match") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::string small;
  outcome got;
  asio::async_read_until(stream, asio::dynamic_buffer(small, 8), '\n', got.record());
  peer.write("0123456789\n");
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == asio::error::not_found);
}

TEST_CASE("async_write of a streambuf consumes what it wrote") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  asio::streambuf buffer;
  std::ostream{&buffer} << "written through a stream buffer";
  const std::size_t size = buffer.size();
  outcome put;
  asio::async_write(stream, buffer, put.record());
  pump(port, [&] { return put.done(); });
  CHECK(put.bytes == size);
  CHECK(buffer.size() == 0);
  CHECK(read_exactly(port, peer, size) == "written through a stream buffer");
}

TEST_CASE("a coroutine may read and write in child coroutines") {
  completion_port port;
  auto pair = connect_pair(port);
  struct steps {
    static coroutine<std::size_t> write(fairway::stream& s, std::string text) {
      co_return co_await asio::async_write(s, asio::buffer(text), asio::deferred);
    }
    static coroutine<std::string> read(fairway::stream& s, std::size_t size) {
      std::string text(size, '\0');
      co_await asio::async_read(s, asio::buffer(text), asio::deferred);
      co_return text;
    }
  };
  run(port, [](stream_pair& p) -> coroutine<void> {
    for (int i = 0; i < 100; ++i) {
      const std::string text = "round " + std::to_string(i);
      CHECK(co_await steps::write(p.a, text) == text.size());
      CHECK(co_await steps::read(p.b, text.size()) == text);
    }
  }(pair));
}

TEST_CASE("the stream is its own lowest layer") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  static_assert(std::is_same_v<fairway::stream::lowest_layer_type, fairway::stream>);
  CHECK(&stream.lowest_layer() == &stream);
  CHECK(stream.get_executor() == port.get_executor());
}
