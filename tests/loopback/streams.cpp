// Streams over shared memory, both ends of Fairway's: who gets the fast path and who does not, and
// that nothing else differs. tests/net runs over it as well, see FAIRWAY_TEST_PATH.

#include "support/environment.hpp"
#include "support/shared_memory.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <future>
#include <set>
#include <thread>

#include "loopback/system.hpp"

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::endpoint;
using fairway::loopback;
using fairway::path;
using fairway::path_reason;

namespace {

fairway::stream dial(completion_port& port, const endpoint& to,
                     loopback policy = loopback::shared_memory) {
  fairway::connector connecting{port, {.loopback = policy}};
  accepted made;
  connecting.async_connect(to, made.record());
  pump(port, [&] { return made.done(); });
  REQUIRE_MESSAGE(!made.ec, made.ec.message());
  return std::move(made.value);
}

fast_ends connect_both(completion_port& port_a, completion_port& port_c,
                       const endpoint& local = endpoint::loopback_v4(0),
                       std::optional<endpoint> to = {}) {
  auto l = listen_fast(port_a, local);
  const endpoint at = l.local_endpoint().value();
  auto c = dialled_fast(port_c, to ? to->with_port(at.port()) : at);
  return {accept(port_a, l), std::move(c)};
}

// Both ports, until `done`.
template <class Done>
void pump_both(completion_port& one, completion_port& two, Done&& done) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    for (completion_port* p : {&one, &two}) {
      p->restart();
      p->poll();
    }
    if (std::chrono::steady_clock::now() > limit) FAIL("hangs: what it waits for never comes");
  }
}

error_code end_of(completion_port& port, fairway::stream& of) {
  std::array<char, 4096> room;
  outcome got;
  for (;;) {
    got = {};
    of.async_read_some(asio::buffer(room), got.record());
    pump(port, [&] { return got.done(); });
    if (got.ec) return got.ec;
  }
}

}  // namespace

TEST_CASE("two ends that ask get shared memory, with the claim at the first operation") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  CHECK(a.path() == path::tcp);
  CHECK(a.path_reason() == path_reason::not_yet);
  CHECK(c.path_reason() == path_reason::not_yet);
  say(port, c, "by tcp");
  CHECK(hear(port, a, 6) == "by tcp");
  say(port, a, "by memory");
  CHECK(a.path() == path::shared_memory);
  CHECK(hear(port, c, 9) == "by memory");
  CHECK(c.path() == path::shared_memory);
  say(port, c, "so is this");
  CHECK(hear(port, a, 10) == "so is this");
  CHECK(port.statistics().doorbells_sent < 8);
}

TEST_CASE("the bytes before the switch come before the bytes after it") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  say(port, c, std::string(5000, '1'));
  take_part(port, a);
  say(port, c, std::string(5000, '2'));
  CHECK(hear(port, a, 10'000) == std::string(5000, '1') + std::string(5000, '2'));
}

TEST_CASE("an end that did not ask gets TCP and not one byte more, on either side") {
  completion_port port;
  auto l = listen_fast(port);
  auto plain = raw_peer::connect(l.local_endpoint().value());
  auto a = accept(port, l);
  CHECK(a.path() == path::tcp);
  CHECK(a.path_reason() == path_reason::peer_did_not_ask);
  say(port, a, "to it");
  CHECK(read_exactly(port, plain, 5) == "to it");
  plain.write("from it");
  CHECK(hear(port, a, 7) == "from it");
  a.close();
  std::string rest;
  CHECK(read_to_end(port, plain, rest) == raw_peer::event::end);
  CHECK(rest.empty());

  auto other = raw_peer::listen(endpoint::loopback_v4(0));
  auto c = dial(port, other.local());
  auto away = other.accept();
  CHECK(c.path_reason() == path_reason::peer_did_not_ask);
  say(port, c, "hello");
  CHECK(read_exactly(port, away, 5) == "hello");
}

TEST_CASE("the environment forbids it, and off is the default") {
  completion_port port;
  {
    const environment_variable forbidden{"FAIRWAY_LOOPBACK", "off"};
    auto [a, c] = connect_both(port, port);
    CHECK(c.path_reason() == path_reason::refused_by_environment);
    CHECK(a.path_reason() == path_reason::refused_by_environment);
  }
  auto l = listen(port);
  auto c = dial(port, l.local_endpoint().value(), loopback::off);
  CHECK(c.path_reason() == path_reason::not_asked);
}

TEST_CASE("listeners on the any address, and targets that arrive elsewhere, have it too") {
  struct way_there {
    endpoint local;
    endpoint to;
  };
  std::vector<way_there> all{{endpoint::any_v4(0), endpoint::loopback_v4(0)},
                             {endpoint::any_v4(0), endpoint::any_v4(0)},
                             {endpoint::any_v4(0), endpoint::parse("127.9.9.9:0").value()}};
  if (has_ipv6()) {
    all.push_back({endpoint::loopback_v6(0), endpoint::loopback_v6(0)});
    all.push_back({endpoint::any_v6(0), endpoint::loopback_v6(0)});
    all.push_back({endpoint::any_v6(0), endpoint::loopback_v4(0)});
  }
  for (const auto& [local, to] : all) {
    CAPTURE(local.to_string());
    CAPTURE(to.to_string());
    completion_port port;
    auto [a, c] = connect_both(port, port, local, to);
    take_part(port, a);
    say(port, a, "x");
    CHECK(hear(port, c, 1) == "x");
    CHECK(c.path() == path::shared_memory);
  }
}

TEST_CASE("a writer gets space while its peer still sends by TCP what nobody reads") {
  completion_port here;
  completion_port there;
  auto [a, c] = connect_both(here, there);
  seeded random{12};
  const std::string to_a = random.bytes(6'000'000);  // more than TCP takes
  const std::string to_c = random.bytes(400'000);    // more than the ring takes
  std::string at_a(to_a.size(), '\0');
  std::string at_c(to_c.size(), '\0');
  outcome all[4];
  asio::async_write(c, asio::buffer(to_a), all[0].record());
  drain(there);
  asio::async_read(c, asio::buffer(at_c), all[1].record());
  asio::async_write(a, asio::buffer(to_c), all[2].record());
  pump_both(here, there, [&] { return all[1].done() && all[2].done(); });
  CHECK(a.path() == path::shared_memory);
  CHECK((at_c == to_c));
  CHECK(!all[0].done());
  asio::async_read(a, asio::buffer(at_a), all[3].record());
  pump_both(here, there, [&] { return all[0].done() && all[3].done(); });
  CHECK((at_a == to_a));
}

TEST_CASE("a write by TCP is cancelled, and what went of it counts") {
  completion_port here;
  completion_port there;
  auto [a, c] = connect_both(here, there);
  const std::string much = seeded{13}.bytes(8'000'000);  // more than TCP takes
  std::size_t sent = 0;
  outcome put;
  do {
    put = {};
    c.async_write_some(asio::buffer(much.data() + sent, much.size() - sent), put.record());
    drain(there);
    if (!put.done()) c.cancel();
    pump(there, [&] { return put.done(); });
    sent += put.bytes;
  } while (!put.ec && sent < much.size());
  CHECK((put.ec == condition::aborted || sent == much.size()));
  std::string got(sent, '\0');
  outcome all;
  asio::async_read(a, asio::buffer(got), all.record());
  pump_both(here, there, [&] { return all.done(); });
  CHECK((got == much.substr(0, sent)));
  say(there, c, "by memory");
  CHECK(hear(here, a, 9) == "by memory");
  CHECK(c.path() == path::shared_memory);
}

TEST_CASE("a shutdown before the claim is TCP's") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  say(port, c, "all");
  REQUIRE(c.shutdown(fairway::shutdown_kind::send));
  CHECK(hear(port, a, 3) == "all");
  CHECK(end_of(port, a) == condition::eof);
  say(port, a, "answer");
  CHECK(hear(port, c, 6) == "answer");
  CHECK(c.path() == path::tcp);
}

TEST_CASE("half-close, and the end, after the switch") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  take_part(port, a);
  say(port, a, "greeting");
  CHECK(hear(port, c, 8) == "greeting");
  say(port, c, "last");
  REQUIRE(c.shutdown(fairway::shutdown_kind::send));
  CHECK(hear(port, a, 4) == "last");
  CHECK(end_of(port, a) == condition::eof);
  outcome late;
  c.async_write_some(asio::buffer("x", 1), late.record());
  pump(port, [&] { return late.done(); });
  CHECK(late.ec == condition::reset);
  say(port, a, "still");
  CHECK(hear(port, c, 5) == "still");
  a.close();
  CHECK(end_of(port, c) == condition::eof);
}

TEST_CASE("a close with unread input is a reset") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  take_part(port, a);
  say(port, a, "x");
  CHECK(hear(port, c, 1) == "x");
  say(port, c, "unread");
  outcome waiting;
  std::array<char, 8> room{};
  c.async_read_some(asio::buffer(room), waiting.record());
  drain(port);
  a.close();
  pump(port, [&] { return waiting.done(); });
  CHECK(waiting.ec == condition::reset);
}

TEST_CASE("a parked read is cancelled, times out, and loses nothing") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  take_part(port, a);
  std::array<char, 8> room{};
  outcome got;
  a.async_read_some(asio::buffer(room), got.record());
  port.restart();
  port.run_for(5ms);
  a.cancel();
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
  a.set_timeouts({.read = 20ms});
  got = {};
  a.async_read_some(asio::buffer(room), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::timed_out);
  say(port, c, "late");
  CHECK(hear(port, a, 4) == "late");
}

TEST_CASE("two ports: bulk both ways with every byte compared, and a writer that waits for space") {
  completion_port here;
  completion_port there;
  auto [a, c] = connect_both(here, there);
  seeded random{11};
  const std::string to_a = random.bytes(3'000'000);
  const std::string to_c = random.bytes(2'000'000);
  std::string at_a(to_a.size(), '\0');
  std::string at_c(to_c.size(), '\0');
  outcome all[4];
  asio::async_write(c, asio::buffer(to_a), all[0].record());
  asio::async_read(a, asio::buffer(at_a), all[1].record());
  asio::async_write(a, asio::buffer(to_c), all[2].record());
  asio::async_read(c, asio::buffer(at_c), all[3].record());
  pump_both(here, there, [&] {
    for (const outcome& o : all) {
      if (!o.done()) return false;
    }
    return true;
  });
  CHECK((at_a == to_a));
  CHECK((at_c == to_c));
  CHECK(a.path() == path::shared_memory);
}

TEST_CASE("two threads that sleep between messages are woken each time") {
  completion_port here;
  completion_port there;
  auto [a, c] = connect_both(here, there);
  take_part(here, a);
  constexpr int rounds = 300;
  std::thread echo{[&there, s = std::move(c)]() mutable {
    asio::co_spawn(
        there,
        [](fairway::stream stream) -> coroutine<void> {
          std::array<char, 64> room{};
          while (auto got = co_await stream.async_read_some(asio::buffer(room))) {
            if (!co_await fairway::async_write(stream, asio::buffer(room, got.value()))) break;
          }
        }(std::move(s)),
        asio::detached);
    there.run();
  }};
  run(here, [](completion_port& port, fairway::stream& s) -> coroutine<void> {
    fairway::timer pause{port};
    std::array<char, 64> room{};
    for (int i = 0; i < rounds; ++i) {
      if (i % 3 == 0) {
        pause.expires_after(std::chrono::microseconds{i * 10});
        (void)co_await pause.async_wait();
      }
      const char sent = static_cast<char>(i);
      CHECK((co_await fairway::async_write(s, asio::buffer(&sent, 1))));
      auto got = co_await s.async_read_some(asio::buffer(room));
      REQUIRE(got);
      CHECK(room[0] == sent);
    }
  }(here, a));
  a.close();
  drain(here);
  echo.join();
}

TEST_CASE("short connections use the same memory again and leave nothing behind") {
  const std::size_t before = fairway::loopback_memory();
  std::size_t first = 0;
  {
    completion_port port;
    auto l = listen_fast(port);
    for (int i = 0; i < 200; ++i) {
      auto c = dial(port, l.local_endpoint().value());
      auto a = accept(port, l);
      take_part(port, a);
      say(port, a, "hello");
      CHECK(hear(port, c, 5) == "hello");
      CHECK(c.path() == path::shared_memory);
      c.close();
      CHECK(end_of(port, a) == condition::eof);
      a.close();
      drain(port);
      if (i == 0) first = fairway::loopback_memory();
    }
    pump(port, [&] {
      return fairway::loopback_memory() <= std::max(first, before);
    });
  }
  CHECK(fairway::loopback_memory() == before);
}

TEST_CASE("a source port comes again only when all have been used") {
  // Else connections that linger get in the way of new ones.
  completion_port port;
  auto l = listen_fast(port);
  std::set<std::uint16_t> used;
  constexpr std::size_t connections = 600;
  for (std::size_t i = 0; i < connections; ++i) {
    auto c = dial(port, l.local_endpoint().value());
    auto a = accept(port, l);
    CHECK(c.path_reason() == path_reason::not_yet);
    used.insert(c.local_endpoint().value().port());
    a.close();
    c.close();
    drain(port);
  }
  CHECK(used.size() == connections);
}

TEST_CASE("beyond the limit of shared memory a connection is TCP, with the reason") {
  completion_port port;
  fairway::set_loopback_memory_max(1024);
  {
    auto [a, c] = connect_both(port, port);
    CHECK(c.path_reason() == path_reason::no_memory);
    say(port, c, "hello");
    CHECK(hear(port, a, 5) == "hello");
    CHECK(fairway::loopback_memory() == 0);
  }
  fairway::set_loopback_memory_max(fairway::loopback_memory_usual);
  auto [a, c] = connect_both(port, port);
  take_part(port, a);
  CHECK(c.path_reason() != path_reason::no_memory);
  CHECK(fairway::loopback_memory() > 1024);
}

TEST_CASE("rings are as large as the connector wants them, and only a size that can be") {
  completion_port port;
  auto l = listen_fast(port);
  const endpoint at = l.local_endpoint().value();
  for (const std::size_t bytes : {std::size_t{4096}, std::size_t{1} << 20}) {
    accepted made = dial_fast(port, at, {.loopback_ring_bytes = bytes});
    REQUIRE(!made.ec);
    auto a = accept(port, l);
    take_part(port, a);
    const std::string text(2 * bytes, 'x');
    outcome put;
    a.async_write_some(asio::buffer(text), put.record());
    pump(port, [&] { return put.done(); });
    CHECK(put.bytes == bytes);
    CHECK(hear(port, made.value, bytes) == text.substr(bytes));
  }
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{2048}, std::size_t{5000},
                                  std::size_t{128} << 20}) {
    accepted made = dial_fast(port, at, {.loopback_ring_bytes = bytes});
    CHECK(made.ec == condition::invalid_argument);
  }
}

TEST_CASE("the port counts what became of each connection that asked") {
  const auto count = [](const completion_port& of, path_reason why) {
    return of.statistics().loopback[static_cast<std::size_t>(why)];
  };
  completion_port port;
  completion_port other;
  auto l = listen_fast(port);
  auto c = dial(other, l.local_endpoint().value());
  auto a = accept(port, l);
  take_part(port, a);
  auto plain = raw_peer::connect(l.local_endpoint().value());
  auto b = accept(port, l);
  CHECK(count(port, path_reason::not_yet) == 1);
  CHECK(count(port, path_reason::none) == 1);
  CHECK(count(port, path_reason::peer_did_not_ask) == 1);
  CHECK(count(other, path_reason::not_yet) == 1);
  CHECK(count(other, path_reason::none) == 0);
}

TEST_CASE("once in memory a stream refuses the options that have no effect there") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  CHECK(a.set_option(fairway::keep_alive{true}));
  take_part(port, a);
  CHECK(a.set_option(fairway::keep_alive{true}).error() == fairway::error::option_off_fast_path);
  CHECK(a.set_option(fairway::no_delay{true}).error() == condition::not_supported);
  CHECK(a.set_option(fairway::linger{true, std::chrono::seconds{0}}));
}

TEST_CASE("any thread may ask for the path") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  std::thread asking{[&of = a] {
    while (of.path() != path::shared_memory) std::this_thread::yield();
    CHECK(of.path_reason() == path_reason::none);
  }};
  take_part(port, a);
  asking.join();
}

TEST_CASE("a listener opened while its port runs on another thread has a rendezvous") {
  completion_port port;
  auto work = asio::require(port.get_executor(), asio::execution::outstanding_work.tracked);
  std::thread running{[&port] { port.run(); }};
  auto l = listen_fast(port);
  asio::post(port, asio::use_future([] {})).get();  // the port has looked at what it was told
  std::promise<fairway::stream> got;
  asio::co_spawn(
      port,
      [](fairway::listener& from, std::promise<fairway::stream>& to) -> coroutine<void> {
        auto s = (co_await from.async_accept()).value();
        // The first may come before the connector has said that it is connected.
        const auto limit = std::chrono::steady_clock::now() + patience;
        while (s.path_reason() == path_reason::not_yet &&
               std::chrono::steady_clock::now() < limit) {
          (void)co_await s.async_wait(fairway::wait_kind::write);
        }
        to.set_value(std::move(s));
      }(l, got),
      asio::detached);
  completion_port other;
  auto c = dial(other, l.local_endpoint().value());
  auto a = got.get_future().get();
  INFO(to_string(a.path_reason()));
  CHECK(a.path() == path::shared_memory);
  asio::post(port, [&a] { a.close(); });
  CHECK(end_of(other, c) == condition::eof);
  asio::post(port, [&] { port.stop(); });
  running.join();
}

TEST_CASE("accepted onto another port than the listener's a stream stays TCP and says so") {
  completion_port port;
  completion_port other;
  auto l = listen_fast(port);
  auto c = dial(port, l.local_endpoint().value());
  accepted made;
  l.async_accept(other, made.record());
  pump(port, [&] { return made.done(); });
  REQUIRE(!made.ec);
  CHECK(made.value.path_reason() == path_reason::other_port);
  say(port, c, "by tcp");
  CHECK(hear(other, made.value, 6) == "by tcp");
}

TEST_CASE("a run function does not wait for what the fast path watches") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  take_part(port, a);
  say(port, a, "x");
  CHECK(hear(port, c, 1) == "x");
  port.restart();
  port.run();
  CHECK(port.stopped());
}

TEST_CASE("before the claim a stream can be released, after it not") {
  completion_port port;
  auto [a, c] = connect_both(port, port);
  auto given = c.release();
  if (given.has_error() && port.engine() == fairway::engine_kind::iocp) {
    // A socket cannot leave its completion port under Wine: the stream goes on, by TCP.
    CHECK(given.error() == condition::not_supported);
    say(port, a, "plain");
    CHECK(hear(port, c, 5) == "plain");
    CHECK(c.path() == path::tcp);
    std::puts("SKIP: a socket cannot leave its completion port under Wine, nor before Windows 8.1");
  } else {
    REQUIRE(given);
    raw_peer plain{given.value()};
    say(port, a, "plain");
    CHECK(read_exactly(port, plain, 5) == "plain");
  }
  auto [a2, c2] = connect_both(port, port);
  take_part(port, a2);
  CHECK(a2.release().error() == condition::not_supported);
}
