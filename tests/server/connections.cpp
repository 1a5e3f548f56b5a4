// How connections begin and end: reasons, failures, limits, shedding, numbers.

#include "server/support.hpp"

#include <boost/asio/use_future.hpp>

#include <stdexcept>

using namespace support;
using enum fairway::end_reason;

TEST_CASE("a server echoes, and knows the ends of its connections") {
  served s;
  raw_peer one = s.connect();
  raw_peer two = s.connect();
  CHECK(s.ask(one, "hello") == "hello\n");
  CHECK(s.ask(two, "world") == "world\n");
  CHECK(s.open() == 2);
  one.close();
  two.reset();
  pump(s.port, [&] { return s.open() == 0; });
  CHECK(s.ended(peer_closed) == 1);
  CHECK(s.ended(peer_reset) == 1);
  const auto numbers = s.server->metrics();
  CHECK(numbers.ports[0].accepted == 2);
  CHECK(numbers.ports[0].requests == 2);
  CHECK(numbers.ports[0].bytes_in == 12);
  CHECK(numbers.ports[0].bytes_out == 12);
  CHECK(numbers.text().find("fairway_ended_total{port=\"0\",reason=\"peer_reset\"} 1\n") !=
        std::string::npos);
  CHECK(numbers.text().find("fairway_connection_seconds_bucket{port=\"0\",le=\"10.0\"} 2\n") !=
        std::string::npos);
  CHECK(numbers.text().ends_with("# EOF\n"));
}

TEST_CASE("an exception ends its connection and nothing else") {
  served s{[](fairway::connection& c) -> fairway::task<> {
    fairway::framed lines{c.stream(), fairway::line_codec<>{}};
    while (auto line = co_await lines.async_read()) {
      if (line.value() == "throw") throw std::runtime_error{"as asked"};
      if (!co_await lines.async_write(line.value())) break;
    }
  }};
  raw_peer bad = s.connect();
  raw_peer good = s.connect();
  bad.write("throw\n");
  CHECK(s.end(bad) == raw_peer::event::end);
  CHECK(s.ended(handler_failed) == 1);
  CHECK(s.ask(good, "still here") == "still here\n");
  CHECK(s.events.back().reason == handler_failed);
  CHECK(s.events.back().text == "as asked");
  CHECK(to_string(s.events.back()).find("reason=handler_failed") != std::string::npos);
}

TEST_CASE("a handler that is no coroutine may throw as well") {
  served s{[](fairway::connection&) -> fairway::task<> { throw 7; }};
  raw_peer peer = raw_peer::connect(s.where);
  CHECK(s.end(peer) == raw_peer::event::end);
  CHECK(s.ended(handler_failed) == 1);
  CHECK(s.open() == 0);
}

TEST_CASE("the last answer arrives although the client was still sending") {
  served s{[](fairway::connection& c) -> fairway::task<> {
    fairway::framed lines{c.stream(), fairway::line_codec<>{}};
    (void)co_await lines.async_read();
    (void)co_await lines.async_write("goodbye");
    (void)co_await lines.async_flush();
  }};
  raw_peer peer = s.connect();
  peer.write("hello\n" + std::string(100'000, 'x'));
  std::string got;
  CHECK(read_to_end(s.port, peer, got) == raw_peer::event::end);
  CHECK(got == "goodbye\n");
  CHECK(s.ended(finished) == 1);
  CHECK(s.open() == 1);
  peer.close();
  pump(s.port, [&] { return s.open() == 0; });
}

TEST_CASE("a client that does not close is let go at the end of the linger") {
  served s{[](fairway::connection& c) -> fairway::task<> {
    fairway::framed lines{c.stream(), fairway::line_codec<>{}};
    (void)co_await lines.async_read();
  }};
  raw_peer peer = s.connect();
  peer.write("x\n");
  CHECK(s.end(peer) == raw_peer::event::end);
  s.advance(999ms);
  CHECK(s.open() == 1);
  s.advance(1ms);
  CHECK(s.open() == 0);
}

TEST_CASE("a full server sheds the connection that has been idle longest") {
  fairway::server_options options;
  options.limits.connections = 2;
  served s{echo_lines, options};
  raw_peer one = s.connect();
  raw_peer two = s.connect();
  CHECK(s.ask(one, "1") == "1\n");
  CHECK(s.ask(two, "2") == "2\n");
  s.wait_idle();
  CHECK(s.ask(one, "1 again") == "1 again\n");
  s.wait_idle();
  raw_peer three = s.connect();
  CHECK(s.ask(three, "3") == "3\n");
  CHECK(s.end(two) == raw_peer::event::end);
  CHECK(s.ended(shed) == 1);
  CHECK(s.ask(one, "still here") == "still here\n");
  CHECK(s.open() == 2);
}

TEST_CASE("a full server without idle connections refuses") {
  fairway::server_options options;
  options.limits.connections = 1;
  served s{echo_lines, options};
  raw_peer busy = s.connect();
  busy.write("half a request");
  pump(s.port, [&] { return s.server->metrics().ports[0].requests == 1; });
  raw_peer other = s.connect();
  CHECK(s.end(other) == raw_peer::event::end);
  CHECK(s.server->metrics().refused_full == 1);
  busy.write("\n");
  CHECK(read_exactly(s.port, busy, 15) == "half a request\n");
}

TEST_CASE("a full server that pauses takes the next one when another ends") {
  fairway::server_options options;
  options.limits.connections = 1;
  options.limits.full = fairway::when_full::pause;
  served s{echo_lines, options};
  raw_peer one = s.connect();
  CHECK(s.ask(one, "1") == "1\n");
  raw_peer two = raw_peer::connect(s.where);
  two.write("2\n");
  s.settle();
  CHECK(s.server->metrics().ports[0].accepted == 1);
  CHECK(s.server->metrics().accept_pauses == 1);
  one.close();
  CHECK(read_exactly(s.port, two, 2) == "2\n");
}

TEST_CASE("one address may have so many connections and no more") {
  fairway::server_options options;
  options.limits.connections_per_peer = 2;
  served s{echo_lines, options};
  raw_peer one = s.connect();
  raw_peer two = s.connect();
  raw_peer three = s.connect();
  CHECK(s.end(three) == raw_peer::event::end);
  CHECK(s.server->metrics().refused_peer == 1);
  one.close();
  pump(s.port, [&] { return s.open() == 1; });
  raw_peer four = s.connect();
  CHECK(s.ask(four, "4") == "4\n");
}

TEST_CASE("who waits for an idle place on another port counts for its address meanwhile") {
  fairway::completion_port ours;
  const auto from = [&](const char* address, const fairway::endpoint& to) {
    fairway::connector dial{ours, {.source = fairway::endpoint::parse(address).value()}};
    support::accepted made;
    dial.async_connect(to, made.record());
    pump(ours, [&] { return made.done(); });
    REQUIRE(!made.ec);
    return std::move(made.value);
  };
  fairway::port_group ports{2};  // not started: each runs here, when it is its turn
  fairway::server_options options;
  options.limits.connections = 4;
  options.limits.connections_per_peer = 2;
  fairway::server server{ports, echo_lines, options};
  const auto where = server.listen(fairway::endpoint::loopback_v4(0)).value();
  const auto taken = [&] {
    const auto now = server.metrics();
    return now.ports[0].accepted + now.ports[1].accepted;
  };
  const auto run_both = [&] {
    drain(ports[0]);
    drain(ports[1]);
  };
  std::vector<fairway::stream> idle;
  for (const char* address : {"127.0.0.2:0", "127.0.0.2:0", "127.0.0.3:0", "127.0.0.3:0"}) {
    idle.push_back(from(address, where));
  }
  pump(ports[0], [&] {
    drain(ports[1]);
    return taken() == idle.size();
  });
  std::vector<fairway::stream> burst;
  for (int i = 0; i < 8; ++i) burst.push_back(from("127.0.0.4:0", where));
  // The other port does not come to it before all of them are here.
  pump(ports[0], [&] { return server.metrics().refused_peer != 0; });
  drain(ports[0]);
  for (int i = 0; i < 4; ++i) run_both();
  CHECK(server.metrics().refused_peer == 6);
  CHECK(taken() == idle.size() + 2);
  CHECK(server.connections() == 4);
}

TEST_CASE("an IPv4 client is the same one behind a listener of both families") {
  fairway::server_options options;
  options.limits.connections_per_peer = 1;
  served s{echo_lines, options};
  const auto both = s.server->listen(fairway::endpoint::any_v6(0));
  if (!both) {
    std::puts("SKIP: no IPv6 here");
    return;
  }
  raw_peer one = s.connect();
  CHECK(s.ask(one, "1") == "1\n");
  raw_peer two = raw_peer::connect(fairway::endpoint::loopback_v4(both.value().port()));
  CHECK(s.end(two) == raw_peer::event::end);
  CHECK(s.server->metrics().refused_peer == 1);
}

TEST_CASE("a client's path cannot add pairs or lines to a line of the log") {
  const auto path = fairway::endpoint::parse("unix:/tmp/a reason=none\nevent=listening");
  const fairway::log_event event{.kind = fairway::log_kind::connection_refused,
                                 .remote = path.value(),
                                 .text = "full"};
  CHECK(to_string(event) ==
        "event=connection_refused remote=\"unix:/tmp/a reason=none\\\\x0aevent=listening\" "
        "text=\"full\"");
}

TEST_CASE("accepting keeps to its rate") {
  fairway::server_options options;
  options.limits.accepts_per_second = 10;
  served s{echo_lines, options};
  std::vector<raw_peer> peers;
  for (int i = 0; i < 4; ++i) peers.push_back(raw_peer::connect(s.where));
  pump(s.port, [&] { return s.server->metrics().ports[0].accepted == 1; });
  s.settle();
  for (std::uint64_t expected : {2u, 3u, 4u}) {
    s.advance(99ms);
    CHECK(s.server->metrics().ports[0].accepted == expected - 1);
    s.advance(1ms);
    pump(s.port, [&] { return s.server->metrics().ports[0].accepted == expected; });
  }
}

TEST_CASE("a handler finds who it talks to, keeps what it likes, and closes when it likes") {
  fairway::endpoint remote;
  served s{[&](fairway::connection& c) -> fairway::task<> {
    remote = c.remote_endpoint();
    c.user() = std::string{"mine"};
    char byte = 0;
    (void)co_await c.stream().async_read_some(asio::buffer(&byte, 1));
    CHECK(std::any_cast<std::string>(c.user()) == "mine");
    CHECK(c.counters().bytes_in == 1);
    CHECK(c.id() == 1);
    c.close();
    CHECK(c.stop_requested());
  }};
  raw_peer peer = s.connect();
  CHECK(remote == peer.local());
  peer.write("x");
  s.end(peer);
  CHECK(s.ended(closed_by_handler) == 1);
}

TEST_CASE("stopping and destroying cut what is there") {
  served s;
  raw_peer one = s.connect();
  CHECK(s.ask(one, "x") == "x\n");
  s.server->stop();
  s.end(one);
  pump(s.port, [&] { return s.open() == 0; });
  CHECK(s.ended(stopped) == 1);
  CHECK(s.server->listen(s.where).error() == fairway::error::drained);

  served t;
  raw_peer two = t.connect();
  t.server.reset();
  t.end(two);
}

TEST_CASE("a port may go while connections are served") {
  raw_peer peer;
  {
    served s;
    peer = s.connect();
    CHECK(s.ask(peer, "x") == "x\n");
  }
  std::string rest;
  while (peer.read(rest) == raw_peer::event::nothing) {}
}

TEST_CASE("many ports serve, each its own connections") {
  fairway::port_group ports{3};
  fairway::server server{ports, echo_lines};
  const auto where = server.listen(fairway::endpoint::loopback_v4(0)).value();
  ports.start();
  fairway::completion_port ours;
  std::vector<raw_peer> peers;
  for (int i = 0; i < 9; ++i) peers.push_back(raw_peer::connect(where));
  for (raw_peer& peer : peers) peer.write("hello\n");
  for (raw_peer& peer : peers) CHECK(read_exactly(ours, peer, 6) == "hello\n");
  const auto numbers = server.metrics();
  for (const auto& each : numbers.ports) CHECK(each.accepted == 3);
  CHECK(numbers.open() == 9);
  auto report = server.async_drain(5s, fairway::as_result(asio::use_future)).get();
  CHECK(report.value().open_at_start == 9);
  CHECK(report.value().finished.size() == 9);
  CHECK(report.value().cut.empty());
  ports.stop();
  ports.join();
}

TEST_CASE("a full server finds the idle connection of another port") {
  fairway::port_group ports{2};
  fairway::server_options options;
  options.limits.connections = 2;
  fairway::server server{ports, echo_lines, options};
  const auto where = server.listen(fairway::endpoint::loopback_v4(0)).value();
  ports.start();
  fairway::completion_port ours;
  raw_peer busy = raw_peer::connect(where);
  busy.write("half a request");
  pump(ours, [&] { return server.metrics().ports[0].requests == 1; });
  raw_peer idle = raw_peer::connect(where);
  idle.write("2\n");
  CHECK(read_exactly(ours, idle, 2) == "2\n");
  pump(ours, [&] { return server.metrics().ports[1].idle == 1; });
  raw_peer third = raw_peer::connect(where);
  third.write("3\n");
  CHECK(read_exactly(ours, third, 2) == "3\n");
  std::string rest;
  CHECK(read_to_end(ours, idle, rest) == raw_peer::event::end);
  pump(ours, [&] { return server.metrics().ended(shed) == 1; });
  CHECK(server.metrics().refused_full == 0);
  busy.write("\n");
  CHECK(read_exactly(ours, busy, 15) == "half a request\n");
  ports.stop();
  ports.join();
}

namespace {

// Answers without waiting where it can.
fairway::task<> answer_now(fairway::connection& client) {
  fairway::framed lines{client.stream(), fairway::line_codec<>{}};
  while (auto line = co_await lines.async_read()) {
    auto sent = lines.try_write(line.value());
    if (!sent) sent = co_await lines.async_write(line.value());
    if (!sent) break;
  }
}

}  // namespace

TEST_CASE("a small answer leaves in the handler that was given its request, where epoll is used") {
  served s{answer_now};
  raw_peer peer = s.connect();
  CHECK(s.ask(peer, "first") == "first\n");
  s.settle();
  const auto before = s.port.statistics();
  constexpr std::uint64_t count = 100;
  for (std::uint64_t i = 0; i < count; ++i) CHECK(s.ask(peer, "again") == "again\n");
  s.wait_idle();
  const auto after = s.port.statistics();
  if (s.port.engine() == fairway::engine_kind::epoll) {
    CHECK(after.handlers_run - before.handlers_run == count);
  }
  const auto counted = s.server->metrics().ports[0];
  CHECK(counted.requests == count + 1);
  CHECK(counted.bytes_out == counted.bytes_in);
}

TEST_CASE("small answers that a peer reads late are whole and in order") {
  const std::size_t bytes_asked = 10'000'000;
  served s{answer_now};
  raw_peer peer = s.connect();
  std::string text;
  while (text.size() < bytes_asked) {
    text += std::to_string(text.size()) + std::string(900, 'x') + "\n";
  }
  std::size_t asked = 0;
  for (int quiet = 0; quiet < 20 && asked < text.size();) {
    const std::size_t more = peer.write_some(std::string_view{text}.substr(asked, 1000));
    asked += more;
    quiet = more == 0 ? quiet + 1 : 0;
    if (quiet != 0) s.port.run_one_for(2ms);
    s.settle();
  }
  const std::size_t whole = text.rfind('\n', asked - 1) + 1;
  const std::string got = read_exactly(s.port, peer, whole);
  CHECK(got.size() == whole);
  CHECK(text.starts_with(got));
}
