// Why a connection ended: the same word in logs, metrics and drain reports.
//
// The first cause wins: a peer that closed and a handler that then returned is `peer_closed`. There
// are few of them and they do not change, so they are labels of metrics.
#pragma once

#include <cstddef>
#include <string_view>

namespace fairway {

enum class end_reason : unsigned char {
  none,               // it has not ended
  finished,           // the handler returned
  closed_by_handler,  // connection::close
  peer_closed,        // the peer ended its stream in order
  peer_reset,         // cut by the peer or on the way
  io_error,           // any other failure of a read or write
  handshake_timeout,  // said nothing, or was not established, for limits.handshake
  idle_timeout,       // no request for limits.idle
  request_timeout,    // a begun request came too slowly: limits.request
  write_stall,        // read nothing of what it was sent for limits.write_stall
  shed,               // it made place for another one when the server was full: when_full
  drained,            // idle, or done with its last request, while the server drained
  cut_by_drain,       // still busy at the deadline of the drain
  stopped,            // the server was stopped or destroyed
  handler_failed      // an exception left the handler
};
inline constexpr std::size_t end_reasons = 15;

std::string_view to_string(end_reason reason) noexcept;

}  // namespace fairway
