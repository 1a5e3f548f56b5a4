// What a connector is told and what it tells afterwards.
//
//   connect_options   limits and settings of every connect of one connector. The defaults are safe:
//                     a connect ends after 30 seconds whatever the peer or the name server does.
//   connect_attempt   one address that was tried: where, how it ended, how long it took. A failed
//                     connect is explained by the list of them, see connector::attempts().
//
// Plain values, no I/O. Times are measured on the clock of the connector's port.
#pragma once

#include <fairway/loopback.hpp>
#include <fairway/net/endpoint.hpp>

#include <boost/system/error_code.hpp>

#include <chrono>
#include <optional>

namespace fairway {

/// Settings of a connector. The recommended times are those of RFC 8305, sections 5 and 8.
struct connect_options {
  using duration = std::chrono::steady_clock::duration;

  /// Limit of a whole connect: name look-up and all attempts. Zero or less means no limit.
  duration timeout = std::chrono::seconds{30};

  /// How long an attempt runs alone before the next address is tried beside it. A failed attempt
  /// is followed by the next at once. Less than 10 ms (RFC 8305, section 5) counts as 10 ms.
  duration attempt_delay = std::chrono::milliseconds{250};

  /// Local address, and port unless zero, to connect from. Targets of another family are not tried:
  /// they fail with boost::asio::error::address_family_not_supported. Empty: the system chooses.
  std::optional<endpoint> source = std::nullopt;

  /// Send small writes at once (TCP_NODELAY). Means nothing on a unix-domain socket.
  bool no_delay = true;

  /// Faster paths to a peer on this machine: see loopback.hpp. Never a reason to fail.
  fairway::loopback loopback = fairway::loopback::off;

  /// Shared memory: what goes out before the peer has read, each way. A power of two from 4 KiB to
  /// 64 MiB, else the connect fails with boost::asio::error::invalid_argument. The memory is twice
  /// that a connection, and really taken. 64 KiB fit into the cache of a core.
  std::size_t loopback_ring_bytes = 64 * 1024;
};

/// One address that a connect tried.
struct connect_attempt {
  endpoint target;

  /// Empty for the attempt that became the stream; timed_out for one that the limit of the whole
  /// connect cut off; operation_aborted for one that another attempt or a cancel cut off.
  boost::system::error_code error;

  /// From the attempt's start to its end.
  std::chrono::steady_clock::duration elapsed{};
};

}  // namespace fairway
