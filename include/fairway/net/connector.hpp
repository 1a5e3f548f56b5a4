// Makes connected streams: to an address, to the first of several that answers, or to a host by
// name ("happy eyeballs", RFC 8305).
//
//   fairway::connector dial{port, {.timeout = 5s}};
//   auto s = co_await dial.async_connect("localhost", "8080");
//   if (!s) {
//     for (const auto& a : dial.attempts()) log(a.target, a.error, a.elapsed);
//   }
//
// Several addresses are tried in their order, the families taking turns: the next one as soon as
// the newest attempt failed or has run for attempt_delay. The first that connects becomes the
// stream; the others are cancelled and their sockets closed. Each attempt has a socket of its own.
//
// Cost: an allocation or two and one socket an attempt, and the list of addresses. A name that is
// not numeric is looked up by the system on the one resolver thread of the process, which the first
// such name starts; look-ups wait for each other there, a numeric address does not.
//
// Threads: calls on one connector must not overlap; any thread (see initiate.hpp on what a foreign
// one costs). Lifetime: destroying a connector cancels its connect. The streams outlive it.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/detail/handle.hpp>
#include <fairway/engine/detail/initiate.hpp>
#include <fairway/net/connect_options.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/net/unconnected_socket.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>

#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace fairway {

namespace detail {

io_object* make_connector(completion_port& port, const connect_options& options);
std::span<const connect_attempt> attempts_of(const io_object* object) noexcept;

struct connect_operation {
  using values = std::tuple<boost::system::error_code, stream>;

  static io_op* claim(io_object& object) noexcept;
  static void start(io_object& object, io_op& op, const std::vector<endpoint>& targets) noexcept;
  static void start(io_object& object, io_op& op, const std::string& host,
                    const std::string& service) noexcept;
  static void start(io_object& object, io_op& op, const endpoint& target,
                    const object_handle& socket) noexcept;
  static values take(io_op& op) noexcept;
  static values failure(boost::system::error_code ec) noexcept { return {ec, stream{}}; }
};

}  // namespace detail

class connector {
 public:
  using executor_type = port_executor;

  /// Streams that this connector makes belong to `port`.
  explicit connector(completion_port& port, const connect_options& options = {})
      : port_{&port}, state_{detail::make_connector(port, options)} {}

  connector(connector&&) noexcept = default;
  connector& operator=(connector&&) noexcept = default;

  executor_type get_executor() const noexcept { return port_executor{*port_}; }

  /// Connects to one address.
  /// Completes when the connection stands, the attempt failed, or the time is over.
  /// Errors: refused, unreachable and what else the system says; timed_out after
  /// connect_options::timeout; operation_aborted; in_progress for a second connect in flight.
  /// Cancellation: terminal, partial and total: ends with operation_aborted.
  template <class Token = default_token>
  auto async_connect(const endpoint& target, Token&& token = default_token{}) {
    return start<Token>(token, std::vector<endpoint>{target});
  }

  /// Connects to the first address that answers; copies the list, tries at most 256.
  /// Errors: as above. When all attempts failed: the first error that says something of the peer,
  /// which a missing address family, for one, does not; not_found for an empty list.
  template <class Token = default_token>
  auto async_connect(std::span<const endpoint> targets, Token&& token = default_token{}) {
    return start<Token>(token, std::vector<endpoint>(targets.begin(), targets.end()));
  }

  /// Connects to a host by name or numeric address and a service by name or port number.
  /// Errors: as above; of the look-up: host_not_found, host_not_found_try_again, no_recovery,
  /// service_not_found, no_buffer_space (1,024 look-ups wait already), of boost::asio::error.
  template <class Token = default_token>
  auto async_connect(std::string host, std::string service, Token&& token = default_token{}) {
    return start<Token>(token, std::move(host), std::move(service));
  }

  /// Connects a socket that was made before, on this connector's port; it is closed when that
  /// fails.
  /// Errors: as above; in_progress while a control code of the socket is in flight.
  template <class Token = default_token>
  auto async_connect(unconnected_socket socket, const endpoint& target,
                     Token&& token = default_token{}) {
    return start<Token>(token, target, std::move(socket.state_));
  }

  /// What the connect that completed last has tried, in the order of the starts.
  /// Preconditions: no connect is in flight.
  /// Lifetime: until the next async_connect or the end of the connector.
  std::span<const connect_attempt> attempts() const noexcept {
    return detail::attempts_of(state_.get());
  }

  /// Ends a connect in flight with operation_aborted.
  void cancel() { state_.cancel(); }

 private:
  template <class Token, class... Args>
  auto start(std::remove_reference_t<Token>& token, Args... args) {
    return boost::asio::async_initiate<Token,
                                       void(boost::system::error_code, stream)>(
        detail::initiation<detail::connect_operation>{}, token, state_.get(), std::move(args)...);
  }

  completion_port* port_;
  detail::object_handle state_;
};

}  // namespace fairway
