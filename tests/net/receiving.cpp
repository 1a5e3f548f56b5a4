// async_receive: bytes in the engine's buffers, and what happens when those are all out.

#if defined(__linux__)
#include "support/child.hpp"
#endif
#include "support/limits.hpp"
#include "support/net.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#if defined(__linux__)
#include <fstream>

#include <pthread.h>
#include <sys/resource.h>
#endif

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::received;

namespace {

fairway::port_options buffers(unsigned count, std::size_t bytes = 4096) {
  fairway::port_options options;
  options.receive_buffers_max = count;
  options.receive_buffer_bytes = bytes;
  return options;
}

// A pair whose receives need a buffer of the port: over shared memory not while a view is out.
struct buffered_pair : half_pair {
  received view;
};
buffered_pair connect_buffered(completion_port& port) {
  buffered_pair made{connect_peer(port), {}};
  if (!over_shared_memory()) return made;
  made.peer.write("view");
  received_bytes got;
  made.stream.async_receive(got.record());
  pump(port, [&] { return got.done(); });
  made.view = std::move(got.value);
  return made;
}

#if defined(__linux__)
// From now on the process can have so much more memory than it has.
bool limit_memory(std::size_t more) {
  std::size_t pages = 0;
  std::ifstream{"/proc/self/statm"} >> pages;
  rlimit low{};
  if (::getrlimit(RLIMIT_AS, &low) != 0) return false;
  low.rlim_cur = pages * 4096 + more;
  return ::setrlimit(RLIMIT_AS, &low) == 0;
}
#endif

}  // namespace

TEST_CASE("a receive delivers what the peer wrote, over each family") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto [stream, peer] = connect_peer(port, local);
    received_bytes got;
    stream.async_receive(got.record());
    drain(port);
    CHECK(got.calls == 0);
    peer.write("hello");
    pump(port, [&] { return got.done(); });
    CHECK(!got.ec);
    CHECK(text_of(got.value) == "hello");
    CHECK(got.value.bytes().size() == 5);
    CHECK(got.value.buffer().size() == 5);
  }
}

TEST_CASE("a moved received is empty, and the bytes are in the new one") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.write("abc");
  received_bytes got;
  stream.async_receive(got.record());
  pump(port, [&] { return got.done(); });
  received first = std::move(got.value);
  CHECK(got.value.empty());
  CHECK(got.value.data() == nullptr);
  received second;
  second = std::move(first);
  CHECK(first.size() == 0);
  CHECK(text_of(second) == "abc");
  auto& self = second;
  second = std::move(self);
  CHECK(text_of(second) == "abc");
}

TEST_CASE("more bytes than a buffer holds come in several receives") {
  completion_port port{buffers(4, 512)};
  auto [stream, peer] = connect_peer(port);
  const std::string bytes = seeded{20}.bytes(5000);
  peer.write(bytes);
  std::string all;
  while (all.size() < bytes.size()) {
    received_bytes got;
    stream.async_receive(got.record());
    pump(port, [&] { return got.done(); });
    REQUIRE(!got.ec);
    REQUIRE(got.value.size() > 0);
    REQUIRE(got.value.size() <= 512);
    all += text_of(got.value);
  }
  CHECK((all == bytes));
}

// Kernels copy far slower to some other places (buffer_pool.hpp).
TEST_CASE("buffers begin at a multiple of 64 bytes") {
  constexpr unsigned count = 6;
  completion_port port{buffers(count)};
  auto one = connect_buffered(port);
  std::vector<received> held;
  while (held.size() < count) {
    one.peer.write("x");
    received_bytes got;
    one.stream.async_receive(got.record());
    pump(port, [&] { return got.done(); });
    REQUIRE(!got.ec);
    CHECK(reinterpret_cast<std::uintptr_t>(got.value.data()) % 64 == 0);
    held.push_back(std::move(got.value));
  }
}

TEST_CASE("when all buffers are out a receive waits until one comes back") {
  completion_port port{buffers(1)};
  auto one = connect_buffered(port);
  auto two = connect_buffered(port);
  one.peer.write("first");
  received_bytes held;
  one.stream.async_receive(held.record());
  pump(port, [&] { return held.done(); });
  two.peer.write("second");
  received_bytes waits;
  two.stream.async_receive(waits.record());
  drain(port);
  port.run_one_for(20ms);
  CHECK(waits.calls == 0);
  CHECK(text_of(held.value) == "first");
  held.value = {};
  pump(port, [&] { return waits.done(); });
  CHECK(!waits.ec);
  CHECK(text_of(waits.value) == "second");
}

TEST_CASE("with one buffer many streams make progress, byte for byte") {
  completion_port port{buffers(1, 512)};
  constexpr std::size_t streams = 20;
  std::vector<half_pair> all;
  std::vector<std::string> sent;
  std::vector<std::string> got(streams);
  std::vector<bool> ended(streams);
  for (std::size_t i = 0; i < streams; ++i) {
    all.push_back(connect_peer(port));
    sent.push_back(seeded{30 + i}.bytes(3000 + i));
    all.back().peer.write(sent.back());
    all.back().peer.shutdown_send();
  }
  for (std::size_t i = 0; i < streams; ++i) {
    asio::co_spawn(
        port,
        [](fairway::stream& s, std::string& into) -> coroutine<void> {
          while (auto r = co_await s.async_receive()) into += text_of(r.value());
        }(all[i].stream, got[i]),
        [&ended, i](std::exception_ptr) { ended[i] = true; });
  }
  pump(port, [&] { return std::find(ended.begin(), ended.end(), false) == ended.end(); });
  for (std::size_t i = 0; i < streams; ++i) CHECK((got[i] == sent[i]));
}

TEST_CASE("a receive that waits for a buffer can be cancelled, closed and timed out") {
  fairway::manual_clock clock;
  auto options = buffers(1);
  options.clock = &clock;
  completion_port port{options};
  auto holder = connect_buffered(port);
  holder.peer.write("x");
  received_bytes held;
  holder.stream.async_receive(held.record());
  pump(port, [&] { return held.done(); });
  auto one = connect_buffered(port);
  auto two = connect_buffered(port);
  auto three = connect_buffered(port);
  auto four = connect_buffered(port);
  received_bytes cancelled, closed, late, served;
  for (auto* each : {&one, &two, &three, &four}) each->peer.write("y");
  three.stream.set_timeouts({.read = 1s});
  one.stream.async_receive(cancelled.record());
  two.stream.async_receive(closed.record());
  three.stream.async_receive(late.record());
  four.stream.async_receive(served.record());
  drain(port);
  one.stream.cancel();
  two.stream.close();
  clock.advance(1s);
  pump(port, [&] { return cancelled.done() && closed.done() && late.done(); });
  CHECK(cancelled.ec == condition::aborted);
  CHECK(closed.ec == condition::aborted);
  CHECK(late.ec == condition::timed_out);
  CHECK(served.calls == 0);
  held.value = {};
  pump(port, [&] { return served.done(); });
  CHECK(text_of(served.value) == "y");
  served.value = {};
  // What the cancelled one left in the socket is still there.
  received_bytes again;
  one.stream.async_receive(again.record());
  pump(port, [&] { return again.done(); });
  CHECK(text_of(again.value) == "y");
}

TEST_CASE("a reset while a receive waits for a buffer is told once there is one") {
  completion_port port{buffers(1)};
  auto holder = connect_buffered(port);
  auto other = connect_buffered(port);
  holder.peer.write("x");
  received_bytes held;
  holder.stream.async_receive(held.record());
  pump(port, [&] { return held.done(); });
  received_bytes waits;
  other.stream.async_receive(waits.record());
  drain(port);
  other.peer.reset();
  held.value = {};
  pump(port, [&] { return waits.done(); });
  CHECK(waits.ec == condition::reset);
}

#if defined(__linux__)
TEST_CASE("a receive for which not one buffer can be made ends, and has one when there is memory") {
  if (slow) {
    std::puts("SKIP: a sanitizer's memory has no limit");
    return;
  }
  const int status = in_child([] {
    completion_port port{buffers(4, 16 << 20)};
    auto pair = connect_buffered(port);
    pair.peer.write("x");
    rlimit usual{};
    if (::getrlimit(RLIMIT_AS, &usual) != 0) return 1;
    if (!limit_memory(8 << 20)) return 2;
    received_bytes got;
    pair.stream.async_receive(got.record());
    pump(port, [&] { return got.done(); });
    if (got.ec != asio::error::no_memory || !got.value.empty()) return 3;
    ::setrlimit(RLIMIT_AS, &usual);
    received_bytes again;
    pair.stream.async_receive(again.record());
    pump(port, [&] { return again.done(); });
    return !again.ec && text_of(again.value) == "x" ? 0 : 4;
  });
  CHECK(status == 0);
}

TEST_CASE("a port does not sleep on a receive that ends for want of memory") {
  if (slow) return;  // as above
  const int status = in_child([] {
    auto options = buffers(4, 16 << 20);
    options.queue_entries = 8;
    completion_port port{options};
    auto pair = connect_buffered(port);
    std::vector<half_pair> others;
    for (int i = 0; i < 16; ++i) others.push_back(connect_peer(port));
    if (!limit_memory(8 << 20)) return 1;
    received_bytes got;
    pair.stream.async_receive(got.record());
    drain(port);
    pair.peer.write("x");
    // More than the queue of io_uring has room for: it is emptied into the kernel, which tells of
    // the byte on that occasion, before the port comes to wait.
    std::vector<outcome> waits(others.size());
    for (std::size_t i = 0; i < others.size(); ++i) {
      others[i].stream.async_wait(fairway::wait_kind::read, waits[i].record_error());
    }
    ::alarm(std::chrono::seconds{guard_time}.count());
    if (port.stopped()) port.restart();
    while (!got.done()) port.run_one();
    return got.ec == asio::error::no_memory ? 0 : 2;
  });
  CHECK(status == 0);
}
#endif

TEST_CASE("a received outlives its stream and its port") {
  received kept;
  {
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    peer.write("kept");
    received_bytes got;
    stream.async_receive(got.record());
    pump(port, [&] { return got.done(); });
    kept = std::move(got.value);
    stream.close();
    drain(port);
    CHECK(text_of(kept) == "kept");
  }
  CHECK(text_of(kept) == "kept");
}

TEST_CASE("a received goes back to its port from another thread") {
  completion_port port{buffers(1)};
  auto [stream, peer] = connect_peer(port);
  for (int i = 0; i < 50; ++i) {
    peer.write("x");
    received_bytes got;
    stream.async_receive(got.record());
    pump(port, [&] { return got.done(); });
    REQUIRE(!got.ec);
    std::thread elsewhere{[r = std::move(got.value)]() mutable { r = {}; }};
    // Runs the port meanwhile, so that the buffer comes back by a hop or by borrowing.
    port.poll();
    elsewhere.join();
    if (port.stopped()) port.restart();
  }
}

#if defined(__linux__)

namespace {

constexpr std::size_t many_streams = 400;

// All of them wait for the one buffer, and find the end of their stream when it comes back.
int receive_many_ends() {
  completion_port port{buffers(1, 512)};
  auto l = listen(port);
  std::vector<fairway::stream> streams;
  std::vector<received_bytes> got(many_streams);
  const auto held_by = [&](received_bytes& into) {
    auto peer = raw_peer::connect(l.local_endpoint().value());
    streams.push_back(accept(port, l));
    peer.write("x");
    streams.back().async_receive(into.record());
    pump(port, [&] { return into.done(); });
  };
  received_bytes held;
  held_by(held);
  for (received_bytes& each : got) {
    raw_peer::connect(l.local_endpoint().value()).close();
    streams.push_back(accept(port, l));
    streams.back().async_receive(each.record());
  }
  port.run_one_for(20ms);
  drain(port);
  const auto ended = [&] {
    return std::count_if(got.begin(), got.end(), [](const auto& g) { return g.done(); });
  };
  if (ended() != 0) return 1;
  held.value = {};
  pump(port, [&] { return ended() == static_cast<std::ptrdiff_t>(many_streams); });
  return std::all_of(got.begin(), got.end(), [](const auto& g) { return g.ec == condition::eof; })
             ? 0
             : 2;
}

// Runs `body` where a few hundred nested calls do not fit.
int on_a_small_stack(int (*body)()) {
  struct call {
    int (*body)();
    int result;
  } made{body, -1};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    auto* c = static_cast<call*>(argument);
    c->result = c->body();
    return nullptr;
  };
  if (pthread_create(&thread, &attributes, run, &made) != 0) return -2;
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  return made.result;
}

}  // namespace

TEST_CASE("however many streams end while they wait for a buffer, the stack does not grow") {
  if (thread_sanitizer || address_sanitizer) {
    std::puts("SKIP: a sanitizer's frames do not fit a small stack");
    return;
  }
  CHECK(in_child([] { return on_a_small_stack(&receive_many_ends); }) == 0);
}

#endif
