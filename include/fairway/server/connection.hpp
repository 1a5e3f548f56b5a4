// One client of a server, as its handler sees it.
//
//   fairway::task<> serve(fairway::connection& client) {
//     fairway::framed lines{client.stream(), fairway::line_codec<>{}};
//     while (auto line = co_await lines.async_read()) { ... }
//   }
//
// `stream()` is a stream like any other (framed, Beast and TLS take it) that also keeps the
// connection's account: bytes, and whether it is idle. Idle means: the handler waits for bytes and
// none have come since it last wrote, or framed waits for the beginning of a message. What a
// handler awaits elsewhere is not seen: such a connection is busy.
//
// A connection that is cut (a deadline, shedding, the end of a drain) has its stop token triggered
// and its stream closed: reads and writes end with operation aborted, and the handler returns.
// Draining triggers the token of every connection at once; a read that would wait for a new request
// then ends with operation aborted, so an ordinary loop returns by itself.
//
// Threads: its port's. Lifetime: until the handler has ended.
#pragma once

#include <fairway/net/endpoint.hpp>
#include <fairway/server/connection_stream.hpp>
#include <fairway/server/end_reason.hpp>

#include <any>
#include <cstdint>
#include <stop_token>

namespace fairway {

struct connection_counters {
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t requests = 0;  // begun: changes from idle to not idle
};

class connection {
 public:
  explicit connection(detail::connection_state& state) noexcept : stream_{state} {}
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Unique in its server; never reused.
  std::uint64_t id() const noexcept;
  connection_stream& stream() noexcept { return stream_; }
  const endpoint& remote_endpoint() const noexcept;
  const endpoint& local_endpoint() const noexcept;
  completion_port& port() const noexcept;
  connection_counters counters() const noexcept;
  /// How long it has been open.
  port_clock::duration age() const noexcept;

  /// Whatever the handler wants to keep with the connection.
  std::any& user() noexcept { return user_; }

  /// Triggered when the server drains and when the connection is cut.
  std::stop_token stop_token() const noexcept;
  bool stop_requested() const noexcept { return stop_token().stop_requested(); }

  /// Ends the handshake deadline; needed with `server_limits::explicit_handshake` only.
  void established() noexcept;

  /// Records why, unless there is a reason already, and closes.
  void close(end_reason why = end_reason::closed_by_handler);
  end_reason reason() const noexcept;

 private:
  connection_stream stream_;
  std::any user_;
};

}  // namespace fairway
