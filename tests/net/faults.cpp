// The kernel misbehaves on demand: short transfers, interruptions, completions that come late, out
// of order or twice. What arrives must not change.

#include "support/limits.hpp"
#include "support/net.hpp"

#include <fairway/testing/fault_schedule.hpp>

#include <array>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::testing::completion_fault;
using fairway::testing::entry_fault;
using fairway::testing::fault_schedule;
using fairway::testing::kernel_entry;
using fairway::testing::operation_kind;

namespace {

constexpr int interrupted = static_cast<int>(asio::error::interrupted);
constexpr int not_now = static_cast<int>(asio::error::would_block);
constexpr int no_buffers = static_cast<int>(asio::error::no_buffer_space);

fairway::port_options with(fault_schedule& faults) {
  fairway::port_options options;
  options.faults = &faults;
  return options;
}

struct one_byte_at_a_time final : fault_schedule {
  entry_fault on_entry(kernel_entry where) override {
    entry_fault fault;
    if (where == kernel_entry::send || where == kernel_entry::receive) fault.bytes_max = 1;
    return fault;
  }
};

// Fails the first entries of one kind.
struct failing final : fault_schedule {
  failing(kernel_entry w, int e, unsigned n) : where{w}, error{e}, left{n} {}
  entry_fault on_entry(kernel_entry entry) override {
    if (entry != where || left == 0) return {};
    --left;
    return {.error = error, .bytes_max = entry_fault{}.bytes_max};
  }
  kernel_entry where;
  int error;
  unsigned left;
};

struct everything final : fault_schedule {
  explicit everything(std::uint64_t seed) : random{seed} {}
  entry_fault on_entry(kernel_entry where) override {
    entry_fault fault;
    if (random.one_in(4)) fault.error = interrupted;
    const bool transfer = where == kernel_entry::send || where == kernel_entry::receive;
    if (transfer && random.one_in(5)) fault.error = not_now;
    if (transfer && random.one_in(3)) fault.bytes_max = 1 + random.below(50);
    // Connecting and accepting go through the kernel's own interruptions elsewhere.
    if (where == kernel_entry::connect || where == kernel_entry::accept) fault.error = 0;
    return fault;
  }
  completion_fault on_completion(operation_kind, int, std::size_t) override {
    completion_fault fault;
    if (random.one_in(3)) fault.delay_turns = static_cast<unsigned>(random.below(5));
    if (random.one_in(3)) fault.repeat = true;
    return fault;
  }
  seeded random;
};

coroutine<void> echo(fairway::stream& s, bool receives) {
  std::array<char, 1000> room;
  for (;;) {
    if (receives) {
      auto got = co_await s.async_receive();
      if (!got) co_return;
      co_await asio::async_write(s, got.value().buffer(), asio::deferred);
    } else {
      auto got = co_await s.async_read_some(asio::buffer(room));
      if (!got) co_return;
      co_await asio::async_write(s, asio::buffer(room, got.value()), asio::deferred);
    }
  }
}

// Byte by byte these are 160,000 transfers, of which Wine does some thousand a second.
constexpr int messages = support::on_windows ? 2 : 30;

coroutine<void> converse(fairway::stream& s, std::uint64_t seed, unsigned& done) {
  seeded random{seed};
  for (int i = 0; i < messages; ++i) {
    const std::string sent = random.bytes(1 + random.below(700));
    std::string got(sent.size(), '\0');
    co_await asio::async_write(s, asio::buffer(sent), asio::deferred);
    co_await asio::async_read(s, asio::buffer(got), asio::deferred);
    REQUIRE((got == sent));
  }
  CHECK(s.shutdown(fairway::shutdown_kind::send).has_value());
  ++done;
}

void echo_under(fault_schedule& faults, std::uint64_t seed) {
  completion_port port{with(faults)};
  std::vector<stream_pair> pairs;
  unsigned done = 0;
  unsigned ended = 0;
  for (std::uint64_t i = 0; i < 4; ++i) pairs.push_back(connect_pair(port));
  for (std::uint64_t i = 0; i < 4; ++i) {
    asio::co_spawn(port, echo(pairs[i].b, i % 2 == 0), [&](std::exception_ptr) { ++ended; });
    asio::co_spawn(port, converse(pairs[i].a, seed + i, done), [&](std::exception_ptr e) {
      if (e) std::rethrow_exception(e);
    });
  }
  pump(port, [&] { return done == pairs.size() && ended == pairs.size(); });
  CHECK(port.statistics().operations_in_flight == 0);
}

}  // namespace

TEST_CASE("transfers of one byte each carry everything") {
  one_byte_at_a_time faults;
  echo_under(faults, 60);
}

TEST_CASE("short, interrupted, late and repeated completions at random change no byte") {
  for (std::uint64_t seed = 70; seed < 90; ++seed) {
    CAPTURE(seed);
    everything faults{seed};
    echo_under(faults, seed);
  }
}

TEST_CASE("interrupted kernel entries are entered again") {
  for (const auto where : {kernel_entry::wait, kernel_entry::submit, kernel_entry::send,
                           kernel_entry::receive}) {
    CAPTURE(static_cast<int>(where));
    failing faults{where, interrupted, 100};
    echo_under(faults, 90);
  }
}

TEST_CASE("a transfer that cannot go on now goes on later") {
  for (const auto where : {kernel_entry::send, kernel_entry::receive}) {
    CAPTURE(static_cast<int>(where));
    failing faults{where, not_now, 50};
    echo_under(faults, 91);
  }
}

TEST_CASE("a read that fails for want of buffers loses nothing") {
  failing faults{kernel_entry::receive, no_buffers, 0};
  completion_port port{with(faults)};
  auto [stream, peer] = connect_peer(port);
  const std::string bytes = seeded{92}.bytes(2000);
  peer.write(bytes);
  std::string all;
  std::array<char, 300> room{};
  for (unsigned i = 0; all.size() < bytes.size(); ++i) {
    faults.left = i % 2;
    if (i % 3 == 0) {
      received_bytes got;
      stream.async_receive(got.record());
      pump(port, [&] { return got.done(); });
      if (got.ec) CHECK(got.ec == asio::error::no_buffer_space);
      all += text_of(got.value);
      continue;
    }
    outcome got;
    stream.async_read_some(asio::buffer(room), got.record());
    pump(port, [&] { return got.done(); });
    if (got.ec) {
      CHECK(got.ec == asio::error::no_buffer_space);
      CHECK(got.bytes == 0);
    }
    all.append(room.data(), got.bytes);
  }
  CHECK((all == bytes));
}

TEST_CASE("a repeated completion calls the handler once") {
  struct repeating final : fault_schedule {
    completion_fault on_completion(operation_kind, int, std::size_t) override {
      return {.error = 0, .delay_turns = delay, .repeat = true};
    }
    unsigned delay = 0;
  };
  for (const unsigned delay : {0u, 1u, 3u}) {
    CAPTURE(delay);
    repeating faults;
    faults.delay = delay;
    completion_port port{with(faults)};
    auto [stream, peer] = connect_peer(port);
    for (int i = 0; i < 20; ++i) {
      std::array<char, 8> room{};
      outcome got;
      outcome put;
      peer.write("x");
      stream.async_read_some(asio::buffer(room), got.record());
      stream.async_write_some(asio::buffer("y", 1), put.record());
      pump(port, [&] { return got.done() && put.done(); });
      drain(port);
      REQUIRE(got.calls == 1);
      REQUIRE(put.calls == 1);
      REQUIRE(port.statistics().operations_in_flight == 0);
    }
  }
}

TEST_CASE("a completion that comes late is overtaken, and still comes") {
  struct first_is_late final : fault_schedule {
    completion_fault on_completion(operation_kind kind, int, std::size_t) override {
      if (kind != operation_kind::read || seen++ != 0) return {};
      return {.error = 0, .delay_turns = 3, .repeat = false};
    }
    int seen = 0;
  };
  first_is_late faults;
  completion_port port{with(faults)};
  auto waiting = connect_peer(port);
  auto quick = connect_peer(port);
  std::string order;
  std::array<char, 8> one{};
  std::array<char, 8> two{};
  waiting.peer.write("1");
  waiting.stream.async_read_some(asio::buffer(one), [&](error_code, std::size_t) { order += "1"; });
  drain(port);
  quick.peer.write("2");
  quick.stream.async_read_some(asio::buffer(two), [&](error_code, std::size_t) { order += "2"; });
  pump(port, [&] { return order.size() == 2; });
  CHECK((order == "21" || order == "12"));
  CHECK(faults.seen == 2);
}

TEST_CASE("a completion that was made to fail is an error, and the stream closes in order") {
  struct failing_reads final : fault_schedule {
    completion_fault on_completion(operation_kind kind, int error, std::size_t) override {
      completion_fault fault;
      if (kind == operation_kind::read && error == 0) {
        fault.error = static_cast<int>(asio::error::connection_reset);
      }
      return fault;
    }
  };
  failing_reads faults;
  completion_port port{with(faults)};
  auto [stream, peer] = connect_peer(port);
  peer.write("x");
  std::array<char, 8> room{};
  outcome got;
  stream.async_read_some(asio::buffer(room), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::reset);
  CHECK(got.bytes == 0);
  stream.close();
  std::string rest;
  CHECK(read_to_end(port, peer, rest) == raw_peer::event::end);
}
