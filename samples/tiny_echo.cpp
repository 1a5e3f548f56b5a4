// The smallest whole echo server; README shows its middle. `echo_server` is the one with limits,
// deadlines and a drain.
#include "arguments.hpp"

// [README echo]
#include <fairway/fairway.hpp>

#include <array>
#include <cstdio>

namespace asio = boost::asio;

fairway::task<> serve(fairway::stream client) {
  std::array<char, 4096> room;
  while (auto got = co_await client.async_read_some(asio::buffer(room))) {
    if (!co_await fairway::async_write(client, asio::buffer(room, got.value()))) break;
  }
}

fairway::task<> accept_all(fairway::completion_port& port, fairway::listener listener) {
  while (auto client = co_await listener.async_accept()) {
    fairway::spawn(port, serve(std::move(client).value()));
  }
}

fairway::task<> stop_on_signal(fairway::completion_port& port) {
  using enum fairway::signal_kind;
  fairway::signals quit{port, {interrupt, terminate}};
  (void)co_await quit.async_wait();
  port.stop();
}

fairway::result<void> run(fairway::completion_port& port, const fairway::endpoint& where) {
  BOOST_OUTCOME_TRY(auto listener, fairway::listener::open(port, where));
  BOOST_OUTCOME_TRY(const auto bound, listener.local_endpoint());
  std::printf("listening on %s\n", bound.to_string().c_str());
  std::fflush(stdout);
  fairway::spawn(port, accept_all(port, std::move(listener)));
  fairway::spawn(port, stop_on_signal(port));
  port.run();
  return boost::outcome_v2::success();
}
// [README echo]

int main(int count, char** words) {
  constexpr std::string_view name = "tiny_echo";
  constexpr std::string_view help =
      "tiny_echo: sends back what it receives\n"
      "  --listen ENDPOINT  where (127.0.0.1:0)\n"
      "  --engine NAME      automatic, io_uring, epoll or iocp\n";
  const samples::arguments given{name, help, count, words, {"listen", "engine"}};
  const auto where = given.endpoint("listen", "127.0.0.1:0");
  try {
    fairway::completion_port port{given.port()};
    if (auto done = run(port, where); !done) {
      samples::fail(name, where.to_string() + ": " + done.error().message(), 1);
    }
  } catch (const std::exception& failed) {
    samples::fail(name, failed.what(), 1);
  }
}
