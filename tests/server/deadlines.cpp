// Deadlines of connections, on a manual clock: at their time, not before, for the right reason.

#include "server/support.hpp"
#include "support/limits.hpp"

using namespace support;
using enum fairway::end_reason;

namespace {

// The connection is there shortly before the deadline and gone at it.
void check_deadline(served& s, raw_peer& peer, fairway::port_clock::duration after,
                    fairway::end_reason why) {
  s.advance(after - 1ms);
  CHECK(s.open() == 1);
  CHECK(s.ended(why) == 0);
  s.advance(1ms);
  CHECK(s.ended(why) == 1);
  CHECK(s.open() == 0);
  const auto last = s.end(peer);
  CHECK((last == raw_peer::event::end || last == raw_peer::event::reset));
}

}  // namespace

TEST_CASE("a connection that says nothing is gone at the handshake deadline") {
  served s;
  raw_peer silent = s.connect();
  check_deadline(s, silent, 10s, handshake_timeout);
}

TEST_CASE("an idle connection is gone at the idle deadline, counted from its last answer") {
  served s;
  raw_peer peer = s.connect();
  CHECK(s.ask(peer, "one") == "one\n");
  s.wait_idle();
  s.advance(119s);
  CHECK(s.ask(peer, "two") == "two\n");
  s.wait_idle();
  check_deadline(s, peer, 120s, idle_timeout);
}

TEST_CASE("a request that comes too slowly is gone at the request deadline") {
  served s;
  raw_peer peer = s.connect();
  CHECK(s.ask(peer, "fast") == "fast\n");
  s.wait_idle();
  for (int second = 0; second < 29; ++second) {
    peer.write("x");
    pump(s.port, [&, before = s.server->metrics().ports[0].bytes_in] {
      return s.server->metrics().ports[0].bytes_in == before + 1;
    });
    s.advance(1s);
    CHECK(s.open() == 1);
  }
  check_deadline(s, peer, 1s, request_timeout);
}

TEST_CASE("a large request that keeps up the rate may take as long as it needs") {
  served s;
  raw_peer peer = s.connect();
  const std::string piece(24'000, 'x');
  for (int i = 0; i < 10; ++i) {
    peer.write(piece);
    pump(s.port, [&] {
      return s.server->metrics().ports[0].bytes_in == piece.size() * (i + 1ull);
    });
    s.advance(20s);
    CHECK(s.open() == 1);
  }
  peer.write("\n");
  CHECK(read_exactly(s.port, peer, piece.size() * 10 + 1).size() == piece.size() * 10 + 1);
}

TEST_CASE("a peer that does not read is gone at the stall deadline") {
  served s;
  raw_peer peer = s.connect();
  peer.set_receive_buffer(4096);
  const std::string line = std::string(500'000, 'x') + "\n";
  std::size_t sent = 0;
  for (int quiet = 0; quiet < 50; ++quiet) {
    const std::size_t now = peer.write_some(std::string_view{line}.substr(sent % line.size()));
    if (now != 0) quiet = 0;
    sent += now;
    s.port.run_one_for(2ms);
    s.settle();
    REQUIRE(sent < 500'000'000);
  }
  CHECK(s.open() == 1);
  check_deadline(s, peer, 30s, write_stall);
}

TEST_CASE("an explicit handshake lasts until the handler says so") {
  fairway::server_options options;
  options.limits.explicit_handshake = true;
  served s{[](fairway::connection& c) -> fairway::task<> {
             fairway::framed lines{c.stream(), fairway::line_codec<>{}};
             while (auto line = co_await lines.async_read()) {
               if (line.value() == "password") c.established();
               if (!co_await lines.async_write("ok")) break;
             }
           },
           options};
  raw_peer wrong = s.connect();
  wrong.write("guess\n");
  CHECK(read_exactly(s.port, wrong, 3) == "ok\n");
  s.advance(9s);
  raw_peer right = s.connect();
  right.write("password\n");
  CHECK(read_exactly(s.port, right, 3) == "ok\n");
  s.advance(1s);
  CHECK(s.ended(handshake_timeout) == 1);
  s.advance(20s);
  CHECK(s.open() == 1);
}

TEST_CASE("a thousand silent connections all go at their deadline") {
  const std::size_t count = scaled(1000);
  served s;
  std::vector<raw_peer> peers;
  for (std::size_t i = 0; i < count; ++i) {
    peers.push_back(s.connect());
    if (i == count / 2) s.advance(1s);
  }
  s.advance(9s);
  CHECK(s.ended(handshake_timeout) == count / 2 + 1);
  s.advance(1s);
  CHECK(s.ended(handshake_timeout) == count);
  CHECK(s.open() == 0);
}
