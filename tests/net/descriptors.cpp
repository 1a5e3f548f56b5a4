// Descriptors: adopted, released, reused by the system, and the wrong ones.

#include "net/open_files.hpp"
#include "support/net.hpp"

#include <array>

#if defined(__linux__)
#include <fcntl.h>
#include <unistd.h>
#endif

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::stream;

TEST_CASE("a released socket goes on elsewhere, with nothing lost") {
  completion_port one;
  completion_port two;
  auto [first, peer] = connect_peer(one);
  std::array<char, 3> room{};
  outcome got;
  peer.write("abcdef");
  first.async_read_some(asio::buffer(room), got.record());
  pump(one, [&] { return got.done(); });
  auto handle = first.release();
  if (handle.has_error() && one.engine() == fairway::engine_kind::iocp) {
    // The system cannot: it says so, and the stream has lost nothing.
    REQUIRE(handle.error() == condition::not_supported);
    CHECK(first.is_open());
    outcome rest;
    first.async_read_some(asio::buffer(room), rest.record());
    pump(one, [&] { return rest.done(); });
    CHECK(std::string_view(room.data(), rest.bytes) == "def");
    std::puts("SKIP: a socket cannot leave its completion port under Wine, nor before Windows 8.1");
    return;
  }
  REQUIRE(handle.has_value());
  CHECK_FALSE(first.is_open());
  auto second = stream::adopt(two, handle.value());
  REQUIRE(second.has_value());
  outcome rest;
  second.value().async_read_some(asio::buffer(room), rest.record());
  pump(two, [&] { return rest.done(); });
  CHECK(std::string_view(room.data(), rest.bytes) == "def");
  CHECK(second.value().remote_endpoint().value() == peer.local());
}

TEST_CASE("a socket that had no operation yet is released and goes on elsewhere") {
  completion_port one;
  completion_port two;
  auto [first, peer] = connect_peer(one);
  peer.write("abc");
  auto handle = first.release();
  REQUIRE(handle.has_value());
  CHECK_FALSE(first.is_open());
  auto second = stream::adopt(two, handle.value());
  REQUIRE(second.has_value());
  std::array<char, 3> room{};
  outcome got;
  second.value().async_read_some(asio::buffer(room), got.record());
  pump(two, [&] { return got.done(); });
  CHECK(std::string_view(room.data(), got.bytes) == "abc");
}

#if defined(_WIN32)

TEST_CASE("a socket that another completion port has fails its first operation, and says why") {
  completion_port one;
  completion_port two;
  auto [first, peer] = connect_peer(one);
  std::array<char, 3> room{};
  outcome got;
  peer.write("abcdef");
  first.async_read_some(asio::buffer(room), got.record());
  pump(one, [&] { return got.done(); });
  {
    auto second = stream::adopt(two, first.native_handle());
    REQUIRE(second.has_value());
    outcome refused;
    second.value().async_read_some(asio::buffer(room), refused.record());
    pump(two, [&] { return refused.done(); });
    CHECK(refused.ec == condition::invalid_argument);
    CHECK(refused.bytes == 0);
    auto back = second.value().release();
    REQUIRE(back.has_value());
  }
  outcome rest;
  first.async_read_some(asio::buffer(room), rest.record());
  pump(one, [&] { return rest.done(); });
  CHECK(std::string_view(room.data(), rest.bytes) == "def");
}

#endif

TEST_CASE("a stream with operations in flight is not released") {
  completion_port port;
  auto [s, peer] = connect_peer(port);
  std::array<char, 8> room{};
  outcome got;
  s.async_read_some(asio::buffer(room), got.record());
  auto handle = s.release();
  REQUIRE(handle.has_error());
  CHECK(handle.error() == condition::in_progress);
  peer.write("x");
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
  auto again = s.release();
  if (again.has_value()) {
    raw_peer{again.value()}.close();
  } else {
    CHECK(port.engine() == fairway::engine_kind::iocp);
    CHECK(again.error() == condition::not_supported);
  }
}

TEST_CASE("a datagram socket, a listener and a number that is none are not adopted as streams") {
  completion_port port;
  auto udp = raw_peer::datagram(fairway::endpoint::loopback_v4(0));
  auto listening = raw_peer::listen(fairway::endpoint::loopback_v4(0));
  auto one = stream::adopt(port, udp.handle());
  auto two = stream::adopt(port, listening.handle());
  REQUIRE(one.has_error());
  REQUIRE(two.has_error());
  CHECK(one.error() == condition::invalid_argument);
  CHECK(two.error() == condition::invalid_argument);
  CHECK(udp.local().port() != 0);
  CHECK(listening.local().port() != 0);
  auto three = stream::adopt(port, 1'000'000);
  REQUIRE(three.has_error());
#if defined(__linux__)
  CHECK(three.error() == asio::error::bad_descriptor);
  const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  auto four = stream::adopt(port, static_cast<std::uintptr_t>(file));
  REQUIRE(four.has_error());
  CHECK(four.error() == condition::not_a_socket);
  ::close(file);
#else
  CHECK(three.error() == condition::not_a_socket);
#endif
}

TEST_CASE("a reused descriptor number never gets what belonged to the one before") {
  completion_port port;
  std::array<char, 8> old_room{};
  std::array<char, 8> room{};

  auto l = listen(port);
  for (int i = 0; i < 200; ++i) {
    half_pair first{{}, raw_peer::connect(l.local_endpoint().value())};
    first.stream = accept(port, l);
    auto peer = raw_peer::connect(l.local_endpoint().value());
    outcome old;
    first.stream.async_read_some(asio::buffer(old_room), old.record());
    if (i % 2 == 0) drain(port);
    if (i % 3 == 0) first.peer.write("old");
    first.stream.close();
    // What the kernel still has to say of the old one comes while the new one waits.
    auto next = accept(port, l);
    outcome fresh;
    next.async_read_some(asio::buffer(room), fresh.record());
    drain(port);
    REQUIRE(fresh.calls == 0);
    peer.write("new");
    pump(port, [&] { return fresh.done() && old.done(); });
    REQUIRE(!fresh.ec);
    REQUIRE(std::string_view(room.data(), fresh.bytes) == "new");
    REQUIRE(old.calls == 1);
  }
}

TEST_CASE("streams that come and go leave no descriptor behind") {
  open_files before;
  {
    completion_port port;
    auto l = listen(port);
    for (int i = 0; i < 300; ++i) {
      auto peer = raw_peer::connect(l.local_endpoint().value());
      auto s = accept(port, l);
      std::array<char, 8> room{};
      if (i % 2 == 0) s.async_read_some(asio::buffer(room), [](error_code, std::size_t) {});
      if (i % 3 == 0) s.close();
      if (i % 5 == 0) peer.reset();
      if (i % 7 == 0) drain(port);
      s = {};
      // Buffers of this round end here: what was pending must have let go of them.
      drain(port);
      pump(port, [&] { return port.statistics().operations_in_flight == 0; });
    }
  }
  CHECK(before.are_as_before());
}

#if defined(__linux__)

TEST_CASE("an adopted socket may be non-blocking, and a duplicate elsewhere does not confuse") {
  completion_port port;
  auto l = listen(port);
  auto peer = raw_peer::connect(l.local_endpoint().value());
  auto ours = accept(port, l);
  const int fd = static_cast<int>(peer.release());
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int duplicate = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  auto s = stream::adopt(port, static_cast<std::uintptr_t>(fd)).value();
  std::array<char, 8> room{};
  outcome got;
  s.async_read_some(asio::buffer(room), got.record());
  drain(port);
  CHECK(got.calls == 0);
  outcome put;
  ours.async_write_some(asio::buffer("abc", 3), put.record());
  pump(port, [&] { return got.done() && put.done(); });
  CHECK(!got.ec);
  CHECK(got.bytes == 3);
  // A write that has to wait on it: O_NONBLOCK must not surface as an error.
  const std::string big(64 << 20, 'x');
  outcome all;
  asio::async_write(s, asio::buffer(big), all.record());
  drain(port);
  CHECK(all.calls == 0);
  s.close();
  pump(port, [&] { return all.done(); });
  CHECK(all.ec == condition::aborted);
  // The duplicate keeps the connection; nothing of it reaches the port any more.
  outcome more;
  ours.async_write_some(asio::buffer("x", 1), more.record());
  pump(port, [&] { return more.done(); });
  drain(port);
  ::close(duplicate);
}

#endif
