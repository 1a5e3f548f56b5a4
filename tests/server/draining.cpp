// The end of a server: who finishes, who is cut, what the report says; and the end of its ports.

#include "net/open_files.hpp"
#include "server/support.hpp"
#include "support/census.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <type_traits>

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

// Waits where its first line says, for longer than its port lives.
auto waits_in(census& people) {
  return [&people](fairway::connection& client) -> fairway::task<> {
    census::member here{people};
    fairway::framed lines{client.stream(), fairway::line_codec<>{}};
    const auto where = co_await lines.async_read();
    const std::string what = where ? where.value() : "nothing";
    if (what == "read") {
      (void)co_await lines.async_read();
    } else if (what == "bare read") {
      char byte = 0;
      (void)co_await client.stream().async_read_some(asio::buffer(&byte, 1));
    } else if (what == "write") {
      for (bool more = true; more;) {
        const auto wrote = co_await lines.async_write(std::string(1000, 'x'));
        more = wrote.has_value();
      }
    } else if (what == "deadline") {
      fairway::timer hour{client.port(), 1h};
      (void)co_await hour.async_wait();
    } else if (what == "linger") {
      co_return;
    }
    here.runs();
  };
}

constexpr std::array waits{"read", "bare read", "write", "deadline", "linger"};

// A server on ports of its own whose connections wait in every way.
template <class Ports>
struct held_up {
  template <class... Options>
  held_up(fairway::server_options options, Options... count) {
    ports = std::make_unique<Ports>(count...);
    server = std::make_shared<fairway::server>(*ports, waits_in(people), std::move(options));
    where = server->listen(fairway::endpoint::loopback_v4(0)).value();
  }
  fairway::completion_port& port(std::size_t i) {
    if constexpr (std::is_same_v<Ports, fairway::port_group>) {
      return (*ports)[i];
    } else {
      return *ports;
    }
  }
  void settle() {
    for (std::size_t round = 0; round < 3; ++round) {
      for (std::size_t i = 0; i < server->metrics().ports.size(); ++i) drain(port(i));
    }
  }
  std::uint64_t requests() {
    std::uint64_t sum = 0;
    for (const auto& each : server->metrics().ports) sum += each.requests;
    return sum;
  }
  void fill() {
    for (int of_each = 0; of_each < 3; ++of_each) {
      for (const char* what : waits) {
        peers.push_back(raw_peer::connect(where));
        peers.back().write(what + std::string("\n"));
        settle();
      }
      peers.push_back(raw_peer::connect(where));  // says nothing
      settle();
    }
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (requests() != 3 * waits.size() || people.alive != 3 * 5) {
      settle();
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() < limit,
                      requests() << " requests, " << people.alive << " alive");
    }
    settle();
  }

  census people;
  std::unique_ptr<Ports> ports;
  std::shared_ptr<fairway::server> server;
  fairway::endpoint where;
  std::vector<raw_peer> peers;
};

// The port, and the timer of a coroutine, own the server.
fairway::task<> owns(std::shared_ptr<fairway::server> mine, fairway::completion_port& port) {
  fairway::timer hour{port, 1h};
  (void)co_await hour.async_wait();
  mine.reset();
}

enum class goes_first { server, ports, frame };

template <class Ports, class... Count>
void end_ports(goes_first order, Count... count) {
  open_files before;
  {
    held_up<Ports> s{{}, count...};
    s.fill();
    if (order == goes_first::frame) {
      fairway::spawn(s.port(0), owns(std::move(s.server), s.port(0)));
      drain(s.port(0));
    } else if (order == goes_first::server) {
      s.server.reset();
    }
    s.ports.reset();
    CHECK(s.people.all_gone());
    s.server.reset();
  }
  CHECK(before.are_as_before());
}

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
    while (auto got = co_await c.stream().async_read_some(asio::buffer(&byte, 1))) {}
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

TEST_CASE("a port destroyed under a server frees whatever waits in its connections") {
  for (const auto order : {goes_first::server, goes_first::ports, goes_first::frame}) {
    CAPTURE(static_cast<int>(order));
    end_ports<fairway::completion_port>(order);
  }
}

TEST_CASE("a group destroyed under a server frees whatever waits on each of its ports") {
  for (const auto order : {goes_first::server, goes_first::ports, goes_first::frame}) {
    for (const std::size_t ports : {1u, 3u}) {
      CAPTURE(static_cast<int>(order));
      CAPTURE(ports);
      end_ports<fairway::port_group>(order, ports);
    }
  }
}

TEST_CASE("a port destroyed while a drain is awaited frees who waits for it") {
  for (const bool server_first : {false, true}) {
    open_files before;
    {
      held_up<fairway::completion_port> s{{}};
      s.fill();
      s.server->async_drain(1h, [mine = s.server, m = s.people.one()](
                                    error_code, const drain_report&) mutable { m.runs(); });
      s.server->async_drain(2h, s.people.handler());
      drain(*s.ports);
      s.people.ran = 0;  // the idle connections
      CHECK(s.people.alive != 0);
      if (server_first) s.server.reset();
      s.ports.reset();
      CHECK(s.people.all_gone());
    }
    CHECK(before.are_as_before());
  }
}

TEST_CASE("a port destroyed while its server accepts nothing more for now frees the accept loop") {
  for (const bool paced : {false, true}) {
    open_files before;
    {
      fairway::server_options options;
      if (paced) {
        options.limits.accepts_per_second = 1;
      } else {
        options.limits.connections = 1;
        options.limits.full = fairway::when_full::pause;
      }
      held_up<fairway::completion_port> s{options};
      s.peers.push_back(raw_peer::connect(s.where));
      s.peers.push_back(raw_peer::connect(s.where));
      pump(*s.ports, [&] { return s.people.alive == 1; });
      drain(*s.ports);
      CHECK(s.server->metrics().accept_pauses == 1);
      s.ports.reset();
      CHECK(s.people.all_gone());
    }
    CHECK(before.are_as_before());
  }
}
