// The pool of accepts that a listener keeps in the kernel.

#include "support/net.hpp"

#include <string>
#include <vector>

namespace {

using namespace support;
using fairway::condition;

// More than the pool has.
constexpr int many = 10;

}  // namespace

TEST_CASE("a connection that came after a cancelled accept goes to the next one") {
  fairway::completion_port port;
  auto l = listen(port);
  accepted cancelled;
  l.async_accept(cancelled.record());
  drain(port);
  l.cancel();
  pump(port, [&] { return cancelled.done(); });
  CHECK(cancelled.ec == condition::aborted);
  auto peer = raw_peer::connect(l.local_endpoint().value());
  auto s = accept(port, l);
  CHECK(s.remote_endpoint().value() == peer.local());
}

TEST_CASE("connections are accepted in the order in which they came") {
  fairway::completion_port port;
  auto l = listen(port);
  std::vector<raw_peer> peers;
  for (int i = 0; i < many; ++i) peers.push_back(raw_peer::connect(l.local_endpoint().value()));
  for (auto& peer : peers) CHECK(accept(port, l).remote_endpoint().value() == peer.local());
}

TEST_CASE("peers that reset before they are accepted do not end a listener") {
  fairway::completion_port port;
  auto l = listen(port);
  const auto where = l.local_endpoint().value();
  for (int i = 0; i < many; ++i) raw_peer::connect(where).reset();
  auto peer = raw_peer::connect(where);
  for (;;) {
    auto s = accept(port, l);
    const auto remote = s.remote_endpoint();
    if (remote && remote.value() == peer.local()) break;
  }
  CHECK(l.is_open());
}

TEST_CASE("a listener that closes ends the connections that nobody took") {
  fairway::completion_port port;
  auto l = listen(port);
  const auto where = l.local_endpoint().value();
  accepted first;
  l.async_accept(first.record());
  drain(port);
  auto taken = raw_peer::connect(where);
  auto waiting = raw_peer::connect(where);
  pump(port, [&] { return first.done(); });
  drain(port);
  l.close();
  std::string nothing;
  CHECK(read_to_end(port, waiting, nothing) != raw_peer::event::bytes);
  CHECK(nothing.empty());
  CHECK(first.value.is_open());
}

TEST_CASE("the endpoint of a listener is free when close returns") {
  fairway::completion_port port;
  auto l = listen(port);
  const auto where = l.local_endpoint().value();
  accepted got;
  l.async_accept(got.record());
  drain(port);
  l.close();
  CHECK(fairway::listener::open(port, where).has_value());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::aborted);
}

TEST_CASE("a port that is destroyed takes its pools with it") {
  fairway::listener l;
  {
    fairway::completion_port port;
    l = listen(port);
    l.async_accept([](error_code, fairway::stream) { FAIL("a discarded handler ran"); });
    drain(port);
  }
  CHECK_FALSE(l.is_open());
}
