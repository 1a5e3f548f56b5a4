// Destroying a port under everything that is pending on it.

#include "net/open_files.hpp"
#if defined(__linux__)
#include "support/child.hpp"
#endif
#include "support/census.hpp"
#include "support/limits.hpp"
#include "support/net.hpp"

#include <array>
#include <memory>

using namespace support;
using fairway::completion_port;

namespace {

constexpr std::size_t streams = 300;

}  // namespace

TEST_CASE("destroying a port with a thousand pending operations destroys them all and runs none") {
  open_files before;
  census people;
  {
    std::vector<half_pair> all;
    all.reserve(streams);  // composed operations refer to their stream
    std::vector<fairway::listener> listeners;
    std::array<char, 8> room{};
    const std::string big(64 << 20, 'x');  // more than two kernels will buffer
    completion_port port;
    auto l = listen(port);
    for (std::size_t i = 0; i < streams; ++i) {
      auto peer = raw_peer::connect(l.local_endpoint().value());
      all.push_back({accept(port, l), std::move(peer)});
      auto& s = all.back().stream;
      switch (i % 3) {
        case 0: s.async_read_some(asio::buffer(room), people.handler()); break;
        case 1: s.async_receive(people.handler()); break;
        default: s.async_wait(fairway::wait_kind::read, people.handler()); break;
      }
      if (i % 10 == 0) asio::async_write(s, asio::buffer(big), people.handler());
    }
    for (int i = 0; i < 100; ++i) {
      listeners.push_back(listen(port));
      listeners.back().async_accept(people.handler());
    }
    drain(port);
    // Some have just become ready, and nobody has looked yet.
    for (std::size_t i = 0; i < streams; i += 7) all[i].peer.write("x");
    CHECK(people.alive == static_cast<int>(streams + streams / 10 + 100));
    listeners.clear();
    all.resize(all.size() / 2);
  }
  CHECK(people.alive == 0);
  CHECK(people.ran == 0);
  CHECK(before.are_as_before());
}

TEST_CASE("coroutines that wait on streams are destroyed with the port, once") {
  census people;
  open_files before;
  {
    completion_port port;
    auto l = listen(port);
    for (std::size_t i = 0; i < streams; ++i) {
      auto peer = raw_peer::connect(l.local_endpoint().value());
      asio::co_spawn(
          port,
          [](half_pair half, census::member here) -> coroutine<void> {
            std::array<char, 100> room;
            (void)co_await half.stream.async_read_some(asio::buffer(room));
            ++here.of->ran;
          }({accept(port, l), std::move(peer)}, census::member{people}),
          asio::detached);
    }
    drain(port);
    CHECK(people.alive == static_cast<int>(streams));
  }
  CHECK(people.alive == 0);
  CHECK(people.ran == 0);
  CHECK(before.are_as_before());
}

TEST_CASE("streams, listeners and datagrams may outlive their port, closed") {
  open_files before;
  {
    fairway::stream s;
    fairway::listener l;
    fairway::datagram d;
    raw_peer peer;
    {
      completion_port port;
      auto half = connect_peer(port);
      s = std::move(half.stream);
      peer = std::move(half.peer);
      l = listen(port);
      d = fairway::datagram::open(port, fairway::endpoint::loopback_v4(0)).value();
      std::array<char, 8> room{};
      s.async_read_some(asio::buffer(room), [](error_code, std::size_t) { FAIL("runs"); });
      drain(port);
    }
    CHECK_FALSE(s.is_open());
    CHECK_FALSE(l.is_open());
    CHECK_FALSE(d.is_open());
    std::string nothing;
    CHECK(peer.read(nothing) == raw_peer::event::end);
    s.close();
    s.cancel();
    fairway::stream moved = std::move(s);
    CHECK(moved.local_endpoint().has_error());
  }
  CHECK(before.are_as_before());
}

TEST_CASE("a buffer may be freed once the port is gone, whatever was pending into it") {
  for (std::size_t i = 0; i < scaled(200); ++i) {
    auto room = std::make_unique<std::array<char, 4096>>();
    raw_peer peer;
    {
      completion_port port;
      auto half = connect_peer(port);
      peer = std::move(half.peer);
      half.stream.async_read_some(asio::buffer(*room), [](error_code, std::size_t) {});
      if (i % 2 == 0) drain(port);
      if (i % 3 == 0) peer.write("bytes in flight");
      if (i % 5 == 0) half.stream.cancel();
    }
    room->fill('z');
    // What the peer sends now reaches nobody's memory.
    try {
      peer.write("late");
    } catch (const boost::system::system_error&) {
    }
    CHECK(std::string_view(room->data(), 4) == "zzzz");
  }
}

TEST_CASE("a stream of one port whose handler belongs to another goes with either") {
  for (const bool own_first : {true, false}) {
    CAPTURE(own_first);
    census people;
    auto port = std::make_unique<completion_port>();
    auto other = std::make_unique<completion_port>();
    {
      auto half = connect_peer(*port);
      std::array<char, 8> room{};
      half.stream.async_read_some(asio::buffer(room),
                                  asio::bind_executor(*other, people.handler()));
      half.peer.write("x");
      drain(*port);  // the handler now waits in the other port
      if (own_first) {
        port.reset();
        other.reset();
      } else {
        other.reset();
        port.reset();
      }
    }
    CHECK(people.alive == 0);
    CHECK(people.ran == 0);
  }
}

#if defined(__linux__)

TEST_CASE("a child made by fork may destroy what it inherited, and the parent's goes on") {
  if (thread_sanitizer) {
    std::puts("SKIP: the thread sanitizer does not follow a fork");
    return;
  }
  auto port = std::make_unique<completion_port>();
  auto closed = connect_peer(*port);
  auto cancelled = connect_peer(*port);
  auto left = connect_peer(*port);
  std::array<std::array<char, 8>, 3> rooms{};
  std::array<outcome, 3> got;
  closed.stream.async_read_some(asio::buffer(rooms[0]), got[0].record());
  cancelled.stream.async_read_some(asio::buffer(rooms[1]), got[1].record());
  left.stream.async_read_some(asio::buffer(rooms[2]), got[2].record());
  drain(*port);
  const int status = in_child([&] {
    { const auto gone = std::move(closed.stream); }
    cancelled.stream.cancel();
    port.reset();
    return 0;
  });
  CHECK(status == 0);
  closed.peer.write("a");
  cancelled.peer.write("bb");
  left.peer.write("ccc");
  pump(*port, [&] { return got[0].done() && got[1].done() && got[2].done(); });
  CHECK(got[0].bytes == 1);
  CHECK(got[1].bytes == 2);
  CHECK(got[2].bytes == 3);
}

#endif
