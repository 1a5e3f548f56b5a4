// Destroying a port under calls that wait for messages, for room or in a memory stream.

#include "protocol/support.hpp"
#include "support/census.hpp"
#include "support/tracking_allocator.hpp"

#include <fairway/engine/port_group.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <array>
#include <memory>
#include <optional>
#include <vector>

using namespace support;
using fairway::completion_port;
using fairway::framed;
using fairway::line_codec;

namespace {

using fairway::task;

const memory_options narrow{.capacity = 4};
constexpr fairway::framed_options shallow{
    .write_high_bytes = 8, .write_low_bytes = 3, .gather_bytes = 4};

// Each coroutine owns what it waits on: nobody but its port could ever end it.
task<> reads(lines_pair mine, census::member here) {
  (void)co_await mine.framed.async_read();
  here.runs();
}

task<> writes(lines_pair mine, census::member here) {
  (void)co_await mine.framed.async_write("fills the room");
  (void)co_await mine.framed.async_write("waits for room");
  here.runs();
}

task<> writes_all(lines_pair mine, census::member here) {
  const std::vector<std::string> many(20, "message");
  (void)co_await mine.framed.async_write_all(many);
  here.runs();
}

task<> flushes(lines_pair mine, census::member here) {
  (void)co_await mine.framed.async_write("fills the room");
  (void)co_await mine.framed.async_flush();
  here.runs();
}

task<> lends(memory_stream a, memory_stream, census::member here) {
  framed mine{std::move(a), fairway::length_prefix_codec<>{}};
  const std::string big(50'000, 'b');
  (void)co_await mine.async_write(big);
  here.runs();
}

task<> reads_bare(memory_stream a, memory_stream, census::member here) {
  std::array<char, 8> room;
  (void)co_await a.async_read_some(asio::buffer(room));
  here.runs();
}

task<> writes_bare(memory_stream a, memory_stream, census::member here) {
  (void)co_await a.async_write_some(asio::buffer("12345678", 8));
  (void)co_await a.async_write_some(asio::buffer("12345678", 8));
  here.runs();
}

task<> reads_socket(half_pair half, census::member here) {
  framed mine{std::move(half.stream), line_codec<>{}};
  (void)co_await mine.async_read();
  here.runs();
}

using shared_lines = std::shared_ptr<lines_pair>;

task<> reads_shared(shared_lines mine, census::member here) {
  (void)co_await mine->framed.async_read();
  here.runs();
}

task<> writes_shared(shared_lines mine, census::member here) {
  (void)co_await mine->framed.async_write("fills the room");
  (void)co_await mine->framed.async_write("waits for room");
  here.runs();
}

template <class Begin>
void wait_for_the_end(Begin begin, int expected = 1) {
  census people;
  {
    completion_port port;
    begin(port, people);
    drain(port);
    CHECK(people.alive == expected);
  }
  CHECK(people.alive == 0);
  CHECK(people.ran == 0);
}

}  // namespace

TEST_CASE("a port destroyed while a coroutine reads frees it") {
  wait_for_the_end([](completion_port& port, census& people) {
    fairway::spawn(port, reads(connect_lines(port), people.one()));
  });
  wait_for_the_end([](completion_port& port, census& people) {
    fairway::spawn(port, reads_socket(connect_peer(port), people.one()));
  });
}

TEST_CASE("a port destroyed while a coroutine waits to write frees it") {
  for (const auto call : {&writes, &writes_all, &flushes}) {
    wait_for_the_end([call](completion_port& port, census& people) {
      fairway::spawn(port, call(connect_lines(port, narrow, shallow), people.one()));
    });
  }
  wait_for_the_end([](completion_port& port, census& people) {
    auto [a, b] = memory_stream::pair(port, {.capacity = 1000});
    fairway::spawn(port, lends(std::move(a), std::move(b), people.one()));
  });
}

TEST_CASE("a port destroyed while a coroutine waits on a memory stream frees it") {
  for (const auto call : {&reads_bare, &writes_bare}) {
    wait_for_the_end([call](completion_port& port, census& people) {
      auto [a, b] = memory_stream::pair(port, narrow);
      fairway::spawn(port, call(std::move(a), std::move(b), people.one()));
    });
  }
}

TEST_CASE("a port destroyed while several wait on one stream that they share frees them") {
  wait_for_the_end(
      [](completion_port& port, census& people) {
        auto both = std::make_shared<lines_pair>(connect_lines(port, narrow, shallow));
        fairway::spawn(port, reads_shared(both, people.one()));
        for (int i = 0; i < 3; ++i) fairway::spawn(port, writes_shared(both, people.one()));
      },
      4);
}

TEST_CASE("a port destroyed while thousands of writes wait in a row frees them") {
  constexpr int count = 100'000;
  wait_for_the_end(
      [](completion_port& port, census& people) {
        auto both = std::make_shared<lines_pair>(connect_lines(port, narrow, shallow));
        both->framed.async_write("fills the room", [](error_code) {});
        for (int i = 0; i < count; ++i) {
          both->framed.async_write("x", [both, h = people.handler()](error_code ec) mutable {
            h(ec);
          });
        }
      },
      count);
}

TEST_CASE("a port destroyed before it has told the calls that a close ended frees them") {
  census people;
  {
    completion_port port;
    auto both = std::make_shared<lines_pair>(connect_lines(port, narrow, shallow));
    fairway::spawn(port, reads_shared(both, people.one()));
    fairway::spawn(port, writes_shared(both, people.one()));
    auto half = connect_peer(port);
    auto over = std::make_shared<framed<fairway::stream, line_codec<>>>(std::move(half.stream),
                                                                        line_codec<>{});
    over->async_read(
        [over, m = people.one()](error_code, const std::string&) mutable { m.runs(); });
    drain(port);
    both->framed.close();
    over->close();
    CHECK(people.alive == 3);
  }
  CHECK(people.all_gone());
}

TEST_CASE("framed may outlive its port, and so may a stream that it refers to") {
  census people;
  std::optional<completion_port> port{std::in_place};
  lines_pair kept = connect_lines(*port, narrow, shallow);
  auto [a, b] = memory_stream::pair(*port);
  {
    framed refers{a, line_codec<>{}};
    refers.async_read(people.handler());
    drain(*port);
    kept.framed.async_read(people.handler());
    kept.framed.async_write("fills the room", [](error_code) {});
    kept.framed.async_write("waits for room", people.handler());
    drain(*port);
    CHECK(people.alive == 3);
    port.reset();
    CHECK(people.all_gone());
  }
  kept.framed.close();
  CHECK(!kept.framed.is_open());
  b.close();
}

TEST_CASE("a handler that the end of a port destroys may end or begin other calls") {
  struct closes_other {
    shared_lines other;
    census::member here;
    closes_other(shared_lines o, census::member m) : other{std::move(o)}, here{std::move(m)} {}
    closes_other(closes_other&&) noexcept = default;
    ~closes_other() {
      if (!other) return;
      other->framed.async_read([keep = other](error_code, std::string) {});
      other->framed.async_write("again", [keep = other](error_code) {});
      other->framed.close();
    }
    void operator()(error_code, std::string) { here.runs(); }
  };
  wait_for_the_end(
      [](completion_port& port, census& people) {
        auto one = std::make_shared<lines_pair>(connect_lines(port));
        auto two = std::make_shared<lines_pair>(connect_lines(port));
        one->framed.async_read(closes_other{two, people.one()});
        two->framed.async_read(closes_other{one, people.one()});
      },
      2);
}

TEST_CASE("bytes that were lent and have gone with their handler are not moved any more") {
  struct reads_peer {
    std::shared_ptr<memory_stream> peer;
    census::member here;
    reads_peer(std::shared_ptr<memory_stream> p, census::member m)
        : peer{std::move(p)}, here{std::move(m)} {}
    reads_peer(reads_peer&&) noexcept = default;
    ~reads_peer() {
      if (!peer) return;
      auto into = std::make_shared<std::array<char, 4000>>();
      peer->async_read_some(asio::buffer(*into), [into, p = peer](error_code, std::size_t) {});
    }
    void operator()(error_code) { here.runs(); }
  };
  census people;
  std::optional<completion_port> port{std::in_place};
  auto [a, b] = memory_stream::pair(*port, {.capacity = 1000});
  auto peer = std::make_shared<memory_stream>(std::move(b));
  framed mine{std::move(a), fairway::length_prefix_codec<>{}};
  auto big = std::make_shared<std::string>(50'000, 'b');
  const std::string& lent = *big;
  mine.async_write(lent, [big, m = people.one()](error_code) mutable { m.runs(); });
  mine.async_flush(reads_peer{peer, people.one()});
  big.reset();
  drain(*port);
  CHECK(people.alive == 2);
  port.reset();
  CHECK(people.all_gone());
}

TEST_CASE("a port that ends touches no cancellation slot and gives memory back where it is from") {
  census people;
  allocation_record blocks;
  {
    completion_port port;
    auto both = std::make_shared<lines_pair>(connect_lines(port));
    auto signal = std::make_unique<asio::cancellation_signal>();
    const auto with = [&](auto handler) {
      return asio::bind_allocator(tracking_allocator<>{blocks},
                                  asio::bind_cancellation_slot(signal->slot(), std::move(handler)));
    };
    both->framed.async_read(
        with([both, m = people.one()](error_code, const std::string&) mutable { m.runs(); }));
    drain(port);
    CHECK(blocks.live == 1);
    signal.reset();
  }
  CHECK(people.all_gone());
  CHECK(blocks.live == 0);
}

TEST_CASE("a group destroyed while coroutines of each port wait on the next frees them") {
  for (const std::size_t ports : {1u, 2u, 3u}) {
    census people;
    {
      fairway::port_group group{ports};
      for (std::size_t i = 0; i < group.size(); ++i) {
        completion_port& away = group[(i + 1) % group.size()];
        fairway::spawn(group[i], reads(connect_lines(away), people.one()));
        fairway::spawn(group[i], writes(connect_lines(away, narrow, shallow), people.one()));
        fairway::spawn(group[i], reads_socket(connect_peer(away), people.one()));
      }
      for (int round = 0; round < 4; ++round) {
        for (std::size_t i = 0; i < group.size(); ++i) drain(group[i]);
      }
      CHECK(people.alive == static_cast<int>(3 * ports));
    }
    CHECK(people.alive == 0);
    CHECK(people.ran == 0);
  }
}

TEST_CASE("an io_context destroyed while a message is waited for frees the handler") {
  census people;
  {
    asio::io_context context;
    asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    asio::ip::tcp::socket peer{context};
    peer.connect(acceptor.local_endpoint());
    auto over = std::make_shared<framed<asio::ip::tcp::socket, line_codec<>>>(
        acceptor.accept(), line_codec<>{});
    over->async_read(
        [over, m = people.one()](error_code, const std::string&) mutable { m.runs(); });
    context.poll();
    CHECK(people.alive == 1);
  }
  CHECK(people.all_gone());
}
