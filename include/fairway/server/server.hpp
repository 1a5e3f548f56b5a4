// A server: listeners, a handler for each connection, limits, and an orderly end.
//
//   fairway::task<> serve(fairway::connection& client);
//
//   fairway::port_group ports;
//   fairway::server server{ports, serve};
//   auto where = server.listen(fairway::endpoint::any_v6(8080));
//   server.drain_on_signals();
//   ports.run();                                  // ends when the server has drained
//
// Connections are accepted on the first port and handed to the ports in turn; each lives on its
// port's thread from then on. What one may take is in `server_limits`; how it ended is one
// `end_reason`. An exception that leaves a handler ends that connection and nothing else. An error
// of a listener closes it, and is logged and counted.
//
// **Drain**: listening ends, so new connections are refused at once; the stop token of every
// connection is triggered; idle ones end, busy ones end when they have answered; at the deadline
// the rest are cut. The drain always ends: a handler that ignores its cut is reported and not
// waited for. While one lingers (see limits) its answer is safe already and it counts as finished.
//
// Threads: all members on any thread; `listen` before the ports run, or on the first port's thread.
// Lifetime: what the handler refers to must outlive the server's connections. The destructor stops,
// on the first port's thread or while no port runs. Ports destroyed first destroy all that waits,
// without a call; the server may then be asked for its numbers, no more.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/port_group.hpp>
#include <fairway/net/listener.hpp>
#include <fairway/protocol/detail/completion.hpp>
#include <fairway/result.hpp>
#include <fairway/server/connection.hpp>
#include <fairway/server/drain.hpp>
#include <fairway/server/limits.hpp>
#include <fairway/server/log.hpp>
#include <fairway/server/metrics.hpp>
#include <fairway/task.hpp>

#include <boost/asio/async_result.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <tuple>
#include <utility>

namespace fairway {

using connection_handler = std::function<task<>(connection&)>;

struct server_options {
  server_limits limits{};
  listen_options listen{};
  // How long a drain that a signal began may take.
  port_clock::duration drain_deadline = std::chrono::seconds{10};
  log_hook log{};  // empty: nothing is reported
};

namespace detail {

class server_core;
using drain_done = completion<boost::system::error_code, drain_report>;
void begin_drain(const std::shared_ptr<server_core>& core, port_clock::duration deadline,
                 drain_done done);
completion_port& first_port(const server_core& core) noexcept;

}  // namespace detail

class server {
 public:
  server(port_group& ports, connection_handler handler, server_options options = {});
  server(completion_port& port, connection_handler handler, server_options options = {});
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server();

  /// Opens a listener and begins to accept. Returns: the endpoint, with the port that was chosen.
  /// Errors: those of listener::open; `error::drained` after a drain has begun.
  result<endpoint> listen(const endpoint& local);

  /// The first SIGINT or SIGTERM drains, the second one stops. When the drain has ended the ports
  /// are stopped.
  void drain_on_signals();

  /// Completes when the drain has ended: `void(error_code, drain_report)`. Several calls share one
  /// drain, whose deadline is the earliest. May be called from a handler: do not wait for it there
  /// by anything but `co_await`, and note that the handler's own connection is busy meanwhile.
  template <class Token = default_token>
  auto async_drain(port_clock::duration deadline, Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, drain_report)>(
        [](auto&& handler, std::shared_ptr<detail::server_core> core, port_clock::duration most) {
          auto executor = detail::first_port(*core).get_executor();
          detail::begin_drain(core, most,
                              detail::drain_done::make(
                                  executor, std::forward<decltype(handler)>(handler), false));
        },
        token, core_, deadline);
  }

  /// Cuts every connection now. Does not wait for the handlers.
  void stop();

  /// Of the drain that has ended; empty before.
  drain_report report() const;
  server_metrics metrics() const;
  std::size_t connections() const noexcept;

 private:
  std::shared_ptr<detail::server_core> core_;
};

}  // namespace fairway
