// Boost.Beast's websocket over a stream and over a server's connection.

#include "interop/support.hpp"

#include <fairway/net/beast_teardown.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>

using namespace support;
using fairway::completion_port;
namespace websocket = boost::beast::websocket;

namespace {

template <class Stream>
fairway::task<> echo(Stream& over) {
  websocket::stream<Stream&> ws{over};
  co_await ws.async_accept(asio::deferred);
  boost::beast::flat_buffer buffer;
  for (;;) {
    auto [ec, size] = co_await ws.async_read(buffer, asio::as_tuple(asio::deferred));
    if (ec) co_return;
    if constexpr (requires { over.socket(); }) check_path(over.socket());
    ws.binary(ws.got_binary());
    co_await ws.async_write(buffer.data(), asio::deferred);
    buffer.consume(buffer.size());
  }
}

fairway::task<> talk(fairway::stream over, int& answered) {
  websocket::stream<fairway::stream> ws{std::move(over)};
  co_await ws.async_handshake("localhost", "/", asio::deferred);
  boost::beast::flat_buffer buffer;
  seeded random{77};
  ws.binary(true);
  for (const std::size_t size : {0u, 1u, 125u, 126u, 65'535u, 65'536u, 300'000u}) {
    const std::string sent = random.bytes(size);
    co_await ws.async_write(asio::buffer(sent), asio::deferred);
    co_await ws.async_read(buffer, asio::deferred);
    CHECK((boost::beast::buffers_to_string(buffer.data()) == sent));
    buffer.consume(buffer.size());
    ++answered;
  }
  co_await ws.async_close(websocket::close_code::normal, asio::deferred);
  CHECK(!ws.next_layer().is_open());
}

}  // namespace

TEST_CASE("websocket messages of every size go over a stream and back") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto pair = connect_pair(port, local);
    int answered = 0;
    bool over = false;
    fairway::spawn(port, [&]() -> fairway::task<> { co_await echo(pair.b); },
                   [&](std::exception_ptr failed) {
                     CHECK(!failed);
                     over = true;
                   });
    run(port, talk(std::move(pair.a), answered));
    CHECK(answered == 7);
    pump(port, [&] { return over; });
  }
}

TEST_CASE("websocket goes over a connection of a server") {
  completion_port port;
  fairway::server server{port, [](fairway::connection& c) -> fairway::task<> {
                           co_await echo(c.stream());
                         }, server_on_path()};
  const auto where = server.listen(fairway::endpoint::loopback_v4(0)).value();
  int answered = 0;
  run(port, [](completion_port& p, fairway::endpoint to, int& n) -> coroutine<void> {
    fairway::connector dial{p, {.loopback = asked_loopback()}};
    auto client = co_await dial.async_connect(to);
    co_await talk(std::move(client).value(), n);
  }(port, where, answered));
  CHECK(answered == 7);
  pump(port, [&] { return server.connections() == 0; });
}
