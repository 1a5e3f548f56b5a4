// Many bytes both ways at once, and streams that move while they do.

#include "support/net.hpp"

#include <array>

using namespace support;
using fairway::completion_port;
using fairway::stream;

namespace {

coroutine<void> send_all(stream& s, const std::string& bytes) {
  co_await asio::async_write(s, asio::buffer(bytes), asio::deferred);
  REQUIRE(s.shutdown(fairway::shutdown_kind::send).has_value());
}

coroutine<void> read_all(stream& s, std::string& into) {
  std::array<char, 40'000> room;
  for (;;) {
    auto got = co_await s.async_read_some(asio::buffer(room));
    if (!got) {
      CHECK(got.error() == fairway::condition::eof);
      co_return;
    }
    into.append(room.data(), got.value());
  }
}

coroutine<void> receive_all(stream& s, std::string& into) {
  for (;;) {
    auto got = co_await s.async_receive();
    if (!got) {
      CHECK(got.error() == fairway::condition::eof);
      co_return;
    }
    into += text_of(got.value());
  }
}

template <class Reader>
void exchange(const fairway::endpoint& local, Reader reader) {
  CAPTURE(local.to_string());
  completion_port port;
  auto pair = connect_pair(port, local);
  const std::string forth = seeded{3}.bytes((8 << 20) + 13);
  const std::string back = seeded{4}.bytes((6 << 20) + 7);
  std::string got_forth;
  std::string got_back;
  unsigned running = 4;
  const auto ended = [&](std::exception_ptr e) {
    --running;
    if (e) std::rethrow_exception(e);
  };
  asio::co_spawn(port, send_all(pair.a, forth), ended);
  asio::co_spawn(port, send_all(pair.b, back), ended);
  asio::co_spawn(port, reader(pair.b, got_forth), ended);
  asio::co_spawn(port, reader(pair.a, got_back), ended);
  pump(port, [&] { return running == 0; });
  CHECK((got_forth == forth));
  CHECK((got_back == back));
}

}  // namespace

TEST_CASE("megabytes both ways at once arrive unchanged, over each family") {
  for (const auto& local : loopback_endpoints()) exchange(local, read_all);
}

TEST_CASE("megabytes both ways through the engine's buffers arrive unchanged, over each family") {
  for (const auto& local : loopback_endpoints()) exchange(local, receive_all);
}

TEST_CASE("moving a stream leaves the operations in flight alone") {
  completion_port port;
  auto [first, peer] = connect_peer(port);
  std::array<char, 8> room{};
  outcome got;
  first.async_read_some(asio::buffer(room), got.record());
  drain(port);
  stream second = std::move(first);
  CHECK_FALSE(first.is_open());
  stream third;
  third = std::move(second);
  drain(port);
  CHECK(got.calls == 0);
  peer.write("moved");
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
  CHECK(std::string_view(room.data(), got.bytes) == "moved");
}

TEST_CASE("assigning over a stream closes the one that was there") {
  completion_port port;
  auto [first, first_peer] = connect_peer(port);
  auto [second, second_peer] = connect_peer(port);
  std::array<char, 8> room{};
  outcome got;
  first.async_read_some(asio::buffer(room), got.record());
  first = std::move(second);
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == asio::error::operation_aborted);
  std::string rest;
  CHECK(read_to_end(port, first_peer, rest) == raw_peer::event::end);
  CHECK(second_peer.read(rest) == raw_peer::event::nothing);
}

TEST_CASE("async_wait for reading completes when bytes are there and takes none") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  outcome ready;
  stream.async_wait(fairway::wait_kind::read, ready.record_error());
  drain(port);
  CHECK(ready.calls == 0);
  peer.write("abc");
  pump(port, [&] { return ready.done(); });
  CHECK(!ready.ec);
  std::array<char, 8> room{};
  outcome got;
  stream.async_read_some(asio::buffer(room), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.bytes == 3);
}

TEST_CASE("async_wait for writing completes while there is room") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  for (int i = 0; i < 3; ++i) {
    outcome ready;
    stream.async_wait(fairway::wait_kind::write, ready.record_error());
    pump(port, [&] { return ready.done(); });
    CHECK(!ready.ec);
  }
}

TEST_CASE("async_wait for reading completes at the end of the peer's stream") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  outcome ready;
  stream.async_wait(fairway::wait_kind::read, ready.record_error());
  drain(port);
  peer.shutdown_send();
  pump(port, [&] { return ready.done(); });
  CHECK(!ready.ec);
}
