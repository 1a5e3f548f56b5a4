// What the server samples share: options of the command line, the line that says where they listen,
// the log on standard error, and the report at the end.
#pragma once

#include "arguments.hpp"

#include <fairway/server/server.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <utility>

namespace samples {

inline constexpr std::string_view serving_help =
    "  --listen ENDPOINT  where (127.0.0.1:0): ADDRESS:PORT, [ADDRESS]:PORT, unix:PATH\n"
    "  --engine NAME      automatic, io_uring, epoll or iocp\n"
    "  --ports N          ports, each with a thread (1)\n"
    "  --busy-poll N      microseconds that a port looks before it sleeps (50)\n"
    "  --connections N    most open at a time (three quarters of the descriptor limit)\n"
    "  --drain SECONDS    how long a drain may take (10)\n"
    "  --verbose          one line on standard error for each event\n"
    "SIGINT or SIGTERM drains: no new clients, what arrived is answered. A second one stops.\n";

// What a client that works at full speed gains by it is in README; an idle port does not look.
inline constexpr std::size_t busy_poll = 50;

inline fairway::server_options serving_options(const arguments& given) {
  fairway::server_options options;
  options.limits.connections = given.number("connections", 0, 0, 10'000'000);
  options.drain_deadline = std::chrono::seconds{given.number("drain", 10, 0, 3600)};
  if (given.has("verbose")) {
    options.log = [](const fairway::log_event& event) {
      std::fprintf(stderr, "%s\n", to_string(event).c_str());
    };
  }
  return options;
}

// Serves until a signal. Returns the exit status.
inline int serve(std::string_view name, const arguments& given, fairway::connection_handler handler,
                 fairway::server_options options, const fairway::server** self = nullptr) {
  const auto where = given.endpoint("listen", "127.0.0.1:0");
  try {
    fairway::port_group ports{given.number("ports", 1, 1, 256), given.port(busy_poll)};
    fairway::server server{ports, std::move(handler), std::move(options)};
    if (self != nullptr) *self = &server;
    auto bound = server.listen(where);
    if (!bound) {
      fail(name, "cannot listen on " + where.to_string() + ": " + bound.error().message(), 1);
    }
    server.drain_on_signals();
    std::printf("listening on %s\n", bound.value().to_string().c_str());
    std::fflush(stdout);
    ports.run();
    std::fprintf(stderr, "%s: drained, %s\n", std::string{name}.c_str(),
                 server.report().text().c_str());
  } catch (const std::exception& failed) {
    fail(name, failed.what(), 1);
  }
  return 0;
}

}  // namespace samples
