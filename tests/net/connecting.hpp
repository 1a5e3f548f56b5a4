// What the tests of the connector share: the other ends, which are plain Asio sockets so that
// nothing depends on Fairway's own listener, and ways to run a port by hand.
#pragma once

#include <fairway/engine/completion_port.hpp>
#include <fairway/net/connector.hpp>

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstdio>
#include <utility>

namespace connecting {

using boost::asio::ip::tcp;
using boost::system::error_code;
using fairway::completion_port;
using fairway::connector;
using fairway::endpoint;
using fairway::stream;

inline const auto loopback_v4 = boost::asio::ip::make_address("127.0.0.1");
inline const auto loopback_v6 = boost::asio::ip::make_address("::1");

/// A listening socket of Asio's, on a port that the system chose.
struct peer {
  explicit peer(const boost::asio::ip::address& address = loopback_v4, int backlog = 64)
      : acceptor(context, tcp::endpoint(address, 0).protocol()) {
    acceptor.bind({address, 0});
    acceptor.listen(backlog);
  }
  endpoint address() const { return acceptor.local_endpoint(); }
  tcp::socket accept() { return acceptor.accept(); }

  boost::asio::io_context context;
  tcp::acceptor acceptor;
};

/// A port that refuses: bound, so that nobody else gets it, but not listening.
struct refusing {
  explicit refusing(const boost::asio::ip::address& address = loopback_v4)
      : socket(context, tcp::endpoint(address, 0)) {}
  endpoint address() const { return socket.local_endpoint(); }

  boost::asio::io_context context;
  tcp::socket socket;
};

/// An address that answers nothing: its queue of connections is full, so the system drops more.
struct black_hole : peer {
  black_hole() : peer(loopback_v4, 0), filler(context) {
    filler.connect(acceptor.local_endpoint());
  }
  tcp::socket filler;
};

/// What a connect gave.
struct connect_end {
  bool done = false;
  error_code ec;
  stream connected;

  auto store() {
    return [this](error_code error, stream s) {
      CHECK_FALSE(done);
      done = true;
      ec = error;
      connected = std::move(s);
    };
  }
};

inline bool has_v6() {
  boost::asio::io_context context;
  tcp::acceptor probe(context);
  error_code ec;
  probe.open(tcp::v6(), ec);
  if (!ec) {
    probe.bind({loopback_v6, 0}, ec);
  }
  if (ec) {
    std::puts("SKIP: this machine has no IPv6 loopback address");
  }
  return !ec;
}

inline void poll(completion_port& port) {
  port.restart();
  port.poll();
}

/// Runs the port until `happened`, which real sockets will do soon.
template <class Predicate>
void run_until(completion_port& port, Predicate happened) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!happened() && std::chrono::steady_clock::now() < give_up) {
    port.restart();
    port.run_one_until(give_up);
  }
  REQUIRE(happened());
}

}  // namespace connecting
