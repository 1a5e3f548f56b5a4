// Every completion token on a stream.

#include "support/net.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_future.hpp>

#include <array>
#include <future>

using namespace support;
using fairway::as_result;
using fairway::completion_port;
using fairway::condition;
using fairway::result;

namespace {

template <class T>
bool is_ready(const std::future<T>& f) {
  return f.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
}

}  // namespace

TEST_CASE("without a token an operation is awaited for a result") {
  completion_port port;
  auto pair = connect_pair(port);
  run(port, [](stream_pair& p) -> coroutine<void> {
    result<std::size_t> put = co_await p.a.async_write_some(asio::buffer("abc", 3));
    CHECK(put.value() == 3);
    CHECK((co_await p.b.async_wait(fairway::wait_kind::read)).has_value());
    std::array<char, 8> room;
    result<std::size_t> got = co_await p.b.async_read_some(asio::buffer(room));
    CHECK(got.value() == 3);
    CHECK((co_await p.a.async_write_some(asio::buffer("de", 2))).value() == 2);
    result<fairway::received> bytes = co_await p.b.async_receive();
    CHECK(text_of(bytes.value()) == "de");
    p.a.close();
    CHECK((co_await p.b.async_receive()).error() == condition::eof);
    CHECK((co_await p.b.async_read_some(asio::buffer(room))).error() == condition::eof);
  }(pair));
}

TEST_CASE("awaited through deferred, the error is thrown") {
  completion_port port;
  auto pair = connect_pair(port);
  pair.a.close();
  run(port, [](stream_pair& p) -> coroutine<void> {
    std::array<char, 8> room;
    try {
      co_await p.b.async_read_some(asio::buffer(room), asio::deferred);
      FAIL("no error");
    } catch (const boost::system::system_error& e) {
      CHECK(e.code() == asio::error::eof);
    }
  }(pair));
}

TEST_CASE("awaited as a tuple, error and count come together") {
  completion_port port;
  auto half = connect_peer(port);
  half.peer.write("abc");
  half.peer.shutdown_send();
  run(port, [](fairway::stream& s) -> coroutine<void> {
    std::array<char, 8> room;
    auto [ec, n] = co_await asio::async_read(s, asio::buffer(room),
                                             asio::as_tuple(asio::deferred));
    CHECK(ec == asio::error::eof);
    CHECK(n == 3);
  }(half.stream));
}

TEST_CASE("a future gives the count, throws the error, or holds a result") {
  completion_port port;
  auto pair = connect_pair(port);
  std::array<char, 8> room{};
  std::future<std::size_t> got = pair.b.async_read_some(asio::buffer(room), asio::use_future);
  auto put = pair.a.async_write_some(asio::buffer("abc", 3), as_result(asio::use_future));
  pump(port, [&] { return is_ready(got) && is_ready(put); });
  CHECK(got.get() == 3);
  CHECK(put.get().value() == 3);
  std::future<result<fairway::received>> bytes = pair.b.async_receive(as_result(asio::use_future));
  std::future<void> ready = pair.b.async_wait(fairway::wait_kind::write, asio::use_future);
  pair.a.close();
  pump(port, [&] { return is_ready(bytes) && is_ready(ready); });
  CHECK(bytes.get().error() == condition::eof);
  CHECK_NOTHROW(ready.get());
  auto end = pair.b.async_read_some(asio::buffer(room), asio::use_future);
  pump(port, [&] { return is_ready(end); });
  CHECK_THROWS_AS(end.get(), boost::system::system_error);
}

TEST_CASE("a deferred operation starts when it is called, not before") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  auto later = stream.async_read_some(asio::buffer(room), asio::deferred);
  CHECK(port.statistics().operations_in_flight == 0);
  outcome got;
  std::move(later)(got.record());
  CHECK(port.statistics().operations_in_flight == 1);
  peer.write("x");
  pump(port, [&] { return got.done(); });
  CHECK(got.bytes == 1);
}

TEST_CASE("a deferred accept can be chained to a deferred read") {
  completion_port port;
  auto l = listen(port);
  auto peer = raw_peer::connect(l.local_endpoint().value());
  peer.write("first");
  received_bytes got;
  fairway::stream kept;
  auto both = l.async_accept(asio::deferred([&](error_code, fairway::stream s) {
    kept = std::move(s);
    return kept.async_receive(asio::deferred);
  }));
  std::move(both)(got.record());
  pump(port, [&] { return got.done(); });
  CHECK(text_of(got.value) == "first");
}

TEST_CASE("a detached write is made") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  stream.async_write_some(asio::buffer("abc", 3), asio::detached);
  CHECK(read_exactly(port, peer, 3) == "abc");
}

TEST_CASE("redirect_error and bind_executor go around any token") {
  completion_port port;
  completion_port other;
  auto pair = connect_pair(port);
  error_code ec;
  std::array<char, 8> room{};
  auto got = pair.b.async_read_some(asio::buffer(room),
                                    asio::redirect_error(asio::use_future, ec));
  pair.a.close();
  pump(port, [&] { return is_ready(got); });
  CHECK(got.get() == 0);
  CHECK(ec == condition::eof);
  bool done = false;
  pair.b.async_read_some(asio::buffer(room),
                         asio::bind_executor(other, as_result([&](result<std::size_t> r) {
                           CHECK(r.error() == condition::eof);
                           CHECK(other.get_executor().running_in_this_thread());
                           done = true;
                         })));
  drain(port);
  CHECK_FALSE(done);
  pump(other, [&] { return done; });
}

TEST_CASE("of two awaited with or, the first ends both") {
  completion_port port;
  auto pair = connect_pair(port);
  auto quiet = connect_pair(port);
  run(port, [](stream_pair& p, stream_pair& q) -> coroutine<void> {
    using namespace asio::experimental::awaitable_operators;
    std::array<char, 8> one;
    std::array<char, 8> two;
    co_await p.a.async_write_some(asio::buffer("x", 1), asio::deferred);
    auto first = co_await (q.b.async_read_some(asio::buffer(one)) ||
                           p.b.async_read_some(asio::buffer(two)));
    CHECK(first.index() == 1);
    CHECK(std::get<1>(first).value() == 1);
    // The loser was cancelled and its stream is free.
    co_await q.a.async_write_some(asio::buffer("y", 1), asio::deferred);
    CHECK((co_await q.b.async_read_some(asio::buffer(one))).value() == 1);
  }(pair, quiet));
}

TEST_CASE("of two awaited with and, both are waited for") {
  completion_port port;
  auto pair = connect_pair(port);
  run(port, [](stream_pair& p) -> coroutine<void> {
    using namespace asio::experimental::awaitable_operators;
    std::array<char, 8> room;
    auto [got, put] = co_await (p.b.async_read_some(asio::buffer(room)) &&
                                p.a.async_write_some(asio::buffer("abc", 3)));
    CHECK(got.value() == 3);
    CHECK(put.value() == 3);
  }(pair));
}

TEST_CASE("accept and connect take every token as well") {
  completion_port port;
  auto l = listen(port);
  fairway::connector dial{port};
  auto ours = dial.async_connect(l.local_endpoint().value(), as_result(asio::use_future));
  auto theirs = l.async_accept(asio::use_future);
  pump(port, [&] { return is_ready(ours) && is_ready(theirs); });
  auto a = ours.get().value();
  auto b = theirs.get();
  CHECK(a.local_endpoint().value() == b.remote_endpoint().value());
  run(port, [](fairway::listener& l2, fairway::connector& d) -> coroutine<void> {
    using namespace asio::experimental::awaitable_operators;
    auto [accepted_one, connected] =
        co_await (l2.async_accept() && d.async_connect(l2.local_endpoint().value()));
    CHECK(accepted_one.value().remote_endpoint().value() ==
          connected.value().local_endpoint().value());
  }(l, dial));
}
