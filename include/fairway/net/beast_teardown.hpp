// Lets Boost.Beast's websocket end over Fairway's streams: include it where
// `boost::beast::websocket::stream<fairway::stream>` is used.
//
// Beast looks up `teardown` and `async_teardown` by the stream's namespace. Ending means: no more
// is sent, what still comes is read and dropped until the peer has ended too, then the stream is
// closed. (RFC 6455, 7.1.1: the server closes first, a client waits for it.)
//
// A websocket contains Asio timers. On anything but an `io_context` Asio runs those on a hidden
// thread of its own, one a port, from the first one on; `asio::ssl::stream` does the same. They
// work; a program that counts its threads should know.
#pragma once

#include <fairway/net/received.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/server/connection_stream.hpp>

#include <boost/asio/compose.hpp>
#include <boost/beast/core/role.hpp>

#include <concepts>

namespace fairway {

namespace detail {

template <class Stream>
concept native_stream = std::same_as<Stream, stream> || std::same_as<Stream, connection_stream>;

template <class Stream>
struct teardown_step {
  Stream& over;
  bool begun = false;

  template <class Self>
  void operator()(Self& self, boost::system::error_code ec = {}, received = {}) {
    if (!begun) {
      begun = true;
      // Fails when the peer is gone, which the receive tells better.
      (void)over.shutdown(shutdown_kind::send);
    } else if (ec) {
      over.close();
      self.complete(ec == condition::eof ? boost::system::error_code{} : ec);
      return;
    }
    over.async_receive(std::move(self));
  }
};

}  // namespace detail

/// Blocking teardown cannot be had on a port.
/// Errors: always operation not supported; the stream is closed.
template <detail::native_stream Stream>
void teardown(boost::beast::role_type, Stream& over, boost::system::error_code& ec) {
  over.close();
  ec = boost::asio::error::operation_not_supported;
}

/// What Beast calls when the time of an operation is over.
template <detail::native_stream Stream>
void beast_close_socket(Stream& over) {
  over.close();
}

template <detail::native_stream Stream, class Handler>
void async_teardown(boost::beast::role_type, Stream& over, Handler&& handler) {
  boost::asio::async_compose<Handler, void(boost::system::error_code)>(
      detail::teardown_step<Stream>{over}, handler, over);
}

}  // namespace fairway
