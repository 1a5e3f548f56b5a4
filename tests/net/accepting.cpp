// Accepting: crowds, onto other ports, out of descriptors, and connections that are gone already.

#include "net/open_files.hpp"
#include "support/net.hpp"

#include <fairway/testing/fault_schedule.hpp>

#include <boost/asio/use_future.hpp>

#include <array>
#include <memory>
#include <set>

#if defined(__linux__)
#include <sys/resource.h>
#endif

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::testing::entry_fault;
using fairway::testing::kernel_entry;

namespace {

// Accepts until `wanted` streams are there.
struct taker {
  fairway::listener& l;
  std::vector<fairway::stream>& all;
  std::size_t wanted;

  void operator()(error_code ec, fairway::stream s) {
    REQUIRE_MESSAGE(!ec, ec.message());
    all.push_back(std::move(s));
    if (all.size() < wanted) l.async_accept(std::move(*this));
  }
};

struct out_of_descriptors final : fairway::testing::fault_schedule {
  entry_fault on_entry(kernel_entry where) override {
    if (where != kernel_entry::accept || left == 0) return {};
    --left;
    entry_fault fault;
    fault.error = static_cast<int>(asio::error::no_descriptors);
    return fault;
  }
  unsigned left = 0;
};

struct ends_multishots final : fairway::testing::fault_schedule {
  entry_fault on_entry(kernel_entry where) override {
    entry_fault fault;
    fault.end_multishot = where == kernel_entry::accept;
    accepts += fault.end_multishot ? 1 : 0;
    return fault;
  }
  std::size_t accepts = 0;
};

}  // namespace

TEST_CASE("a crowd of new connections lets the others in between") {
  constexpr std::size_t crowd = 100;
  completion_port port;
  auto established = connect_peer(port);
  auto l = listen(port);
  std::vector<raw_peer> clients;
  while (clients.size() < crowd) {
    clients.push_back(raw_peer::connect(l.local_endpoint().value()));
  }
  std::vector<fairway::stream> all;
  std::size_t accepted_before_it = 0;
  std::array<char, 8> room;
  established.stream.async_read_some(asio::buffer(room), [&](error_code ec, std::size_t) {
    CHECK(!ec);
    accepted_before_it = all.size();
  });
  drain(port);
  l.async_accept([&](error_code ec, fairway::stream s) {
    REQUIRE(!ec);
    established.peer.write("x");
    all.push_back(std::move(s));
    l.async_accept(taker{l, all, crowd});
  });
  pump(port, [&] { return all.size() == crowd; });
  CHECK(accepted_before_it > 0);
  CHECK(accepted_before_it <= 16);
}

TEST_CASE("a thousand connections that come at once are all delivered, each with its own peer") {
  for (const auto& local : {fairway::endpoint::loopback_v4(0), fairway::endpoint::loopback_v6(0)}) {
    if (local.family() == fairway::endpoint_family::v6 && !has_ipv6()) continue;
    constexpr std::size_t count = 1000;
    completion_port port;
    auto l = listen(port, local);
    const auto where = l.local_endpoint().value();
    std::vector<raw_peer> clients;
    std::set<fairway::endpoint> expected;
    std::vector<fairway::stream> all;
    l.async_accept(taker{l, all, count});
    // Half of them wait before the port looks, the others come while it accepts.
    while (clients.size() < count) {
      clients.push_back(raw_peer::connect(where));
      expected.insert(clients.back().local());
      if (clients.size() > count / 2) port.poll();
    }
    pump(port, [&] { return all.size() == count; });
    std::set<fairway::endpoint> seen;
    for (const auto& s : all) {
      seen.insert(s.remote_endpoint().value());
      CHECK(s.local_endpoint().value() == where);
    }
    CHECK((seen == expected));
  }
}

TEST_CASE("a handler that has a name is copied and can be given again") {
  completion_port port;
  auto l = listen(port);
  int taken = 0;
  const auto counted = std::make_shared<int>(0);
  auto handler = [&taken, counted](error_code ec, fairway::stream) {
    if (!ec) taken += counted.use_count() > 1 ? 1 : 0;
  };
  for (const bool named : {false, true}) {
    auto peer = raw_peer::connect(l.local_endpoint().value());
    const int before = taken;
    if (named) {
      l.async_accept(port, handler);
    } else {
      l.async_accept(handler);
    }
    pump(port, [&] { return taken == before + 1; });
    CHECK(counted.use_count() == 2);  // this one's and the handler's
  }
}

TEST_CASE("a second accept is refused and the first goes on") {
  completion_port port;
  auto l = listen(port);
  accepted first;
  accepted second;
  l.async_accept(first.record());
  l.async_accept(second.record());
  pump(port, [&] { return second.done(); });
  CHECK(second.ec == condition::in_progress);
  CHECK(first.calls == 0);
  auto peer = raw_peer::connect(l.local_endpoint().value());
  pump(port, [&] { return first.done(); });
  CHECK(first.value.is_open());
}

TEST_CASE("a connection that was reset before it was accepted does not end the accepting") {
  completion_port port;
  auto l = listen(port);
  const auto where = l.local_endpoint().value();
  accepted got;
  for (int i = 0; i < 5; ++i) raw_peer::connect(where).reset();
  auto good = raw_peer::connect(where);
  bool found = false;
  for (int i = 0; i < 6 && !found; ++i) {
    got = {};
    l.async_accept(got.record());
    pump(port, [&] { return got.done(); });
    REQUIRE_MESSAGE(!got.ec, got.ec.message());
    auto from = got.value.remote_endpoint();
    found = from && from.value() == good.local();
  }
  CHECK(found);
}

TEST_CASE("a listener that is closed drops the connections that nobody took") {
  open_files before;
  {
    completion_port port;
    auto l = listen(port);
    auto first = raw_peer::connect(l.local_endpoint().value());
    auto s = accept(port, l);
    std::vector<raw_peer> waiting;
    for (int i = 0; i < 10; ++i) waiting.push_back(raw_peer::connect(l.local_endpoint().value()));
    drain(port);
    l.close();
    for (auto& each : waiting) {
      std::string nothing;
      CHECK(read_to_end(port, each, nothing) != raw_peer::event::bytes);
      CHECK(nothing.empty());
    }
    std::string nothing;
    CHECK(first.read(nothing) == raw_peer::event::nothing);
  }
  CHECK(before.are_as_before());
}

TEST_CASE("an accepted stream that no handler took is closed") {
  open_files before;
  {
    completion_port port;
    auto l = listen(port);
    auto peer = raw_peer::connect(l.local_endpoint().value());
    bool done = false;
    l.async_accept([&](error_code, fairway::stream) { done = true; });
    pump(port, [&] { return done; });
    std::string nothing;
    CHECK(read_to_end(port, peer, nothing) == raw_peer::event::end);
    // One whose handler never runs, because the port ends first.
    auto next = raw_peer::connect(l.local_endpoint().value());
    l.async_accept([](error_code, fairway::stream) { FAIL("runs in no port"); });
  }
  CHECK(before.are_as_before());
}

TEST_CASE("accepted and connected sockets are not inherited by child processes") {
  completion_port port;
  auto l = listen(port);
  auto d = fairway::datagram::open(port, fairway::endpoint::loopback_v4(0)).value();
  fairway::connector dial{port};
  accepted ours;
  accepted theirs;
  l.async_accept(theirs.record());
  dial.async_connect(l.local_endpoint().value(), ours.record());
  pump(port, [&] { return ours.done() && theirs.done(); });
  CHECK_FALSE(is_inherited(ours.value.native_handle()));
  CHECK_FALSE(is_inherited(theirs.value.native_handle()));
  CHECK_FALSE(is_inherited(l.native_handle()));
  CHECK_FALSE(is_inherited(d.native_handle()));
}

TEST_CASE("a stream can be accepted onto another port, and lives there") {
  completion_port front;
  completion_port back;
  auto l = listen(front);
  auto peer = raw_peer::connect(l.local_endpoint().value());
  accepted got;
  l.async_accept(back, got.record());
  pump(front, [&] { return got.done(); });
  CHECK(got.value.get_executor() == back.get_executor());
  std::array<char, 8> room{};
  outcome read;
  got.value.async_read_some(asio::buffer(room), [&](error_code ec, std::size_t n) {
    CHECK(back.get_executor().running_in_this_thread());
    read.record()(ec, n);
  });
  peer.write("abc");
  drain(front);
  CHECK(read.calls == 0);
  pump(back, [&] { return read.done(); });
  CHECK(read.bytes == 3);
}

TEST_CASE("out of descriptors, accepting pauses on the port's clock and then goes on by itself") {
  fairway::manual_clock clock;
  out_of_descriptors faults;
  fairway::port_options options;
  options.clock = &clock;
  options.faults = &faults;
  completion_port port{options};
  auto l = listen(port);
  faults.left = 1;
  accepted got;
  l.async_accept(got.record());
  auto peer = raw_peer::connect(l.local_endpoint().value());
  pump(port, [&] { return port.statistics().accept_pauses == 1; });
  clock.advance(99ms);
  drain(port);
  CHECK(got.calls == 0);
  clock.advance(1ms);
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
  CHECK(got.value.remote_endpoint().value() == peer.local());
  CHECK(port.statistics().accept_pauses == 1);
}

TEST_CASE("an accept that the kernel repeats and ends early is asked for again") {
  ends_multishots faults;
  fairway::port_options options;
  options.faults = &faults;
  completion_port port{options};
  auto l = listen(port);
  constexpr std::size_t count = 100;
  std::vector<fairway::stream> all;
  std::vector<raw_peer> clients;
  l.async_accept(taker{l, all, count});
  // One at a time: each is accepted by what was asked for after an early end.
  while (clients.size() < count) {
    clients.push_back(raw_peer::connect(l.local_endpoint().value()));
    pump(port, [&] { return all.size() == clients.size(); });
    drain(port);
    REQUIRE(all.back().remote_endpoint().value() == clients.back().local());
  }
  CHECK(faults.accepts >= count);
}

TEST_CASE("a pause of accepting can be cancelled, closed and outlived") {
  for (const int how : {0, 1, 2}) {
    CAPTURE(how);
    fairway::manual_clock clock;
    out_of_descriptors faults;
    fairway::port_options options;
    options.clock = &clock;
    options.faults = &faults;
    accepted got;
    {
      completion_port port{options};
      auto l = listen(port);
      faults.left = 1000;
      l.async_accept(got.record());
      auto peer = raw_peer::connect(l.local_endpoint().value());
      pump(port, [&] { return port.statistics().accept_pauses == 1; });
      if (how == 0) l.cancel();
      if (how == 1) l.close();
      if (how == 2) continue;
      pump(port, [&] { return got.done(); });
      CHECK(got.ec == condition::aborted);
      CHECK(port.statistics().operations_in_flight == 0);
    }
    CHECK(got.calls == 1);
  }
}

#if defined(__linux__)

TEST_CASE("at the descriptor limit nothing is lost or leaked, and accepting recovers") {
  open_files before;
  {
    fairway::manual_clock clock;
    fairway::port_options options;
    options.clock = &clock;
    completion_port port{options};
    auto l = listen(port);
    std::vector<fairway::stream> all;
    std::vector<raw_peer> clients;
    for (int i = 0; i < 20; ++i) clients.push_back(raw_peer::connect(l.local_endpoint().value()));
    rlimit usual{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
    // The next free numbers are those just above the last client's, but for gaps below it.
    rlimit low = usual;
    low.rlim_cur = clients.back().handle() + 4;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    l.async_accept(taker{l, all, clients.size()});
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (port.statistics().accept_pauses == 0 && std::chrono::steady_clock::now() < limit) {
      port.run_one_for(2ms);
    }
    const auto few = all.size();
    clock.advance(100ms);
    while (port.statistics().accept_pauses == 1 && std::chrono::steady_clock::now() < limit) {
      port.run_one_for(2ms);
    }
    ::setrlimit(RLIMIT_NOFILE, &usual);
    CHECK(port.statistics().accept_pauses == 2);
    CHECK(few < clients.size());
    clock.advance(100ms);
    pump(port, [&] { return all.size() == clients.size(); });
    CHECK(port.statistics().accept_pauses == 2);
  }
  CHECK(before.are_as_before());
}

#endif
