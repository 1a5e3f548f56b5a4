// Copies bytes both ways between its clients and a server: any TCP program can be put through it.
#include "serving.hpp"

#include <fairway/fairway.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

const std::string help = "relay: copies between its clients and a server\n"
                         "  --connect ENDPOINT  the server, also HOST:SERVICE; required\n"
                         "  --loopback POLICY   off, kernel, shared_memory or both; both sides\n" +
                         std::string{samples::serving_help};

constexpr auto quiet_max = 1h;  // that neither side says anything

struct target {
  std::optional<fairway::endpoint> address;  // empty: `name` counts
  fairway::host_service name;
  fairway::loopback loopback = fairway::loopback::off;
  bool verbose = false;
};

target target_of(std::string_view program, const std::string& text) {
  target server;
  if (auto address = fairway::endpoint::parse(text)) {
    server.address = address.value();
  } else if (auto name = fairway::split_host_service(text)) {
    server.name = name.value();
  } else {
    samples::fail(program, "--connect takes an endpoint, not '" + text + "'", 2);
  }
  return server;
}

fairway::task<fairway::result<fairway::stream>> connect(fairway::completion_port& port,
                                                        const target& server) {
  fairway::connector dial{port, {.loopback = server.loopback}};
  if (server.address) co_return co_await dial.async_connect(*server.address);
  co_return co_await dial.async_connect(server.name.host, server.name.service);
}

// Copies until the end of `from`, which `to` is told. Returns whether that is how it ended.
template <class From, class To>
fairway::task<bool> copy(From& from, To& to) {
  std::array<char, 32 * 1024> room;
  for (;;) {
    auto got = co_await from.async_read_some(asio::buffer(room));
    if (!got) {
      co_return got.error() == fairway::condition::eof && to.shutdown(fairway::shutdown_kind::send);
    }
    if (!co_await fairway::async_write(to, asio::buffer(room, got.value()))) co_return false;
  }
}

// While this server drains nothing more is read of a client, but what it is being told may be an
// answer: until the other server has been silent for a second.
fairway::task<> let_finish(const fairway::connection& client) {
  fairway::timer pause{client.port()};
  std::uint64_t told = 0;
  do {
    told = client.counters().bytes_out;
    pause.expires_after(1s);
    (void)co_await pause.async_wait();
  } while (client.counters().bytes_out != told);
}

// A failure of one direction ends both. A client that is drained is not closed here: its handler
// returns, and the last answer arrives although it was still sending.
fairway::task<> copy_up(fairway::connection& client, fairway::stream& upstream) {
  const bool ended = co_await copy(client.stream(), upstream);
  if (ended) co_return;
  if (client.stop_requested() && client.stream().is_open()) {
    co_await let_finish(client);
  } else {
    client.stream().close();
  }
  upstream.close();
}
fairway::task<> copy_down(fairway::stream& upstream, fairway::connection& client) {
  const bool ended = co_await copy(upstream, client.stream());
  if (ended) co_return;
  if (client.stop_requested()) {
    client.stream().cancel();
  } else {
    client.stream().close();
  }
  upstream.close();
}

fairway::task<> serve(fairway::connection& client, const target& server) {
  using namespace asio::experimental::awaitable_operators;
  auto made = co_await connect(client.port(), server);
  if (!made) co_return;  // the client reads end of file
  fairway::stream upstream = std::move(made).value();
  upstream.set_timeouts({.read = quiet_max, .write = 30s});
  co_await (copy_up(client, upstream) && copy_down(upstream, client));
  if (!server.verbose) co_return;
  const auto path_of = [](const fairway::stream& s) {
    return std::string{to_string(s.path())} + " (" + std::string{to_string(s.path_reason())} + ")";
  };
  std::fprintf(stderr, "relayed %s to %s\n", path_of(client.stream().socket()).c_str(),
               path_of(upstream).c_str());
}

}  // namespace

int main(int count, char** words) {
  constexpr std::string_view name = "relay";
  const samples::arguments given{
      name, help, count, words,
      {"listen", "connect", "engine", "loopback", "ports", "busy-poll", "connections", "drain"},
      {"verbose"}};
  if (!given.has("connect")) samples::fail(name, "--connect is required", 2);
  target server = target_of(name, given.text("connect", ""));
  server.loopback = given.loopback();
  server.verbose = given.has("verbose");
  auto options = samples::serving_options(given);
  options.listen.loopback = server.loopback;
  // What a relay carries may be silent for long, and the server may be the first to speak.
  options.limits.handshake = options.limits.request = {};
  options.limits.idle = quiet_max;
  return samples::serve(
      name, given, [&](fairway::connection& client) { return serve(client, server); },
      std::move(options));
}
