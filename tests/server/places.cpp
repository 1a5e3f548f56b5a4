// Who gets a place where several ports or listeners want it: the order of shedding, pausing, and a
// listener that fails.

#include "net/open_files.hpp"
#include "server/support.hpp"
#include "support/allocation_count.hpp"
#include "support/providers.hpp"

#include <algorithm>
#include <optional>

using namespace support;
using enum fairway::end_reason;

namespace {

// A server on two ports that the test runs by hand.
struct served_by_two {
  explicit served_by_two(std::size_t places) {
    fairway::server_options options;
    options.limits.connections = places;
    server.emplace(ports, echo_lines, std::move(options));
    where = server->listen(fairway::endpoint::loopback_v4(0)).value();
  }
  template <class Done>
  void pump_both(Done done) {
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      drain(ports[0]);
      drain(ports[1]);
      REQUIRE(std::chrono::steady_clock::now() < limit);
    }
  }
  // The next connection; `expected` is its port, as they take turns.
  raw_peer connect(std::size_t expected) {
    const auto before = server->metrics().ports[expected].accepted;
    raw_peer peer = raw_peer::connect(where);
    pump_both([&] { return server->metrics().ports[expected].accepted == before + 1; });
    return peer;
  }
  std::string ask(raw_peer& peer, const std::string& line) {
    peer.write(line + "\n");
    std::string got;
    pump_both([&] { return peer.read(got) != raw_peer::event::bytes && !got.empty(); });
    return got;
  }
  // Leaves the connection amid a request.
  void begin_request(raw_peer& peer) {
    const auto requests = [&] {
      const auto now = server->metrics();
      return now.ports[0].requests + now.ports[1].requests;
    };
    const auto before = requests();
    peer.write("half a request");
    pump_both([&] { return requests() == before + 1; });
  }
  raw_peer::event end(raw_peer& peer) {
    auto last = raw_peer::event::nothing;
    std::string rest;
    pump_both([&] {
      last = peer.read(rest);
      return last == raw_peer::event::end || last == raw_peer::event::reset;
    });
    return last;
  }

  fairway::port_group ports{2};
  std::optional<fairway::server> server;  // set by the constructor
  fairway::endpoint where;
};

// Every accept fails as a broken listener's does.
struct failing_accepts : recording_provider {
  int accept(std::uintptr_t, std::uintptr_t, int& error) override {
    error = fairway::native_error(fairway::condition::invalid_argument);
    return broken ? -1 : 0;
  }
  bool broken = false;
};

}  // namespace

TEST_CASE("an idle connection of another port is shed before one that has said nothing yet") {
  served_by_two s{2};
  raw_peer silent = s.connect(0);
  raw_peer idle = s.connect(1);
  CHECK(s.ask(idle, "2") == "2\n");
  s.pump_both([&] { return s.server->metrics().ports[1].idle == 1; });
  raw_peer third = s.connect(0);
  CHECK(s.ask(third, "3") == "3\n");
  CHECK(s.end(idle) == raw_peer::event::end);
  CHECK(s.server->metrics().ended(shed) == 1);
  CHECK(s.ask(silent, "1") == "1\n");
  CHECK(s.server->metrics().refused_full == 0);
}

TEST_CASE("where nobody is idle one that has said nothing yet is shed, of whichever port") {
  served_by_two s{2};
  raw_peer busy = s.connect(0);
  s.begin_request(busy);
  raw_peer silent = s.connect(1);
  raw_peer third = s.connect(0);
  CHECK(s.end(silent) == raw_peer::event::end);
  CHECK(s.server->metrics().ended(shed) == 1);
  s.begin_request(third);
  raw_peer fourth = raw_peer::connect(s.where);
  CHECK(s.end(fourth) == raw_peer::event::end);
  CHECK(s.server->metrics().refused_full == 1);
}

namespace {

// Full, with a second listener that accepts already.
struct full_of_two_listeners : served {
  full_of_two_listeners() : served{echo_lines, pausing()} {
    second = server->listen(fairway::endpoint::loopback_v4(0)).value();
    one = connect();
    CHECK(ask(one, "1") == "1\n");
    wait_idle();
    two = raw_peer::connect(second);
    two.write("2\n");
    settle();
  }
  static fairway::server_options pausing() {
    fairway::server_options options;
    options.limits.connections = 1;
    options.limits.full = fairway::when_full::pause;
    return options;
  }
  fairway::endpoint second;
  raw_peer one;
  raw_peer two;
};

}  // namespace

TEST_CASE("a full server that pauses refuses nobody, however many listeners it has") {
  full_of_two_listeners s;
  CHECK(s.server->metrics().ports[0].accepted == 1);
  CHECK(s.server->metrics().refused_full == 0);
  CHECK(s.open() == 1);
  raw_peer three = raw_peer::connect(s.second);
  raw_peer four = raw_peer::connect(s.where);
  three.write("3\n");
  four.write("4\n");
  s.settle();
  CHECK(s.ask(s.one, "still here") == "still here\n");
  s.one.close();
  CHECK(read_exactly(s.port, s.two, 2) == "2\n");
  CHECK(s.server->metrics().ports[0].accepted == 2);
  s.two.close();
  raw_peer* next = nullptr;
  std::string got;
  pump(s.port, [&] {
    for (raw_peer* each : {&three, &four}) {
      if (each->read(got) == raw_peer::event::bytes) next = each;
    }
    return !got.empty();
  });
  next->close();
  CHECK(read_exactly(s.port, next == &three ? four : three, 2).size() == 2);
  CHECK(s.server->metrics().refused_full == 0);
  CHECK(s.server->metrics().ports[0].accepted == 4);
}

TEST_CASE("a drain refuses who waits for a place") {
  full_of_two_listeners s;
  delivered<fairway::drain_report> report;
  s.server->async_drain(10s, report.record());
  CHECK(s.end(s.two) != raw_peer::event::bytes);
  CHECK(s.end(s.one) == raw_peer::event::end);
  s.one.close();
  pump(s.port, [&] { return report.done(); });
  CHECK(report.value.open_at_start == 1);
  CHECK(s.server->metrics().refused_draining == 1);
  CHECK(s.server->metrics().refused_full == 0);
}

TEST_CASE("a port destroyed while one waits for a place frees it") {
  open_files before;
  {
    full_of_two_listeners s;
  }
  CHECK(before.are_as_before());
}

TEST_CASE("a listener that fails is closed, told of and counted, and another one goes on") {
  failing_accepts provider;
  fairway::completion_port port{fairway::port_options{.provider = &provider}};
  std::vector<fairway::log_event> events;
  fairway::server_options options;
  options.log = [&](const fairway::log_event& e) { events.push_back(e); };
  fairway::server server{port, echo_lines, std::move(options)};
  const auto where = server.listen(fairway::endpoint::loopback_v4(0)).value();
  const auto other = server.listen(fairway::endpoint::loopback_v4(0)).value();
  drain(port);
  provider.broken = true;
  raw_peer unlucky = raw_peer::connect(where);
  raw_peer behind = raw_peer::connect(where);
  std::string rest;
  CHECK(read_to_end(port, unlucky, rest) != raw_peer::event::bytes);
  CHECK(read_to_end(port, behind, rest) != raw_peer::event::bytes);
  provider.broken = false;
  CHECK_THROWS_AS(raw_peer::connect(where), boost::system::system_error);
  CHECK(server.metrics().listeners_failed == 1);
  CHECK(server.metrics().text().find("fairway_listeners_failed_total 1\n") != std::string::npos);
  const auto failed = std::ranges::find(events, fairway::log_kind::accept_failed,
                                        &fairway::log_event::kind);
  REQUIRE(failed != events.end());
  CHECK(failed->local == where);
  CHECK(failed->ec == fairway::condition::invalid_argument);
  CHECK(to_string(*failed).find("local=" + where.to_string()) != std::string::npos);
  raw_peer lucky = raw_peer::connect(other);
  lucky.write("hello\n");
  CHECK(read_exactly(port, lucky, 6) == "hello\n");
  CHECK(server.listen(where));
}

TEST_CASE("whatever allocation fails, no place is lost and no deadline") {
  if (!allocation_failure::available) return;
  bool more = true;
  for (std::uint64_t nth = 1; more; ++nth) {
    CAPTURE(nth);
    served s;
    raw_peer silent;
    s.settle();
    {
      allocation_failure failure{nth};
      const auto attempt = [&](auto&& what) {
        try {
          what();
        } catch (const std::bad_alloc&) {}
      };
      const auto poll = [&] {
        for (int i = 0; i < 20; ++i) attempt([&] { drain(s.port); });
      };
      attempt([&] { silent = raw_peer::connect(s.where); });
      poll();
      raw_peer one, two;
      attempt([&] { one = raw_peer::connect(s.where); });
      poll();
      attempt([&] { two = raw_peer::connect(s.where); });
      poll();
      attempt([&] { one.write("hello\n"); });
      attempt([&] { two.write("half"); });
      poll();
      s.clock.advance(1s);
      poll();
      one.close();
      poll();
      two.reset();
      poll();
      more = failure.happened();
    }
    s.advance(2min);
    s.advance(2min);
    CHECK(s.open() == 0);
    raw_peer three = raw_peer::connect(s.where);
    CHECK(s.ask(three, "still here") == "still here\n");
  }
}
