// Deadlines of connections, on a manual clock: at their time, not before, for the right reason.

#include "server/support.hpp"
#include "support/limits.hpp"

#include <fairway/protocol/length_prefix.hpp>

#include <algorithm>
#include <functional>
#include <set>
#include <stop_token>
#include <utility>

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

TEST_CASE("the kernel takes no more of the answers to a peer that does not read than is allowed") {
  fairway::server_options options;
  options.limits.unsent_bytes = 64 * 1024;
  served s{[](fairway::connection& c) -> fairway::task<> {
             std::string much(100'000, 'x');
             (void)co_await c.stream().async_read_some(asio::buffer(much, 1));
             for (bool more = true; more;) {
               const auto put = co_await fairway::async_write(c.stream(), asio::buffer(much));
               more = put.has_value();
             }
           },
           options};
  raw_peer deaf = s.connect();
  deaf.write("x");
  const auto taken = [&] { return s.server->metrics().ports[0].bytes_out; };
  std::uint64_t before = 0;
  for (int quiet = 0; quiet < 50; ++quiet) {
    if (std::exchange(before, taken()) != taken()) quiet = 0;
    s.port.run_one_for(2ms);
    s.settle();
  }
  // The limit, a write more, and what the peer's own buffer has room for.
  CHECK(taken() > 64 * 1024);
  CHECK(taken() < 1024 * 1024);
  check_deadline(s, deaf, 30s, write_stall);
}

TEST_CASE("a peer that reads slowly what is written in one go is not stalled") {
  constexpr std::size_t size = 6'000'000;
  served s{[](fairway::connection& c) -> fairway::task<> {
    fairway::framed frames{c.stream(),
                           fairway::length_prefix_codec<>{{.frame_bytes_max = size}}};
    (void)co_await frames.async_read();
    const std::string much(size - 4, 'x');  // lent, so it leaves in one write if it can
    CHECK(co_await frames.async_write(much));
  }};
  raw_peer reader = s.connect();
  reader.write(std::string_view{"\0\0\0\1x", 5});
  std::string got;
  for (std::size_t part = 1; part <= 6; ++part) {
    pump(s.port, [&] {
      reader.read(got);
      return got.size() >= part * size / 6;
    });
    s.settle();
    if (part != 6) s.advance(20s);
  }
  CHECK(s.end(reader) == raw_peer::event::end);
  CHECK(got.size() == size);
  CHECK(s.ended(write_stall) == 0);
}

TEST_CASE("without a handshake deadline a silent connection is idle from the beginning") {
  fairway::server_options options;
  options.limits.handshake = {};
  options.limits.connections = 2;
  served s{echo_lines, options};
  raw_peer first = s.connect();
  raw_peer second = s.connect();
  s.wait_idle();
  CHECK(s.server->metrics().ports[0].idle == 2);
  raw_peer third = s.connect();
  CHECK(s.ask(third, "3") == "3\n");
  CHECK(s.end(first) == raw_peer::event::end);
  CHECK(s.ended(shed) == 1);
  third.close();
  pump(s.port, [&] { return s.open() == 1; });
  check_deadline(s, second, 120s, idle_timeout);
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

TEST_CASE("without a handshake deadline nothing depends on established") {
  fairway::server_options options;
  options.limits.handshake = {};
  options.limits.explicit_handshake = true;
  options.limits.connections = 2;
  served s{echo_lines, options};
  raw_peer silent = s.connect();
  raw_peer spoke = s.connect();
  CHECK(s.ask(spoke, "never established") == "never established\n");
  s.settle();
  CHECK(s.server->metrics().ports[0].idle == 2);
  raw_peer third = s.connect();
  CHECK(s.ask(third, "3") == "3\n");
  CHECK(s.end(silent) == raw_peer::event::end);
  CHECK(s.ended(shed) == 1);
  third.close();
  pump(s.port, [&] { return s.open() == 1; });
  check_deadline(s, spoke, 120s, idle_timeout);
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

namespace {

// Echoes frames of up to 16 MiB, and knows what its connections keep in memory.
struct frame_server {
  using peer = fairway::framed<fairway::connection_stream&, fairway::length_prefix_codec<>>;

  fairway::task<> serve(fairway::connection& client) {
    // Little room in the kernel, so that an unread answer is soon stuck.
    CHECK(client.stream().socket().set_option(fairway::send_buffer_bytes{16 * 1024}));
    peer frames{client.stream(),
                fairway::length_prefix_codec<>{{.frame_bytes_max = 16 * 1024 * 1024}}};
    const auto place = all.insert(&frames).first;
    while (auto frame = co_await frames.async_read()) {
      if (!co_await frames.async_write(frame.value())) break;
    }
    all.erase(place);
  }
  std::size_t held_bytes() const {
    std::size_t sum = 0;
    for (const peer* each : all) sum += each->held_bytes();
    return sum;
  }

  std::set<const peer*> all;
};

}  // namespace

TEST_CASE("a crowd of hostile clients is gone at its deadlines, and others are served meanwhile") {
  const std::size_t each = scaled(200);
  frame_server frames;
  served s{[&](fairway::connection& c) { return frames.serve(c); }};
  raw_peer good = s.connect();
  const auto ask = [&] {
    const std::string frame{"\0\0\0\5hello", 9};
    good.write(frame);
    CHECK((read_exactly(s.port, good, frame.size()) == frame));
  };
  const auto crowd = [&](std::string_view first_words) {
    std::vector<raw_peer> peers;
    for (std::size_t i = 0; i < each; ++i) {
      peers.push_back(s.connect());
      if (!first_words.empty()) peers.back().write(first_words);
    }
    return peers;
  };
  std::vector<raw_peer> silent = crowd({});
  std::vector<raw_peer> drip = crowd({"\0\0\1\0", 4});
  std::vector<raw_peer> huge = crowd({"\0\xff\xff\xf0", 4});
  for (raw_peer& reset : crowd("x")) reset.reset();
  std::vector<raw_peer> deaf = crowd({});
  for (raw_peer& peer : deaf) {
    peer.set_receive_buffer(4096);
    std::string asks(4 + 16 * 1024, '\0');
    asks[2] = '\x40';
    for (int i = 0; i < 40; ++i) {
      if (peer.write_some(asks) != asks.size()) break;
    }
  }
  ask();
  pump(s.port, [&] { return s.open() == 1 + 4 * each; });
  // Nothing is set aside for what is only declared; a deaf one costs the write marks at most.
  CHECK(frames.held_bytes() <= s.open() * 1024 + each * 160 * 1024);
  for (int second = 1; second <= 30; ++second) {
    for (raw_peer& peer : drip) peer.write("x");
    s.settle();
    s.advance(999ms);
    CHECK(s.open() == 1 + (second <= 10 ? 4 : 3) * each);
    ask();
    s.advance(1ms);
  }
  CHECK(s.ended(handshake_timeout) == each);
  CHECK(s.ended(request_timeout) == 2 * each);
  CHECK(s.ended(write_stall) == each);
  CHECK(s.ended(peer_reset) + s.ended(peer_closed) <= each);
  ask();
  CHECK(s.open() == 1);
}

namespace {

constexpr std::size_t crowd_step_max = 16;

// Counts the connections that are told to stop, and notes how many had been when one was answered.
struct crowd_watch {
  fairway::task<> serve(fairway::connection& client) {
    std::stop_callback note{client.stop_token(), [this] {
                              if (told++ == 0 && first_told) first_told();
                            }};
    fairway::framed lines{client.stream(), fairway::line_codec<>{}};
    while (auto line = co_await lines.async_read()) {
      told_when_answered = told;
      const auto sent = co_await lines.async_write(line.value());
      if (!sent) break;
    }
  }
  // Runs handlers one by one. Returns the most that one of them told.
  std::size_t most_of_one_handler(fairway::completion_port& port, std::size_t until) {
    std::size_t most = 0;
    pump(port, [&] { return told != 0; });
    most = told;
    for (std::size_t before = told; told < until; before = told) {
      port.run_one_for(100ms);
      most = std::max(most, told - before);
    }
    return most;
  }

  std::size_t told = 0;
  std::size_t told_when_answered = 0;
  std::function<void()> first_told;
};

}  // namespace

TEST_CASE("a crowd whose deadlines come at once goes a few a turn, and others are served between") {
  const std::size_t count = 200;
  crowd_watch watch;
  served s{[&](fairway::connection& c) { return watch.serve(c); }};
  raw_peer good = s.connect();
  CHECK(s.ask(good, "before") == "before\n");
  std::vector<raw_peer> silent;
  for (std::size_t i = 0; i < count; ++i) silent.push_back(s.connect());
  watch.first_told = [&] { good.write("between\n"); };
  s.clock.advance(10s);
  CHECK(watch.most_of_one_handler(s.port, count) <= crowd_step_max);
  CHECK(read_exactly(s.port, good, 8) == "between\n");
  CHECK(watch.told_when_answered < count);
  s.settle();
  CHECK(s.ended(handshake_timeout) == count);
  CHECK(s.open() == 1);
}

TEST_CASE("a drain tells a crowd a few a turn, and cuts it whole at its deadline") {
  const std::size_t count = 100;
  crowd_watch watch;
  std::size_t busy = 0;
  served s{[&](fairway::connection& c) -> fairway::task<> {
    fairway::timer hour{c.port(), 1h};
    std::stop_callback note{c.stop_token(), [&] { ++watch.told; }};
    char byte = 0;
    (void)co_await c.stream().async_read_some(asio::buffer(&byte, 1));
    ++busy;
    (void)co_await hour.async_wait();
  }};
  std::vector<raw_peer> peers;
  for (std::size_t i = 0; i < count; ++i) {
    peers.push_back(s.connect());
    peers.back().write("x");
  }
  pump(s.port, [&] { return busy == count; });
  delivered<fairway::drain_report> report;
  s.server->async_drain(10s, report.record());
  CHECK(watch.most_of_one_handler(s.port, count) <= crowd_step_max);
  s.settle();
  CHECK(s.open() == count);
  s.advance(10s);
  pump(s.port, [&] { return report.done(); });
  CHECK(report.value.open_at_start == count);
  CHECK(report.value.cut.size() == count);
  CHECK(report.value.finished.empty());
}

TEST_CASE("a drain's last cut takes a few a turn, and others are served between") {
  const std::size_t count = 200;
  std::vector<fairway::connection*> crowd;
  served s{[&](fairway::connection& c) -> fairway::task<> {
    fairway::timer hour{c.port(), 1h};
    char byte = 0;
    (void)co_await c.stream().async_read_some(asio::buffer(&byte, 1));
    crowd.push_back(&c);
    (void)co_await hour.async_wait();
  }};
  const auto cut_so_far = [&] {
    return static_cast<std::size_t>(std::ranges::count_if(crowd, [](fairway::connection* c) {
      return c->reason() == cut_by_drain && !c->stream().is_open();
    }));
  };
  std::vector<raw_peer> peers;
  for (std::size_t i = 0; i < count; ++i) {
    peers.push_back(s.connect());
    peers.back().write("x");
  }
  pump(s.port, [&] { return crowd.size() == count; });
  auto other = connect_peer(s.port);
  std::size_t cut_when_served = 0;
  char byte = 0;
  bool was_served = false;
  other.stream.async_read_some(asio::buffer(&byte, 1), [&](error_code ec, std::size_t) {
    was_served = !ec;
    cut_when_served = cut_so_far();
  });
  delivered<fairway::drain_report> report;
  s.server->async_drain(10s, report.record());
  s.settle();
  CHECK(cut_so_far() == 0);
  s.clock.advance(10s);
  std::size_t most = 0;
  std::size_t parts = 0;
  for (std::size_t before = 0; before < count;) {
    REQUIRE(s.port.run_one_for(patience) == 1);
    const std::size_t after = cut_so_far();
    if (before == 0 && after != 0) other.peer.write("y");
    if (after != before) ++parts;
    most = std::max(most, after - before);
    before = after;
  }
  CHECK(most <= crowd_step_max);
  CHECK(parts >= count / crowd_step_max);
  pump(s.port, [&] { return was_served && report.done(); });
  CHECK(cut_when_served < count);
  CHECK(report.value.open_at_start == count);
  CHECK(report.value.cut.size() == count);
  s.advance(1h);
  CHECK(s.open() == 0);
}
