// Boost.Asio with coroutines; compiled three times: on epoll, on io_uring
// (BOOST_ASIO_HAS_IO_URING and BOOST_ASIO_DISABLE_EPOLL) and, for Windows, on IOCP.
//
// Fair because: one `io_context{1}` on one thread (the hint for that), `use_awaitable` with
// `as_tuple` so that no end of a connection throws, a buffer of 16 KiB (bulk: 64 KiB) in each
// coroutine's frame, TCP_NODELAY, the compiler's flags of all contenders, no assertions, and the
// same lines of code as the Fairway server.
#include "asio_listener.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto token = asio::as_tuple(asio::use_awaitable);

asio::awaitable<void> echo(tcp::socket client) {
  std::array<char, bench_echo_bytes + bench_boundary> memory;
  const asio::mutable_buffer room{bench_align(memory.data()), bench_echo_bytes};
  for (;;) {
    auto [ec, got] = co_await client.async_read_some(room, token);
    if (ec) break;
    auto [failed, sent] = co_await asio::async_write(client, asio::buffer(room, got), token);
    if (failed) break;
  }
}

asio::awaitable<void> sink(tcp::socket client) {
  std::array<char, bench_bulk_bytes + bench_boundary> memory;
  const asio::mutable_buffer room{bench_align(memory.data()), bench_bulk_bytes};
  std::uint64_t taken = 0;
  for (;;) {
    auto [ec, got] = co_await client.async_read_some(room, token);
    if (ec) break;
    taken += got;
  }
  std::array<unsigned char, 8> answer;
  bench_count_bytes(taken, answer.data());
  co_await asio::async_write(client, asio::buffer(answer), token);
}

asio::awaitable<void> source(tcp::socket client, const unsigned char* pattern) {
  for (;;) {
    auto [ec, sent] =
        co_await asio::async_write(client, asio::buffer(pattern, bench_bulk_bytes), token);
    if (ec) break;
  }
}

asio::awaitable<void> accept_all(tcp::acceptor& listener, bench_work work) {
  const unsigned char* pattern = bench_pattern_bytes();
  for (;;) {
    auto [ec, client] = co_await listener.async_accept(token);
    if (ec) continue;
    client.set_option(tcp::no_delay{true});
    const auto executor = listener.get_executor();
    switch (work) {
      case bench_echo: asio::co_spawn(executor, echo(std::move(client)), asio::detached); break;
      case bench_sink: asio::co_spawn(executor, sink(std::move(client)), asio::detached); break;
      case bench_source:
        asio::co_spawn(executor, source(std::move(client), pattern), asio::detached);
        break;
    }
  }
}

}  // namespace

int main(int count, char** words) {
  const bench_arguments given = bench_parse(count, words);
  asio::io_context context{1};
  tcp::acceptor listener = bench::listen(context, given);
  asio::co_spawn(context, accept_all(listener, given.work), asio::detached);
  context.run();
}
