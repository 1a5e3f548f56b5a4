// What a server allows, and what it does when that is used up.
//
// Every limit has a finite default. Durations are measured on the port's clock and never end early;
// zero switches that deadline off. Without a handshake deadline there is no handshake, also with
// `explicit_handshake`: a connection that has said nothing yet is idle.
#pragma once

#include <fairway/engine/clock.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace fairway {

// What happens to a new connection when the server is full.
enum class when_full {
  pause,     // it waits until another one ends: in the kernel's queue, but for one a listener,
             // which may have been accepted when another listener's got the last place
  refuse,    // it is accepted and closed
  shed_idle  // the least recently used idle connection makes place, of those of the new one's port
             // or else of the next port that has any; if none is idle on any port, in the same
             // order the one whose handshake has lasted longest; if there is none either, refuse
};

struct server_limits {
  // Open connections. 0: three quarters of the descriptor limit, since files need some too.
  std::size_t connections = 0;
  when_full full = when_full::shed_idle;

  // Open connections of one IP address. 0: as many as `connections`. Unix-domain: not counted.
  std::size_t connections_per_peer = 0;

  // Accepts a second, on average; above it new connections wait in the kernel's queue.
  std::uint32_t accepts_per_second = 20'000;

  // From accept until the first byte, or until `connection::established` with `explicit_handshake`.
  // Meanwhile a connection does not count as idle, but for a drain.
  port_clock::duration handshake = std::chrono::seconds{10};
  bool explicit_handshake = false;

  // Waiting for a request.
  port_clock::duration idle = std::chrono::minutes{2};

  // A request that has begun gets this long to arrive, and again for as long as it keeps up the
  // rate. Without an answer for so long a stream that only sends needs the rate, too.
  port_clock::duration request = std::chrono::seconds{30};
  std::uint32_t request_bytes_per_second = 240;

  // A write of which the peer takes nothing.
  port_clock::duration write_stall = std::chrono::seconds{30};

  // Of answers, what the kernel may hold that it cannot send yet, beside the write marks of framed;
  // a write waits for room. On Linux TCP_NOTSENT_LOWAT: what is on its way does not count, so long
  // links keep their speed. Elsewhere, and for a unix-domain socket, the send buffer (SO_SNDBUF),
  // in which it counts. 0: left to the system; Linux then holds up to the last value of tcp_wmem
  // for a peer that does not read, 4 MiB (tcp(7)).
  std::uint32_t unsent_bytes = 256 * 1024;

  // After the last answer: how long the peer may take to close, so that a reset caused by bytes it
  // was still sending cannot destroy that answer.
  port_clock::duration linger = std::chrono::seconds{1};
};

}  // namespace fairway
