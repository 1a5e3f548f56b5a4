// The account of one connection.
//
// It lives as long as something refers to it: its handler, an operation in flight, its lingering
// end. The shard only links it.
// Threads: its port's.
#pragma once

#include "server/timed_list.hpp"

#include <fairway/net/stream.hpp>
#include <fairway/server/connection.hpp>

#include <cstdint>
#include <memory>
#include <stop_token>

namespace fairway::detail {

class server_core;
class shard;

struct connection_state {
  connection_state(std::shared_ptr<server_core> c, shard& s, std::uint64_t number, stream from,
                   const endpoint& peer);
  ~connection_state();
  connection_state(const connection_state&) = delete;
  connection_state& operator=(const connection_state&) = delete;

  bool idle() const noexcept { return reading && !writing && !request_open; }

  std::shared_ptr<server_core> core;  // keeps the shard
  shard& home;
  std::uint64_t id;
  stream socket;
  endpoint remote;
  endpoint local;
  connection user{*this};
  std::stop_source stop;
  port_clock::time_point began;
  connection_counters counts;
  std::uint64_t period_bytes = 0;  // received since it came to the list of requests
  unsigned references = 0;
  end_reason reason = end_reason::none;

  bool established = false;
  bool reading = false;
  bool writing = false;
  bool request_open = false;  // bytes of a request have come and it is not answered
  bool framed = false;        // framed says where requests begin
  bool cut = false;           // closed by the server or the handler
  bool peer_ended = false;
  bool handler_ended = false;
  bool reported = false;      // in the report of a drain
  bool over = false;

  timed_hook<connection_state> all;
  timed_hook<connection_state> waits;    // handshake, or idle
  timed_hook<connection_state> request;
  timed_hook<connection_state> stall;
  timed_hook<connection_state> linger;
};

}  // namespace fairway::detail
