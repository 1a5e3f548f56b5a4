// The ends of a stream: ours, the peer's, in order or not.

#include "support/limits.hpp"
#include "support/net.hpp"

#include <array>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::shutdown_kind;

TEST_CASE("closing ends a pending read with operation aborted") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto [stream, peer] = connect_peer(port, local);
    std::array<char, 8> room{};
    outcome got;
    stream.async_read_some(asio::buffer(room), got.record());
    drain(port);
    stream.close();
    CHECK_FALSE(stream.is_open());
    CHECK(got.calls == 0);
    pump(port, [&] { return got.done(); });
    CHECK(got.ec == asio::error::operation_aborted);
    CHECK(got.ec == condition::aborted);
    std::string rest;
    CHECK(read_to_end(port, peer, rest) == raw_peer::event::end);
    drain(port);
    CHECK(got.calls == 1);
  }
}

TEST_CASE("destroying a stream ends its pending receive with operation aborted") {
  completion_port port;
  auto half = connect_peer(port);
  received_bytes got;
  {
    auto stream = std::move(half.stream);
    stream.async_receive(got.record());
    drain(port);
  }
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
  CHECK(got.value.empty());
  std::string rest;
  CHECK(read_to_end(port, half.peer, rest) == raw_peer::event::end);
}

TEST_CASE("closing ends a pending write with operation aborted") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  const std::string big(1 << 20, 'x');
  outcome put;
  do {
    put = {};
    stream.async_write_some(asio::buffer(big), put.record());
    drain(port);
  } while (put.done());
  stream.close();
  pump(port, [&] { return put.done(); });
  CHECK(put.ec == condition::aborted);
}

TEST_CASE("closing twice and closing after destruction of the peer are harmless") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.close();
  stream.close();
  stream.close();
  stream.cancel();
  drain(port);
  CHECK_FALSE(stream.is_open());
}

TEST_CASE("every operation on a closed stream fails with bad descriptor") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  stream.close();
  std::array<char, 8> room{};
  outcome got;
  outcome put;
  stream.async_read_some(asio::buffer(room), got.record());
  stream.async_write_some(asio::buffer(room), put.record());
  pump(port, [&] { return got.done() && put.done(); });
  CHECK(got.ec == asio::error::bad_descriptor);
  CHECK(put.ec == asio::error::bad_descriptor);
  received_bytes r;
  outcome ready;
  stream.async_receive(r.record());
  stream.async_wait(fairway::wait_kind::write, ready.record_error());
  pump(port, [&] { return r.done() && ready.done(); });
  CHECK(r.ec == asio::error::bad_descriptor);
  CHECK(ready.ec == asio::error::bad_descriptor);
  CHECK(stream.shutdown(shutdown_kind::send).has_error());
  CHECK(stream.local_endpoint().has_error());
  CHECK(stream.remote_endpoint().has_error());
  CHECK(stream.set_option(fairway::no_delay{true}).has_error());
  CHECK(stream.release().has_error());
}

TEST_CASE("the peer reads all that was written before the close, then the end") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto [stream, peer] = connect_peer(port, local);
    // What fits without a reader: less in a ring than in the buffers of sockets.
    const std::string text = seeded{5}.bytes(over_shared_memory() ? 50'000 : 100'000);
    outcome put;
    std::size_t sent = 0;
    while (sent < text.size()) {
      put = {};
      stream.async_write_some(asio::buffer(text) + sent, put.record());
      pump(port, [&] { return put.done(); });
      REQUIRE(!put.ec);
      sent += put.bytes;
    }
    // A receive that waits must not turn the close into a reset.
    received_bytes waiting;
    stream.async_receive(waiting.record());
    drain(port);
    stream.close();
    std::string got;
    CHECK(read_to_end(port, peer, got) == raw_peer::event::end);
    CHECK((got == text));
    pump(port, [&] { return waiting.done(); });
    CHECK(waiting.ec == condition::aborted);
  }
}

TEST_CASE("a reset by the peer is a reset and not an end of file") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  outcome got;
  stream.async_read_some(asio::buffer(room), got.record());
  drain(port);
  peer.reset();
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::reset);
  CHECK(got.ec != condition::aborted);
  CHECK(got.ec != condition::eof);
}

TEST_CASE("a reset by the peer ends a pending receive as a reset") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  received_bytes got;
  stream.async_receive(got.record());
  drain(port);
  peer.reset();
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::reset);
}

TEST_CASE("writing to a peer that is gone is a reset") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.reset();
  outcome put;
  // The first writes may go before the reset has come.
  for (int i = 0; i < 1000 && !put.ec; ++i) {
    put = {};
    stream.async_write_some(asio::buffer("x", 1), put.record());
    pump(port, [&] { return put.done(); });
  }
  CHECK(put.ec == condition::reset);
}

TEST_CASE("after our half-close the peer reads the end and may still answer") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto [stream, peer] = connect_peer(port, local);
    outcome put;
    stream.async_write_some(asio::buffer("question", 8), put.record());
    pump(port, [&] { return put.done(); });
    REQUIRE(stream.shutdown(shutdown_kind::send).has_value());
    std::string got;
    CHECK(read_to_end(port, peer, got) == raw_peer::event::end);
    CHECK(got == "question");
    peer.write("answer");
    std::array<char, 16> room{};
    outcome answer;
    stream.async_read_some(asio::buffer(room), answer.record());
    pump(port, [&] { return answer.done(); });
    CHECK(std::string_view(room.data(), answer.bytes) == "answer");
    outcome late;
    stream.async_write_some(asio::buffer("x", 1), late.record());
    pump(port, [&] { return late.done(); });
    CHECK(late.ec == condition::reset);
  }
}

TEST_CASE("after the peer's half-close we may still write") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.shutdown_send();
  std::array<char, 8> room{};
  outcome end;
  stream.async_read_some(asio::buffer(room), end.record());
  pump(port, [&] { return end.done(); });
  CHECK(end.ec == condition::eof);
  outcome put;
  stream.async_write_some(asio::buffer("still here", 10), put.record());
  pump(port, [&] { return put.done(); });
  CHECK(!put.ec);
  CHECK(read_exactly(port, peer, 10) == "still here");
}

TEST_CASE("a close while nobody runs the port is told to the peer without another run") {
  enum class how { close, destroy, close_before_stop };
  for (const auto& local : loopback_endpoints()) {
    for (const how each : {how::close, how::destroy, how::close_before_stop}) {
      CAPTURE(local.to_string());
      CAPTURE(static_cast<int>(each));
      completion_port port;
      auto half = connect_peer(port, local);
      auto stream = std::move(half.stream);
      std::array<char, 8> room{};
      outcome got;
      stream.async_read_some(asio::buffer(room), got.record());
      drain(port);
      if (each == how::close) {
        stream.close();
      } else if (each == how::destroy) {
        const auto gone = std::move(stream);
      } else if (on_windows) {
        continue;  // there the port has to look at its queue once more
      } else {
        if (port.stopped()) port.restart();
        asio::post(port, [&] {
          stream.close();
          port.stop();
        });
        port.run();
      }
      std::string rest;
      auto last = raw_peer::event::nothing;
      const auto limit = std::chrono::steady_clock::now() + 5s;
      while (last == raw_peer::event::nothing && std::chrono::steady_clock::now() < limit) {
        last = half.peer.read(rest);
        std::this_thread::yield();
      }
      CHECK(last == raw_peer::event::end);
      CHECK(got.calls == 0);
    }
  }
}
