// HTTP/1.1 by Boost.Beast over Fairway: a static page, an echo, and the server's own metrics.
#include "serving.hpp"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <string>

namespace http = boost::beast::http;

namespace {

const std::string help = "http_server: GET /, POST /echo, GET /metrics\n" +
                         std::string{samples::serving_help};

constexpr std::size_t head_bytes_max = 16 * 1024;
constexpr std::size_t body_bytes_max = 64 * 1024 * 1024;

using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

response make_response(http::status status, unsigned version, std::string_view type,
                       std::string body) {
  response made{status, version};
  made.set(http::field::server, "fairway");
  made.set(http::field::content_type, type);
  made.body() = std::move(body);
  made.prepare_payload();
  return made;
}

response answer(request& asked, const fairway::server& server) {
  const bool reads = asked.method() == http::verb::get || asked.method() == http::verb::head;
  const unsigned version = asked.version();
  if (asked.target() == "/" && reads) {
    return make_response(http::status::ok, version, "text/html",
                         "<!doctype html><title>Fairway</title><p>It works.</p>\n");
  }
  if (asked.target() == "/metrics" && reads) {
    return make_response(http::status::ok, version,
                         "application/openmetrics-text; version=1.0.0; charset=utf-8",
                         server.metrics().text());
  }
  if (asked.target() == "/echo" && asked.method() == http::verb::post) {
    return make_response(http::status::ok, version, "application/octet-stream",
                         std::move(asked.body()));
  }
  const bool known = asked.target() == "/" || asked.target() == "/metrics" ||
                     asked.target() == "/echo";
  return make_response(known ? http::status::method_not_allowed : http::status::not_found, version,
                       "text/plain", known ? "method not allowed\n" : "not found\n");
}

http::status status_of(const boost::system::error_code& ec) {
  if (ec == http::error::header_limit) return http::status::request_header_fields_too_large;
  if (ec == http::error::body_limit) return http::status::payload_too_large;
  return http::status::bad_request;
}

// The client broke the protocol, and did not just go away.
bool is_malformed(const boost::system::error_code& ec) {
  return ec.category() == http::make_error_code(http::error::bad_version).category() &&
         ec != http::error::end_of_stream && ec != http::error::partial_message;
}

// Reads one request, telling a client that asks first to go on.
fairway::task<fairway::result<void>> read(fairway::connection& client,
                                          boost::beast::flat_buffer& buffer,
                                          http::request_parser<http::string_body>& parser) {
  const fairway::default_token results{};
  parser.header_limit(head_bytes_max);
  parser.body_limit(body_bytes_max);
  BOOST_OUTCOME_CO_TRY(
      co_await http::async_read_header(client.stream(), buffer, parser, results));
  if (boost::beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    http::response<http::empty_body> go_on{http::status::continue_, parser.get().version()};
    BOOST_OUTCOME_CO_TRY(co_await http::async_write(client.stream(), go_on, results));
  }
  BOOST_OUTCOME_CO_TRY(co_await http::async_read(client.stream(), buffer, parser, results));
  co_return boost::outcome_v2::success();
}

fairway::task<fairway::result<void>> write(fairway::connection& client, response& reply,
                                           bool head_only) {
  const fairway::default_token results{};
  http::response_serializer<http::string_body> out{reply};
  if (head_only) {
    BOOST_OUTCOME_CO_TRY(co_await http::async_write_header(client.stream(), out, results));
  } else {
    BOOST_OUTCOME_CO_TRY(co_await http::async_write(client.stream(), out, results));
  }
  co_return boost::outcome_v2::success();
}

fairway::task<> serve(fairway::connection& client, const fairway::server& server) {
  boost::beast::flat_buffer buffer{head_bytes_max + 64 * 1024};
  for (bool stays = true; stays;) {
    http::request_parser<http::string_body> parser;
    response reply;
    if (auto got = co_await read(client, buffer, parser); got) {
      request& asked = parser.get();
      stays = asked.keep_alive() && !client.stop_requested();
      reply = answer(asked, server);
    } else if (is_malformed(got.error())) {
      stays = false;
      reply = make_response(status_of(got.error()), 11, "text/plain", "bad request\n");
    } else {
      break;
    }
    reply.keep_alive(stays);
    if (!co_await write(client, reply, parser.get().method() == http::verb::head)) break;
  }
}

}  // namespace

int main(int count, char** words) {
  constexpr std::string_view name = "http_server";
  const samples::arguments given{
      name, help, count, words,
      {"listen", "engine", "ports", "busy-poll", "connections", "drain"}, {"verbose"}};
  const fairway::server* self = nullptr;  // set before the first connection
  return samples::serve(
      name, given, [&](fairway::connection& client) { return serve(client, *self); },
      samples::serving_options(given), &self);
}
