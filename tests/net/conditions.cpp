// The error vocabulary, produced by real sockets.

#include "support/net.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>

#include <array>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::endpoint;

namespace {

error_code connect_error(completion_port& port, const endpoint& to) {
  fairway::connector dial{port};
  accepted got;
  dial.async_connect(to, got.record());
  pump(port, [&] { return got.done(); });
  return got.ec;
}

// Which of all conditions an error is; exactly one is expected.
std::vector<condition> conditions_of(const error_code& ec) {
  std::vector<condition> all;
  for (int value = static_cast<int>(condition::aborted);
       value <= static_cast<int>(condition::interrupted); ++value) {
    if (ec == static_cast<condition>(value)) all.push_back(static_cast<condition>(value));
  }
  return all;
}

void check_is(const error_code& ec, condition expected) {
  CAPTURE(ec.message());
  const auto all = conditions_of(ec);
  REQUIRE(all.size() == 1);
  CHECK(all.front() == expected);
}

}  // namespace

TEST_CASE("connecting where nobody listens is refused") {
  completion_port port;
  endpoint nobody;
  {
    auto gone = raw_peer::bound(endpoint::loopback_v4(0));
    nobody = gone.local();
  }
  const auto ec = connect_error(port, nobody);
  check_is(ec, condition::refused);
  CHECK(ec == condition::refused);
}

TEST_CASE("an aborted, an ended and a reset read are three different things") {
  completion_port port;
  std::array<char, 8> room{};
  for (const auto expected : {condition::aborted, condition::eof, condition::reset}) {
    auto [stream, peer] = connect_peer(port);
    outcome got;
    stream.async_read_some(asio::buffer(room), got.record());
    drain(port);
    if (expected == condition::aborted) stream.cancel();
    if (expected == condition::eof) peer.close();
    if (expected == condition::reset) peer.reset();
    pump(port, [&] { return got.done(); });
    check_is(got.ec, expected);
  }
}

TEST_CASE("an endpoint in use, for streams and datagrams") {
  completion_port port;
  auto l = listen(port);
  check_is(fairway::listener::open(port, l.local_endpoint().value()).error(),
           condition::address_in_use);
  auto d = fairway::datagram::open(port, endpoint::loopback_v4(0)).value();
  check_is(fairway::datagram::open(port, d.local_endpoint().value()).error(),
           condition::address_in_use);
}

TEST_CASE("a deadline that passed is timed out") {
  fairway::manual_clock clock;
  fairway::port_options options;
  options.clock = &clock;
  completion_port port{options};
  auto [stream, peer] = connect_peer(port);
  stream.set_timeouts({.read = 1s});
  std::array<char, 8> room{};
  outcome got;
  stream.async_read_some(asio::buffer(room), got.record());
  clock.advance(1s);
  pump(port, [&] { return got.done(); });
  check_is(got.ec, condition::timed_out);
}

TEST_CASE("a second operation of a kind is in progress") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  outcome first;
  outcome second;
  stream.async_read_some(asio::buffer(room), first.record());
  stream.async_read_some(asio::buffer(room), second.record());
  pump(port, [&] { return second.done(); });
  check_is(second.ec, condition::in_progress);
}

TEST_CASE("what a socket does not have is not supported") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
#if defined(_WIN32)
  check_is(stream.set_option(fairway::reuse_port{true}).error(), condition::not_supported);
#else
  check_is(stream.set_option(fairway::tcp_urgent_bsd{true}).error(), condition::not_supported);
#endif
}

TEST_CASE("an option out of its range is an invalid argument") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  check_is(stream.set_option(fairway::ip_ttl{300}).error(), condition::invalid_argument);
  check_is(stream.set_option(fairway::keep_alive_idle{0s}).error(),
           condition::invalid_argument);
  check_is(stream.set_option(fairway::linger{true, 5s}).error(), condition::invalid_argument);
}

#if defined(__linux__)

TEST_CASE("reading into memory that is not there is a bad address") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  void* nowhere = ::mmap(nullptr, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(nowhere != MAP_FAILED);
  peer.write("x");
  outcome got;
  stream.async_read_some(asio::mutable_buffer(nowhere, page), got.record());
  pump(port, [&] { return got.done(); });
  check_is(got.ec, condition::bad_address);
  ::munmap(nowhere, page);
}

TEST_CASE("a path in a directory that does not exist cannot be listened on") {
  completion_port port;
  auto l = fairway::listener::open(port,
                                   endpoint::local("/nonexistent-directory/fairway").value());
  REQUIRE(l.has_error());
  CHECK(l.error() == boost::system::errc::no_such_file_or_directory);
}

#endif
