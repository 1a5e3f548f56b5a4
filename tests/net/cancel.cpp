// Cancelling at every moment of an operation's life: one completion, no byte lost, and nothing of a
// late cancel reaches the operation that uses the same memory next.

#include "support/net.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <array>

using namespace support;
using asio::cancellation_type;
using fairway::completion_port;
using fairway::condition;

namespace {

constexpr cancellation_type every_type[] = {cancellation_type::terminal,
                                            cancellation_type::partial, cancellation_type::total};

// One kind of operation on a stream, started with a slot; its outcome without the values.
struct subject {
  const char* name;
  void (*start)(fairway::stream&, asio::mutable_buffer, asio::cancellation_slot, outcome&);
};

const subject reading_subjects[] = {
    {"read",
     [](fairway::stream& s, asio::mutable_buffer room, asio::cancellation_slot slot, outcome& o) {
       s.async_read_some(asio::buffer(room), asio::bind_cancellation_slot(slot, o.record()));
     }},
    {"receive",
     [](fairway::stream& s, asio::mutable_buffer room, asio::cancellation_slot slot, outcome& o) {
       s.async_receive(asio::bind_cancellation_slot(
           slot, [&o, room](error_code ec, fairway::received r) {
             asio::buffer_copy(room, r.buffer());
             o.record()(ec, r.size());
           }));
     }},
    {"wait",
     [](fairway::stream& s, asio::mutable_buffer, asio::cancellation_slot slot, outcome& o) {
       s.async_wait(fairway::wait_kind::read, asio::bind_cancellation_slot(slot, o.record_error()));
     }},
};

// What is left of "hello" on `s` after an operation took `taken` bytes of it.
std::string read_rest(completion_port& port, fairway::stream& s, std::string taken) {
  while (taken.size() < 5) {
    std::array<char, 8> room{};
    outcome got;
    s.async_read_some(asio::buffer(room), got.record());
    pump(port, [&] { return got.done(); });
    REQUIRE(!got.ec);
    taken.append(room.data(), got.bytes);
  }
  return taken;
}

}  // namespace

TEST_CASE("a cancel by slot ends a waiting operation with aborted, for each type of cancel") {
  for (const subject& each : reading_subjects) {
    for (const cancellation_type type : every_type) {
      CAPTURE(each.name);
      completion_port port;
      auto [stream, peer] = connect_peer(port);
      std::array<char, 8> room{};
      asio::cancellation_signal signal;
      outcome got;
      each.start(stream, asio::buffer(room), signal.slot(), got);
      drain(port);
      signal.emit(type);
      CHECK(got.calls == 0);
      pump(port, [&] { return got.done(); });
      CHECK(got.ec == asio::error::operation_aborted);
      drain(port);
      CHECK(got.calls == 1);
      peer.write("hello");
      CHECK(read_rest(port, stream, {}) == "hello");
    }
  }
}

TEST_CASE("a cancel before the operation starts does not touch it") {
  for (const subject& each : reading_subjects) {
    CAPTURE(each.name);
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    std::array<char, 8> room{};
    asio::cancellation_signal signal;
    signal.emit(cancellation_type::terminal);
    stream.cancel();
    outcome got;
    each.start(stream, asio::buffer(room), signal.slot(), got);
    drain(port);
    CHECK(got.calls == 0);
    peer.write("hello");
    pump(port, [&] { return got.done(); });
    CHECK(!got.ec);
    CHECK(read_rest(port, stream, {room.data(), got.bytes}) == "hello");
  }
}

TEST_CASE("a cancel in the moment of the start loses no byte that was there") {
  for (const subject& each : reading_subjects) {
    CAPTURE(each.name);
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    peer.write("hello");
    std::array<char, 8> room{};
    asio::cancellation_signal signal;
    outcome got;
    each.start(stream, asio::buffer(room), signal.slot(), got);
    signal.emit(cancellation_type::terminal);
    pump(port, [&] { return got.done(); });
    CHECK((!got.ec || got.ec == condition::aborted));
    if (got.ec) CHECK(got.bytes == 0);
    CHECK(read_rest(port, stream, {room.data(), got.bytes}) == "hello");
  }
}

TEST_CASE("a cancel while the bytes are on their way loses none") {
  for (const subject& each : reading_subjects) {
    CAPTURE(each.name);
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    std::array<char, 8> room{};
    asio::cancellation_signal signal;
    outcome got;
    each.start(stream, asio::buffer(room), signal.slot(), got);
    drain(port);
    // The kernel may have completed the operation; the port has not looked yet.
    peer.write("hello");
    signal.emit(cancellation_type::total);
    pump(port, [&] { return got.done(); });
    CHECK(read_rest(port, stream, {room.data(), got.bytes}) == "hello");
    drain(port);
    CHECK(got.calls == 1);
  }
}

TEST_CASE("a cancel between completion and handler changes nothing") {
  for (const subject& each : reading_subjects) {
    CAPTURE(each.name);
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    auto [other, other_peer] = connect_peer(port);
    peer.write("hello");
    other_peer.write("x");
    std::array<char, 8> room{};
    std::array<char, 8> other_room{};
    asio::cancellation_signal signal;
    outcome got;
    bool was_done = false;
    // Both are ready at once; whichever handler runs first cancels the other's operation.
    other.async_read_some(asio::buffer(other_room), [&](error_code, std::size_t) {
      was_done = got.done();
      signal.emit(cancellation_type::terminal);
      stream.cancel();
    });
    each.start(stream, asio::buffer(room), signal.slot(), got);
    pump(port, [&] { return got.done(); });
    CHECK(read_rest(port, stream, {room.data(), got.bytes}) == "hello");
    drain(port);
    CHECK(got.calls == 1);
  }
}

TEST_CASE("cancelling twice completes once") {
  for (const subject& each : reading_subjects) {
    CAPTURE(each.name);
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    std::array<char, 8> room{};
    asio::cancellation_signal signal;
    outcome got;
    each.start(stream, asio::buffer(room), signal.slot(), got);
    drain(port);
    signal.emit(cancellation_type::partial);
    signal.emit(cancellation_type::terminal);
    stream.cancel();
    stream.cancel();
    pump(port, [&] { return got.done(); });
    drain(port);
    CHECK(got.calls == 1);
    CHECK(got.ec == condition::aborted);
  }
}

TEST_CASE("a cancel that comes late does not hit the next operation in the same memory") {
  for (const subject& each : reading_subjects) {
    CAPTURE(each.name);
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    std::array<char, 8> room{};
    asio::cancellation_signal first;
    outcome one;
    each.start(stream, asio::buffer(room), first.slot(), one);
    drain(port);
    stream.cancel();
    pump(port, [&] { return one.done(); });
    asio::cancellation_signal second;
    outcome two;
    each.start(stream, asio::buffer(room), second.slot(), two);
    first.emit(cancellation_type::terminal);
    drain(port);
    CHECK(two.calls == 0);
    peer.write("hello");
    pump(port, [&] { return two.done(); });
    CHECK(!two.ec);
  }
}

TEST_CASE("an operation restarted from the handler of a cancelled one is not cancelled with it") {
  completion_port port;
  auto half = connect_peer(port);
  auto& stream = half.stream;
  std::array<char, 8> room{};
  outcome again;
  bool restarted = false;
  stream.async_read_some(asio::buffer(room), [&](error_code ec, std::size_t) {
    CHECK(ec == condition::aborted);
    stream.async_read_some(asio::buffer(room), again.record());
    restarted = true;
  });
  drain(port);
  stream.cancel();
  pump(port, [&] { return restarted; });
  drain(port);
  CHECK(again.calls == 0);
  half.peer.write("hello");
  pump(port, [&] { return again.done(); });
  CHECK(!again.ec);
  CHECK(again.bytes == 5);
}
