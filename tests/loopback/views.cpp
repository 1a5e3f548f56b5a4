// async_receive over shared memory: views of the ring, what they hold up, and how they outlive what
// they came from. FAIRWAY_TEST_PEER_ENGINE names the engine of the connecting end.

#if defined(__linux__)
#include "support/child.hpp"
#endif
#include "support/shared_memory.hpp"

#include <boost/asio/detached.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <cstddef>

#if defined(_WIN32)
#include <windows.h>
#endif

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::endpoint;
using fairway::loopback;
using fairway::path;
using fairway::received;

namespace {

fairway::port_options of_the_peer() {
  fairway::port_options options;
  const char* const name = std::getenv("FAIRWAY_TEST_PEER_ENGINE");
  if (name != nullptr) fairway::parse_engine(name, options.engine);
  return options;
}

// A receiver and a writer, each on a port of its own, with both directions in shared memory.
struct view_pair {
  explicit view_pair(std::size_t ring_bytes = 65536, const fairway::port_options& options = {}) {
    here.emplace(options);
    there.emplace(of_the_peer());
    listening = listen_fast(*here);
    connect(ring_bytes);
  }
  void connect(std::size_t ring_bytes = 65536) {
    writer = dialled_fast(*there, listening.local_endpoint().value(),
                          {.loopback_ring_bytes = ring_bytes});
    reader = accept(*here, listening);
    take_part(*here, reader);
    say(*here, reader, "!");
    CHECK(hear(*there, writer, 1) == "!");
  }
  template <class Done>
  void until(Done&& done) {
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      turn();
      if (std::chrono::steady_clock::now() > limit) FAIL("hangs: what it waits for never comes");
    }
  }
  void turn() {
    for (auto* port : {&here, &there}) {
      if (!*port) continue;
      (*port)->restart();
      (*port)->poll();
    }
  }
  // Both sides asleep, or as good as.
  void settle() {
    for (int i = 0; i < 20; ++i) turn();
    for (auto* port : {&here, &there}) {
      (*port)->restart();
      (*port)->run_for(2ms);
    }
    for (int i = 0; i < 20; ++i) turn();
  }
  received receive() { return receive(reader); }
  received receive(fairway::stream& from) {
    received_bytes got;
    from.async_receive(got.record());
    until([&] { return got.done(); });
    REQUIRE_MESSAGE(!got.ec, got.ec.message());
    return std::move(got.value);
  }
  outcome read(std::string& into, std::size_t most = 100'000) {
    std::string room(most, '\0');
    outcome got;
    reader.async_read_some(asio::buffer(room), got.record());
    until([&] { return got.done(); });
    into.append(room.data(), got.bytes);
    return got;
  }
  std::string read_so_many(std::size_t bytes) {
    std::string all;
    while (all.size() < bytes) {
      const outcome got = read(all, bytes - all.size());
      REQUIRE_MESSAGE(!got.ec, got.ec.message());
    }
    return all;
  }

  std::optional<completion_port> here;
  std::optional<completion_port> there;
  fairway::listener listening;
  fairway::stream reader;
  fairway::stream writer;
};

// Whether the bytes are in memory that another process can have mapped.
bool is_view(const received& r) {
#if defined(_WIN32)
  MEMORY_BASIC_INFORMATION info{};
  return ::VirtualQuery(r.data(), &info, sizeof info) == sizeof info && info.Type == MEM_MAPPED;
#else
  const auto arenas = arenas_here();
  return std::any_of(arenas.begin(), arenas.end(), [&](const auto& arena) {
    const auto* const from = reinterpret_cast<const std::byte*>(arena.first);
    return r.data() >= from && r.data() < from + arena.second;
  });
#endif
}

}  // namespace

TEST_CASE("a receive shows the bytes where the peer has put them") {
  view_pair both;
  say(*both.there, both.writer, "hello");
  received got = both.receive();
  CHECK(text_of(got) == "hello");
  CHECK(is_view(got));
  received moved = std::move(got);
  CHECK(got.empty());
  CHECK(text_of(moved) == "hello");
  moved = {};
  say(*both.there, both.writer, "more");
  got = both.receive();
  CHECK(text_of(got) == "more");
  CHECK(is_view(got));
}

TEST_CASE("a view has no more bytes than a buffer, nor than half of the ring") {
  fairway::port_options options;
  options.receive_buffer_bytes = 1000;
  view_pair small{65536, options};
  say(*small.there, small.writer, std::string(5000, 'x'));
  CHECK(small.receive().size() == 1000);
  view_pair tiny{4096};
  say(*tiny.there, tiny.writer, std::string(4000, 'x'));
  CHECK(tiny.receive().size() == 2048);
}

TEST_CASE("while a view is out the next receives are copies, in order, and spoil nothing") {
  view_pair both;
  const std::string text = seeded{41}.bytes(50'000);
  say(*both.there, both.writer, text);
  std::deque<received> held;
  std::string all;
  while (all.size() < text.size()) {
    held.push_back(both.receive());
    all += text_of(held.back());
    CHECK(is_view(held.back()) == (held.size() == 1));
  }
  CHECK((all == text));
  all.clear();
  for (const received& each : held) all += text_of(each);
  CHECK((all == text));
  held.clear();
  say(*both.there, both.writer, "again");
  CHECK(is_view(both.receive()));
}

TEST_CASE("the room of a view comes back when it is given back, and a waiting writer goes on") {
  view_pair both;
  const std::string text = seeded{42}.bytes(300'000);
  outcome put;
  asio::async_write(both.writer, asio::buffer(text), put.record());
  received view = both.receive();
  REQUIRE(is_view(view));
  std::string got = text_of(view);
  got += both.read_so_many(65536 - view.size());
  both.settle();
  std::string none;
  CHECK(both.read(none).ec == fairway::error::ring_is_held);
  CHECK(none.empty());
  CHECK(!put.done());
  CHECK(got == text.substr(0, got.size()));
  CHECK(text_of(view) == text.substr(0, view.size()));
  view = {};
  got += both.read_so_many(text.size() - got.size());
  CHECK((got == text));
  both.until([&] { return put.done(); });
}

TEST_CASE("asking for more than a held ring can bring is an error, in each way, and no end") {
  view_pair both{4096};
  say(*both.there, both.writer, std::string(4096, 'x'));
  received view = both.receive();
  CHECK(both.read_so_many(4096 - view.size()).size() == 2048);
  received_bytes more;
  both.reader.async_receive(more.record());
  both.until([&] { return more.done(); });
  CHECK(more.ec == fairway::error::ring_is_held);
  CHECK(more.value.empty());
  outcome ready;
  both.reader.async_wait(fairway::wait_kind::read, ready.record_error());
  both.until([&] { return ready.done(); });
  CHECK(ready.ec == fairway::error::ring_is_held);
  std::string got;
  CHECK(both.read(got).ec == fairway::error::ring_is_held);
  say(*both.here, both.reader, "the other way goes on");
  CHECK(hear(*both.there, both.writer, 21) == "the other way goes on");
  view = {};
  say(*both.there, both.writer, "and so does this");
  CHECK(both.read_so_many(16) == "and so does this");
}

TEST_CASE("a writer that waits for much is woken for little when a view holds the rest") {
  view_pair both{4096};
  const std::string text = seeded{43}.bytes(6000);
  outcome put;
  asio::async_write(both.writer, asio::buffer(text), put.record());
  both.settle();
  std::string got = both.read_so_many(10);
  received view = both.receive();
  got += text_of(view);
  got += both.read_so_many(4096 - 10 - view.size());
  // So many bytes are free, and the writer sleeps until a quarter of the ring is.
  both.settle();
  got += both.read_so_many(10);
  CHECK(both.read(got).ec == fairway::error::ring_is_held);
  view = {};
  got += both.read_so_many(text.size() - got.size());
  CHECK((got == text));
  both.until([&] { return put.done(); });
}

TEST_CASE("the end of the stream comes before a ring that is held, with every byte before it") {
  view_pair both{4096};
  say(*both.there, both.writer, std::string(4096, 'x'));
  REQUIRE(both.writer.shutdown(fairway::shutdown_kind::send));
  received view = both.receive();
  CHECK(both.read_so_many(2048).size() == 2048);
  std::string none;
  CHECK(both.read(none).ec == condition::eof);
  CHECK(text_of(view) == std::string(2048, 'x'));
  both.writer.close();
  both.settle();
  CHECK(both.read(none).ec == condition::eof);
  CHECK(text_of(view) == std::string(2048, 'x'));
}

TEST_CASE("cancels, deadlines and a reset leave a view alone") {
  view_pair both;
  say(*both.there, both.writer, "seen");
  received view = both.receive();
  outcome waiting;
  std::array<char, 8> room{};
  both.reader.async_read_some(asio::buffer(room), waiting.record());
  both.settle();
  both.reader.cancel();
  both.until([&] { return waiting.done(); });
  CHECK(waiting.ec == condition::aborted);
  both.reader.set_timeouts({.read = 5ms});
  received_bytes late;
  both.reader.async_receive(late.record());
  both.until([&] { return late.done(); });
  CHECK(late.ec == condition::timed_out);
  CHECK(text_of(view) == "seen");
  both.reader.set_timeouts({});
  (void)both.writer.set_option(fairway::linger{true, 0s});
  both.writer.close();
  std::string none;
  CHECK(both.read(none).ec == condition::reset);
  CHECK(text_of(view) == "seen");
}

TEST_CASE("a close with a view out is an end in order, as its bytes were read") {
  view_pair both;
  say(*both.there, both.writer, "all of it");
  received view = both.receive();
  both.reader.close();
  std::string none(10, '\0');
  outcome got;
  both.writer.async_read_some(asio::buffer(none), got.record());
  both.until([&] { return got.done(); });
  CHECK(got.ec == condition::eof);
  CHECK(text_of(view) == "all of it");
}

TEST_CASE("a view outlives stream, connection and port, and then the memory goes") {
  const std::size_t before = fairway::loopback_memory();
  received view;
  received shut;
  {
    view_pair both;
    say(*both.there, both.writer, "kept");
    view = both.receive();
    auto first_reader = std::move(both.reader);
    auto first_writer = std::move(both.writer);
    both.connect();
    say(*both.there, both.writer, "closed");
    shut = both.receive();
    both.reader.close();
    both.writer.close();
    both.settle();
    CHECK(text_of(shut) == "closed");
    first_writer = {};
    both.listening.close();
    both.there.reset();
    both.turn();
    CHECK(text_of(view) == "kept");
    first_reader = {};
    both.here.reset();
  }
  CHECK(text_of(view) == "kept");
  CHECK(text_of(shut) == "closed");
  CHECK(is_view(view));
  CHECK(is_view(shut));
  CHECK(fairway::loopback_memory() > before);
  view = {};
  std::thread elsewhere{[last = std::move(shut)]() mutable { last = {}; }};
  elsewhere.join();
  CHECK(fairway::loopback_memory() == before);
}

TEST_CASE("memory that a view shows goes to no other connection before it is given back") {
  view_pair both;
  seeded random{44};
  std::size_t full = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<received> held;
    std::vector<std::string> texts;
    // More than the first memory has room for.
    for (int i = 0; i < 40; ++i) {
      texts.push_back(random.bytes(1 + random.below(16'000)));
      // Either end may be the one that reads, and the one that goes first.
      if (i / 2 % 2 == 0) {
        say(*both.here, both.reader, texts.back());
        held.push_back(both.receive(both.writer));
      } else {
        say(*both.there, both.writer, texts.back());
        held.push_back(both.receive());
      }
      (i % 2 == 0 ? both.reader : both.writer).close();
      both.turn();
      (i % 2 == 0 ? both.writer : both.reader).close();
      both.turn();
      both.connect();
    }
    for (std::size_t i = 0; i < held.size(); ++i) {
      CHECK((text_of(held[i]) == texts[i].substr(0, held[i].size())));
      CHECK(is_view(held[i]));
    }
    if (round == 0) full = fairway::loopback_memory();
  }
  // Each round had the memory of the one before.
  CHECK(fairway::loopback_memory() <= full);
}

TEST_CASE("a receive that waits for a buffer, as a view is out, needs none when it comes back") {
  fairway::port_options options;
  options.receive_buffer_bytes = 1000;
  options.receive_buffers_max = 1;
  view_pair both{65536, options};
  const std::string text = seeded{47}.bytes(5000);
  say(*both.there, both.writer, text);
  received view = both.receive();
  const received copy = both.receive();  // the port's only buffer
  received_bytes next;
  both.reader.async_receive(next.record());
  both.settle();
  CHECK(!next.done());
  view = {};
  both.until([&] { return next.done(); });
  CHECK(!next.ec);
  CHECK(is_view(next.value));
  CHECK((text_of(copy) + text_of(next.value) == text.substr(1000, 2000)));
}

TEST_CASE("a receive that waits for a buffer, with its bytes still in TCP, lets the port rest") {
  fairway::port_options options;
  options.receive_buffer_bytes = 512;
  options.receive_buffers_max = 1;
  view_pair both{65536, options};
  say(*both.there, both.writer, std::string(2000, 'x'));
  const received view = both.receive();
  received copy = both.receive();  // the port's only buffer
  accepted made = dial_fast(*both.there, both.listening.local_endpoint().value());
  say(*both.there, made.value, "by TCP");  // it is not accepted yet
  fairway::stream other = accept(*both.here, both.listening);
  received_bytes got;
  other.async_receive(got.record());
  std::size_t handlers = 0;
  both.here->restart();
  for (int i = 0; i < 100; ++i) handlers += both.here->poll_one();
  CHECK(handlers < 10);
  CHECK(!got.done());
  copy = {};
  both.until([&] { return got.done(); });
  CHECK(text_of(got.value) == "by TCP");
}

TEST_CASE("a wait for an error, with bytes still in TCP, lets the port rest") {
  view_pair both;
  accepted made = dial_fast(*both.there, both.listening.local_endpoint().value());
  say(*both.there, made.value, "by TCP");
  fairway::stream other = accept(*both.here, both.listening);
  outcome failed;
  other.async_wait(fairway::wait_kind::error, failed.record_error());
  std::size_t handlers = 0;
  both.here->restart();
  for (int i = 0; i < 100; ++i) handlers += both.here->poll_one();
  CHECK(handlers < 10);
  CHECK(!failed.done());
  other.cancel();
  both.until([&] { return failed.done(); });
  CHECK(hear(*both.here, other, 6) == "by TCP");
}

TEST_CASE("a view goes back from another thread, and the writer goes on") {
  view_pair both{4096};
  const std::string text = seeded{45}.bytes(100'000);
  outcome put;
  asio::async_write(both.writer, asio::buffer(text), put.record());
  std::string got;
  while (got.size() < text.size()) {
    received view = both.receive();
    got += text_of(view);
    std::thread elsewhere{[last = std::move(view)]() mutable { last = {}; }};
    both.turn();  // so that it comes back by a hop or by borrowing
    elsewhere.join();
    both.turn();
  }
  CHECK((got == text));
}

TEST_CASE("a view that no handler took goes back by itself") {
  const std::size_t before = fairway::loopback_memory();
  {
    view_pair both{4096};
    say(*both.there, both.writer, std::string(100, 'x'));
    received_bytes never;
    both.reader.async_receive(never.record());
    both.reader = {};
    both.here.reset();
    CHECK(never.calls == 0);
    both.writer = {};
  }
  CHECK(fairway::loopback_memory() == before);
}

TEST_CASE("bulk by views and copies, one held longer than the next, arrives byte for byte") {
  for (const std::size_t ring : {std::size_t{4096}, std::size_t{65536}}) {
    view_pair both{ring};
    seeded random{46};
    const std::string text = random.bytes(1'000'000);
    asio::co_spawn(
        *both.there,
        [](fairway::stream& s, const std::string& all, seeded sizes) -> coroutine<void> {
          std::size_t sent = 0;
          while (sent < all.size()) {
            const std::size_t size = std::min(1 + sizes.below(9000), all.size() - sent);
            auto put = co_await fairway::async_write(s, asio::buffer(all.data() + sent, size));
            if (!put) co_return;
            sent += size;
          }
          (void)s.shutdown(fairway::shutdown_kind::send);
        }(both.writer, text, random),
        asio::detached);
    std::string got;
    std::deque<received> held;
    std::size_t views = 0;
    for (;;) {
      received_bytes next;
      both.reader.async_receive(next.record());
      both.until([&] { return next.done(); });
      if (next.ec == fairway::error::ring_is_held) {
        REQUIRE(!held.empty());
        held.clear();
        continue;
      }
      if (next.ec) {
        CHECK(next.ec == condition::eof);
        break;
      }
      got += text_of(next.value);
      if (is_view(next.value)) ++views;
      held.push_back(std::move(next.value));
      while (held.size() > random.below(4)) held.pop_front();
    }
    CHECK((got == text));
    CHECK(views > 10);
  }
}

#if defined(__linux__)

TEST_CASE("in a child made by fork giving a view back changes nothing for the parent") {
  view_pair both{4096};
  say(*both.there, both.writer, std::string(4096, 'x'));
  received view = both.receive();
  CHECK(both.read_so_many(2048).size() == 2048);
  received shut;
  {
    view_pair other;
    say(*other.there, other.writer, "closed");
    shut = other.receive();
    other.reader.close();
    CHECK(in_child([&] {
            view = {};
            shut = {};
            both.reader.close();
            return 0;
          }) == 0);
    other.writer.close();
    other.settle();
    other.connect();
    say(*other.there, other.writer, "spoils");
    CHECK(text_of(shut) == "closed");
  }
  outcome put;
  both.writer.async_write_some(asio::buffer("y", 1), put.record());
  both.settle();
  CHECK(!put.done());
  CHECK(text_of(view) == std::string(2048, 'x'));
  view = {};
  CHECK(both.read_so_many(1) == "y");
}

#endif
