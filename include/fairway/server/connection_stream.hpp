// The stream of a server's connection: Fairway's stream with an account.
//
// Each operation tells the server that it began and how it ended; that costs some comparisons and a
// reading of the clock, no allocation. While a server drains, a read that would wait for a new
// request ends with operation aborted.
//
// Threads: its port's. Lifetime: its connection's; operations in flight may outlive it.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/protocol/detail/completion.hpp>
#include <fairway/server/detail/connection_reference.hpp>

#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>

#include <cstddef>
#include <utility>

namespace fairway {

namespace detail {

template <class Handler, bool Read>
struct accounted_handler {
  connection_reference connection;
  Handler handler;

  void operator()(boost::system::error_code ec, std::size_t bytes) {
    ended(ec, bytes);
    std::move(handler)(ec, bytes);
  }
  void operator()(boost::system::error_code ec, received bytes) {
    ended(ec, bytes.size());
    std::move(handler)(ec, std::move(bytes));
  }
  void ended(boost::system::error_code ec, std::size_t bytes) {
    if constexpr (Read) {
      read_ended(*connection, ec, bytes);
    } else {
      write_ended(*connection, ec, bytes);
    }
  }
};

}  // namespace detail

class connection_stream {
 public:
  using executor_type = port_executor;
  using lowest_layer_type = connection_stream;
  using received_type = received;

  explicit connection_stream(detail::connection_state& state) noexcept : state_{&state} {}
  connection_stream(const connection_stream&) = delete;
  connection_stream& operator=(const connection_stream&) = delete;

  executor_type get_executor() const noexcept { return socket().get_executor(); }
  lowest_layer_type& lowest_layer() noexcept { return *this; }
  const lowest_layer_type& lowest_layer() const noexcept { return *this; }

  /// As fairway::stream's.
  template <class Buffers, class Token = default_token>
  auto async_read_some(const Buffers& buffers, Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [](auto&& handler, detail::connection_reference c, const Buffers& into) {
          using handler_type = std::decay_t<decltype(handler)>;
          if (!detail::read_begins(*c)) {
            detail::post_completion(detail::socket_of(*c).get_executor(), std::move(handler),
                                    detail::read_refusal(*c), std::size_t{0});
            return;
          }
          stream& s = detail::socket_of(*c);
          s.async_read_some(into, detail::accounted_handler<handler_type, true>{
                                      std::move(c), std::move(handler)});
        },
        token, detail::connection_reference{*state_}, buffers);
  }
  template <class Token = default_token>
  auto async_receive(Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, received)>(
        [](auto&& handler, detail::connection_reference c) {
          using handler_type = std::decay_t<decltype(handler)>;
          if (!detail::read_begins(*c)) {
            detail::post_completion(detail::socket_of(*c).get_executor(), std::move(handler),
                                    detail::read_refusal(*c), received{});
            return;
          }
          stream& s = detail::socket_of(*c);
          s.async_receive(detail::accounted_handler<handler_type, true>{std::move(c),
                                                                        std::move(handler)});
        },
        token, detail::connection_reference{*state_});
  }
  template <class Buffers, class Token = default_token>
  auto async_write_some(const Buffers& buffers, Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [](auto&& handler, detail::connection_reference c, const Buffers& from) {
          using handler_type = std::decay_t<decltype(handler)>;
          detail::write_begins(*c);
          stream& s = detail::socket_of(*c);
          s.async_write_some(from, detail::accounted_handler<handler_type, false>{
                                       std::move(c), std::move(handler)});
        },
        token, detail::connection_reference{*state_}, buffers);
  }

  result<void> shutdown(shutdown_kind which) { return socket().shutdown(which); }
  void cancel() { socket().cancel(); }
  void close();
  bool is_open() const noexcept { return socket().is_open(); }

  /// Options, endpoints and the rest. Reading and writing there is not accounted for.
  stream& socket() const noexcept { return detail::socket_of(*state_); }

  /// For framed: what is written without waiting for it.
  detail::step write_now(const detail::buffer_list& from) noexcept {
    const detail::step now = socket().write_now(from);
    if (now) {
      const std::size_t bytes = *now ? now->value() : 0;
      detail::wrote_now(*state_, *now ? boost::system::error_code{} : now->error(), bytes);
    }
    return now;
  }
  /// For framed: the next read waits for a message, of which nothing has come yet when `fresh`.
  void waits_for_message(bool fresh) noexcept { detail::next_read_is(*state_, fresh); }

  /// For the server.
  detail::connection_state& state() const noexcept { return *state_; }

 private:
  detail::connection_state* state_;
};

}  // namespace fairway

namespace boost::asio {

template <template <class, class> class Associator, class Handler, bool Read, class Candidate>
struct associator<Associator, fairway::detail::accounted_handler<Handler, Read>, Candidate>
    : Associator<Handler, Candidate> {
  using accounted = fairway::detail::accounted_handler<Handler, Read>;
  static auto get(const accounted& h) noexcept {
    return Associator<Handler, Candidate>::get(h.handler);
  }
  static decltype(auto) get(const accounted& h, const Candidate& c) noexcept {
    return Associator<Handler, Candidate>::get(h.handler, c);
  }
};

}  // namespace boost::asio
