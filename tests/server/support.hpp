// A server on one port with a manual clock, an echo of lines, and plain sockets as its clients.
#pragma once

#include "support/net.hpp"

#include <fairway/protocol/framed.hpp>
#include <fairway/protocol/line.hpp>
#include <fairway/server/server.hpp>

#include <string>
#include <utility>
#include <vector>

namespace support {

inline fairway::task<> echo_lines(fairway::connection& client) {
  fairway::framed lines{client.stream(), fairway::line_codec<>{1024 * 1024}};
  while (auto line = co_await lines.async_read()) {
    if (!co_await lines.async_write(line.value())) break;
  }
  (void)co_await lines.async_flush();
}

struct served {
  explicit served(fairway::connection_handler handler = echo_lines,
                  fairway::server_options options = {}) {
    if (!options.log) {
      options.log = [this](const fairway::log_event& e) { events.push_back(e); };
    }
    server.emplace(port, std::move(handler), std::move(options));
    where = server->listen(fairway::endpoint::loopback_v4(0)).value();
  }

  raw_peer connect() {
    const auto before = server->metrics();
    raw_peer peer = raw_peer::connect(where);
    pump(port, [&] {
      const auto now = server->metrics();
      return now.ports[0].accepted != before.ports[0].accepted ||
             now.refused_full != before.refused_full || now.refused_peer != before.refused_peer;
    });
    return peer;
  }
  std::string ask(raw_peer& peer, const std::string& line) {
    peer.write(line + "\n");
    return read_exactly(port, peer, line.size() + 1);
  }
  // Until every connection waits for a request and its last write is known to have ended.
  void wait_idle() {
    pump(port, [&] {
      const auto now = server->metrics();
      return now.ports[0].idle == now.ports[0].open;
    });
  }
  // Reads at the peer to the end.
  raw_peer::event end(raw_peer& peer) {
    std::string rest;
    return read_to_end(port, peer, rest);
  }
  void settle() { drain(port); }
  std::uint64_t ended(fairway::end_reason why) { return server->metrics().ended(why); }
  std::size_t open() { return server->connections(); }
  void advance(fairway::port_clock::duration by) {
    clock.advance(by);
    settle();
  }

  fairway::manual_clock clock;
  fairway::completion_port port{fairway::port_options{.clock = &clock}};
  std::vector<fairway::log_event> events;
  std::optional<fairway::server> server;  // set by the constructor
  fairway::endpoint where;
};

}  // namespace support
