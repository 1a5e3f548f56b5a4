// Boost.Beast's HTTP over a server's connection: pipelining, large bodies, drain.

#include "interop/support.hpp"

#include <boost/asio/detached.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

using namespace support;
using fairway::completion_port;
namespace http = boost::beast::http;

namespace {

fairway::task<> serve(fairway::connection& client) {
  const fairway::default_token results{};
  boost::beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    if (!co_await http::async_read(client.stream(), buffer, request, results)) co_return;
    http::response<http::string_body> response{http::status::ok, request.version()};
    response.keep_alive(request.keep_alive());
    response.body() = std::string(request.target()) + "|" + request.body();
    response.prepare_payload();
    if (!co_await http::async_write(client.stream(), response, results)) co_return;
    // By then both ends have taken part.
    if (request.target() != "/0") check_path(client.stream().socket());
    if (!request.keep_alive()) co_return;
  }
}

std::size_t count_of(const std::string& text, std::string_view what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("pipelined HTTP requests are answered in order, and the last one closes") {
  completion_port port;
  fairway::server server{port, serve, server_on_path()};
  raw_peer peer = connect_on_path(server.listen(fairway::endpoint::loopback_v4(0)).value());
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n" +
                (i == 19 ? "Connection: close\r\n\r\n" : "\r\n");
  }
  const std::size_t first = requests.find("GET", 1);
  std::string got;
  peer.write(requests.substr(0, first));
  pump(port, [&] {
    peer.read(got);
    return got.ends_with("/0|");
  });
  peer.write(requests.substr(first));
  CHECK(read_to_end(port, peer, got) == raw_peer::event::end);
  CHECK(count_of(got, "HTTP/1.1 200 OK\r\n") == 20);
  CHECK(got.find("/3|") < got.find("/4|"));
  CHECK(got.ends_with("/19|"));
  peer.close();
  pump(port, [&] { return server.connections() == 0; });
}

TEST_CASE("a large HTTP body comes back whole, and a drain lets it") {
  completion_port port;
  fairway::server server{port, serve, server_on_path()};
  raw_peer peer = connect_on_path(server.listen(fairway::endpoint::loopback_v4(0)).value());
  const std::string body(500'000, 'b');
  const std::string request = "POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  std::size_t sent = 0;
  bool draining = false;
  std::string got;
  pump(port, [&] {
    sent += peer.write_some(std::string_view{request}.substr(sent));
    if (sent > 100'000 && !draining && server.metrics().ports[0].requests == 1) {
      server.async_drain(10s, asio::detached);
      draining = true;
    }
    peer.read(got);
    return got.size() >= body.size() && got.ends_with("b");
  });
  CHECK(draining);
  CHECK(got.ends_with("/large|" + body));
  CHECK(read_to_end(port, peer, got) == raw_peer::event::end);
  peer.close();
  pump(port, [&] { return server.connections() == 0; });
  CHECK(server.report().finished.size() == 1);
}
