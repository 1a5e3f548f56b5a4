// Boost.Beast's HTTP over a stream.

#include "support/net.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

using namespace support;
using fairway::completion_port;
namespace http = boost::beast::http;

namespace {

coroutine<void> answer(fairway::stream& s, unsigned requests) {
  boost::beast::flat_buffer buffer;
  for (unsigned i = 0; i < requests; ++i) {
    http::request<http::string_body> request;
    co_await http::async_read(s, buffer, request, asio::deferred);
    http::response<http::string_body> response{http::status::ok, request.version()};
    response.set(http::field::server, "fairway");
    response.keep_alive(request.keep_alive());
    response.body() = std::string(request.target()) + "|" + request.body();
    response.prepare_payload();
    co_await http::async_write(s, response, asio::deferred);
  }
}

coroutine<void> ask(fairway::stream& s, unsigned requests, unsigned& answered) {
  boost::beast::flat_buffer buffer;
  seeded random{50};
  for (unsigned i = 0; i < requests; ++i) {
    http::request<http::string_body> request{http::verb::post, "/" + std::to_string(i), 11};
    request.set(http::field::host, "localhost");
    request.body() = random.bytes(random.below(30'000));
    request.prepare_payload();
    co_await http::async_write(s, request, asio::deferred);
    http::response<http::string_body> response;
    co_await http::async_read(s, buffer, response, asio::deferred);
    CHECK(response.result() == http::status::ok);
    CHECK((response.body() == "/" + std::to_string(i) + "|" + request.body()));
    ++answered;
  }
}

}  // namespace

TEST_CASE("Beast's HTTP requests and responses go over a stream") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto pair = connect_pair(port, local);
    unsigned answered = 0;
    asio::co_spawn(port, answer(pair.b, 20), asio::detached);
    run(port, ask(pair.a, 20, answered));
    CHECK(answered == 20);
  }
}

TEST_CASE("Beast tells the end of a stream in the middle of a message") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  peer.write("GET / HTTP/1.1\r\nHost: x\r\n");
  peer.shutdown_send();
  boost::beast::flat_buffer buffer;
  http::request<http::empty_body> request;
  outcome got;
  http::async_read(stream, buffer, request, got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == http::error::partial_message);
}
