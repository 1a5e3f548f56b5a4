// The end of a server: who finishes, who is cut, and what the report says.

#include "server/support.hpp"

#include <algorithm>
#include <csignal>

using namespace support;
using enum fairway::end_reason;
using fairway::drain_report;

namespace {

// Answers after as many seconds as the line says.
fairway::task<> answer_later(fairway::connection& client) {
  fairway::framed lines{client.stream(), fairway::line_codec<>{}};
  fairway::timer pause{client.port()};
  while (auto line = co_await lines.async_read()) {
    pause.expires_after(std::chrono::seconds{std::stoi(line.value())});
    (void)co_await pause.async_wait();
    if (!co_await lines.async_write("done " + line.value())) break;
  }
  (void)co_await lines.async_flush();
}

using reported = delivered<drain_report>;

}  // namespace

TEST_CASE("a drain without connections ends at once, and another one too") {
  served s;
  reported first, second;
  s.server->async_drain(10s, first.record());
  CHECK(!first.done());
  pump(s.port, [&] { return first.done(); });
  CHECK(first.value.open_at_start == 0);
  s.server->async_drain(10s, second.record());
  pump(s.port, [&] { return second.done(); });
  CHECK_THROWS_AS(raw_peer::connect(s.where), boost::system::system_error);
}

TEST_CASE("idle and silent connections end at once, busy ones when they have answered") {
  served s{answer_later};
  raw_peer silent = s.connect();
  raw_peer idle = s.connect();
  idle.write("0\n");
  CHECK(read_exactly(s.port, idle, 7) == "done 0\n");
  pump(s.port, [&] { return s.server->metrics().ports[0].idle == 1; });
  raw_peer busy = s.connect();
  busy.write("5\n");
  pump(s.port, [&] { return s.server->metrics().ports[0].requests == 2; });
  reported report;
  s.server->async_drain(10s, report.record());
  CHECK(s.end(silent) == raw_peer::event::end);
  CHECK(s.end(idle) == raw_peer::event::end);
  silent.close();
  idle.close();
  pump(s.port, [&] { return s.open() == 1; });
  CHECK(!report.done());
  s.advance(5s);
  std::string got;
  CHECK(read_to_end(s.port, busy, got) == raw_peer::event::end);
  CHECK(got == "done 5\n");
  busy.close();
  pump(s.port, [&] { return report.done(); });
  CHECK(report.value.open_at_start == 3);
  CHECK(report.value.finished.size() == 3);
  CHECK(report.value.cut.empty());
  CHECK(report.value.took == 5s);
  CHECK(s.ended(drained) == 3);
  CHECK(report.value.text() == "open=3 finished=3 cut=0 seconds=5.000");
}

TEST_CASE("at the deadline the rest are cut, and the report adds up") {
  served s{answer_later};
  raw_peer quick = s.connect();
  raw_peer sluggish = s.connect();
  const fairway::endpoint quick_address = quick.local();
  quick.write("2\n");
  sluggish.write("60\n");
  pump(s.port, [&] { return s.server->metrics().ports[0].requests == 2; });
  reported report;
  s.server->async_drain(10s, report.record());
  s.settle();
  s.advance(2s);
  std::string got;
  CHECK(read_to_end(s.port, quick, got) == raw_peer::event::end);
  CHECK(got == "done 2\n");
  quick.close();
  s.advance(7s + 999ms);
  CHECK(!report.done());
  s.advance(1ms);
  pump(s.port, [&] { return report.done(); });
  CHECK(report.value.open_at_start == 2);
  REQUIRE(report.value.finished.size() == 1);
  CHECK(report.value.finished[0].reason == drained);
  CHECK(report.value.finished[0].remote == quick_address);
  REQUIRE(report.value.cut.size() == 1);
  CHECK(report.value.cut[0].reason == cut_by_drain);
  CHECK(report.value.cut[0].age >= 10s);
  CHECK(report.value.took == 10s);
}

TEST_CASE("pipelined requests that came before the drain are all answered") {
  served s;
  raw_peer peer = s.connect();
  std::string requests;
  for (int i = 0; i < 2000; ++i) requests += "request " + std::to_string(i) + "\n";
  peer.write(requests);
  reported report;
  pump(s.port, [&] { return s.server->metrics().ports[0].bytes_in > 0; });
  s.server->async_drain(10s, report.record());
  std::string got;
  CHECK(read_to_end(s.port, peer, got) == raw_peer::event::end);
  // What the server had received is answered whole, in order, without a torn line.
  CHECK(!got.empty());
  CHECK(requests.starts_with(got));
  CHECK(got.ends_with("\n"));
  peer.close();
  pump(s.port, [&] { return report.done(); });
  CHECK(report.value.cut.empty());
}

TEST_CASE("a handler may drain its own server") {
  served* self = nullptr;
  reported report;
  served s{[&](fairway::connection& c) -> fairway::task<> {
    fairway::framed lines{c.stream(), fairway::line_codec<>{}};
    (void)co_await lines.async_read();
    self->server->async_drain(10s, report.record());
    CHECK(!report.done());
    (void)co_await lines.async_write("draining");
    CHECK(!co_await lines.async_read());
    CHECK(c.stop_requested());
  }};
  self = &s;
  raw_peer peer = s.connect();
  peer.write("drain\n");
  std::string got;
  CHECK(read_to_end(s.port, peer, got) == raw_peer::event::end);
  CHECK(got == "draining\n");
  peer.close();
  pump(s.port, [&] { return report.done(); });
  CHECK(report.value.finished.size() == 1);
}

TEST_CASE("a second drain with an earlier deadline brings the end forward") {
  served s{answer_later};
  raw_peer sluggish = s.connect();
  sluggish.write("60\n");
  pump(s.port, [&] { return s.server->metrics().ports[0].requests == 1; });
  reported first, second;
  s.server->async_drain(30s, first.record());
  s.server->async_drain(3s, second.record());
  s.settle();
  s.advance(3s);
  pump(s.port, [&] { return first.done() && second.done(); });
  CHECK(first.value.cut.size() == 1);
  CHECK(second.value.cut.size() == 1);
}

TEST_CASE("a stop token tells handlers that a drain has begun") {
  bool told = false;
  served s{[&](fairway::connection& c) -> fairway::task<> {
    std::stop_callback note{c.stop_token(), [&] { told = true; }};
    char byte = 0;
    while (co_await c.stream().async_read_some(asio::buffer(&byte, 1))) {}
  }};
  raw_peer peer = s.connect();
  peer.write("x");
  pump(s.port, [&] { return s.server->metrics().ports[0].bytes_in == 1; });
  reported report;
  s.server->async_drain(1s, report.record());
  s.settle();
  CHECK(told);
  s.advance(1s);
  pump(s.port, [&] { return report.done(); });
  CHECK(report.value.cut.size() == 1);
}

TEST_CASE("the first signal drains and the second one stops") {
#if defined(_WIN32)
  std::puts("SKIP: a process cannot send itself one console event without its whole console");
  return;
#endif
  for (const bool twice : {false, true}) {
    served s{answer_later};
    s.server->drain_on_signals();
    raw_peer busy = s.connect();
    busy.write("5\n");
    pump(s.port, [&] { return s.server->metrics().ports[0].requests == 1; });
    std::raise(SIGINT);
    pump(s.port, [&] { return s.events.back().kind == fairway::log_kind::drain_began; });
    CHECK(!s.port.stopped());
    if (twice) {
      std::raise(SIGINT);
    } else {
      s.settle();
      s.advance(5s);
      CHECK(read_exactly(s.port, busy, 7) == "done 5\n");
      busy.close();
    }
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (!s.port.stopped()) {
      s.port.run_one_for(10ms);
      REQUIRE(std::chrono::steady_clock::now() < limit);
    }
    if (!twice) CHECK(s.server->report().finished.size() == 1);
  }
}
