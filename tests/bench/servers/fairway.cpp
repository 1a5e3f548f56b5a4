// Fairway, on the engine that --engine names; Windows has IOCP.
//
// Fair because: one port on one thread with its default options, the default token, TCP_NODELAY
// (its default), a buffer of 16 KiB (bulk: 64 KiB) in each coroutine's frame, the compiler's flags
// of all contenders, no assertions, and the same lines of code as the Asio server. `--receive yes`
// lets the engine own the buffer instead (async_receive), the way for many idle connections; the
// engine's buffers have the same 16 KiB.
#include "common.h"

#include <fairway/engine/completion_port.hpp>
#include <fairway/io.hpp>
#include <fairway/net/listener.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/task.hpp>

#include <array>
#include <string_view>

namespace asio = boost::asio;

namespace {

fairway::task<> echo(fairway::stream client) {
  std::array<char, bench_echo_bytes + bench_boundary> memory;
  const asio::mutable_buffer room{bench_align(memory.data()), bench_echo_bytes};
  while (auto got = co_await client.async_read_some(room)) {
    if (!co_await fairway::async_write(client, asio::buffer(room, got.value()))) break;
  }
}

fairway::task<> echo_received(fairway::stream client) {
  while (auto got = co_await client.async_receive()) {
    if (!co_await fairway::async_write(client, got.value().buffer())) break;
  }
}

fairway::task<> sink(fairway::stream client) {
  std::array<char, bench_bulk_bytes + bench_boundary> memory;
  const asio::mutable_buffer room{bench_align(memory.data()), bench_bulk_bytes};
  std::uint64_t taken = 0;
  while (auto got = co_await client.async_read_some(room)) taken += got.value();
  std::array<unsigned char, 8> answer;
  bench_count_bytes(taken, answer.data());
  (void)co_await fairway::async_write(client, asio::buffer(answer));
}

fairway::task<> source(fairway::stream client, const unsigned char* pattern) {
  for (;;) {
    auto sent = co_await fairway::async_write(client, asio::buffer(pattern, bench_bulk_bytes));
    if (!sent) break;
  }
}

fairway::task<> accept_all(fairway::completion_port& port, fairway::listener& listener,
                           bench_work work, bool receive) {
  const unsigned char* pattern = bench_pattern_bytes();
  while (auto accepted = co_await listener.async_accept()) {
    fairway::stream client = std::move(accepted).value();
    switch (work) {
      case bench_echo:
        fairway::spawn(port, receive ? echo_received(std::move(client)) : echo(std::move(client)));
        break;
      case bench_sink: fairway::spawn(port, sink(std::move(client))); break;
      case bench_source: fairway::spawn(port, source(std::move(client), pattern)); break;
    }
  }
}

}  // namespace

int main(int count, char** words) {
  using std::string_view;
  const bench_arguments given = bench_parse(count, words);
  fairway::port_options options;
  if (!fairway::parse_engine(bench_word(&given, "--engine", "automatic"), options.engine)) {
    std::fputs("unknown engine\n", stderr);
    return 2;
  }
  const bool receive = bench_word(&given, "--receive", "no") == string_view{"yes"};
  fairway::completion_port port{options};
  const string_view where = bench_word(&given, "--listen", "127.0.0.1:0");
  auto listener = fairway::listener::open(port, fairway::endpoint::parse(where).value()).value();
  bench_announce(given.address, listener.local_endpoint().value().port());
  fairway::spawn(port, accept_all(port, listener, given.work, receive));
  port.run();
}
