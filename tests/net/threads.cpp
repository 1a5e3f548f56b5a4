// Streams that are used from other threads while their port runs in its own.

#include "support/limits.hpp"
#include "support/net.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>

#include <array>
#include <future>

using namespace support;
using fairway::as_result;
using fairway::completion_port;
using fairway::condition;

namespace {

// A port that a thread of its own runs until the end.
class running_port {
 public:
  running_port() : work_{port_.get_executor()}, thread_{[this] { port_.run(); }} {}
  ~running_port() {
    work_.reset();
    port_.stop();
    thread_.join();
  }
  completion_port& operator*() noexcept { return port_; }

 private:
  completion_port port_;
  boost::asio::executor_work_guard<fairway::port_executor> work_;
  std::thread thread_;
};

template <class T>
T get(std::future<T> f) {
  if (f.wait_for(patience) != std::future_status::ready) FAIL("hangs: the future is never set");
  return f.get();
}

stream_pair connect(completion_port& port_a, completion_port& port_b) {
  auto l = listen(port_a);
  auto theirs = l.async_accept(as_result(asio::use_future));
  fairway::connector dial{port_b};
  auto ours = get(dial.async_connect(l.local_endpoint().value(), as_result(asio::use_future)));
  return {get(std::move(theirs)).value(), std::move(ours.value())};
}

}  // namespace

TEST_CASE("accept, connect, write and read are started from a thread that runs no port") {
  running_port one;
  running_port two;
  auto pair = connect(*one, *two);
  std::array<char, 8> room{};
  for (int i = 0; i < 200; ++i) {
    auto got = pair.b.async_read_some(asio::buffer(room), as_result(asio::use_future));
    const std::string text = std::to_string(i);
    CHECK(get(pair.a.async_write_some(asio::buffer(text), as_result(asio::use_future))).value() ==
          text.size());
    CHECK(get(std::move(got)).value() == text.size());
    CHECK(std::string_view(room.data(), text.size()) == text);
  }
}

TEST_CASE("async_receive from a thread that runs no port gives the buffer back from there") {
  running_port one;
  auto pair = connect(*one, *one);
  for (int i = 0; i < 200; ++i) {
    auto got = pair.b.async_receive(as_result(asio::use_future));
    const std::string text = std::to_string(i);
    get(pair.a.async_write_some(asio::buffer(text), as_result(asio::use_future))).value();
    CHECK(text_of(get(std::move(got)).value()) == text);
  }
}

TEST_CASE("cancel, close and destruction from another thread end what is pending") {
  for (const int how : {0, 1, 2}) {
    CAPTURE(how);
    for (int round = 0; round < 50; ++round) {
      running_port one;
      auto pair = connect(*one, *one);
      std::array<char, 8> room{};
      auto got = pair.a.async_read_some(asio::buffer(room), as_result(asio::use_future));
      if (how == 0) pair.a.cancel();
      if (how == 1) pair.a.close();
      if (how == 2) pair.a = fairway::stream{};
      auto ended = get(std::move(got));
      REQUIRE(ended.has_error());
      REQUIRE(ended.error() == condition::aborted);
      if (how == 0) continue;
      auto end = get(pair.b.async_read_some(asio::buffer(room), as_result(asio::use_future)));
      REQUIRE(end.has_error());
      REQUIRE(end.error() == condition::eof);
    }
  }
}

TEST_CASE("calls from another thread take effect in their order") {
  running_port one;
  for (int round = 0; round < 100; ++round) {
    auto pair = connect(*one, *one);
    // Three in a row without waiting: the write goes out before the close.
    auto put = pair.a.async_write_some(asio::buffer("last", 4), as_result(asio::use_future));
    pair.a.close();
    auto late = pair.a.async_write_some(asio::buffer("no", 2), as_result(asio::use_future));
    std::array<char, 8> room{};
    auto got = get(pair.b.async_read_some(asio::buffer(room), as_result(asio::use_future)));
    auto sent = get(std::move(put));
    if (sent) {
      REQUIRE(got.value() == 4);
    } else {
      REQUIRE(sent.error() == condition::aborted);
      REQUIRE(got.error() == condition::eof);
    }
    // The first write may still wait for its handler when the second is started.
    const auto refused = get(std::move(late)).error();
    REQUIRE((refused == asio::error::bad_descriptor || refused == condition::in_progress));
  }
}

TEST_CASE("several threads use streams of one port at once") {
  running_port one;
  constexpr int threads = 4;
  constexpr std::size_t rounds = scaled(1000);
  std::vector<stream_pair> pairs;
  for (int i = 0; i < threads; ++i) pairs.push_back(connect(*one, *one));
  std::atomic<int> wrong{0};
  std::vector<std::thread> users;
  for (auto& pair : pairs) {
    users.emplace_back([&pair, &wrong] {
      for (std::size_t i = 0; i < rounds; ++i) {
        std::size_t back = 0;
        auto put = pair.a.async_write_some(asio::buffer(&i, sizeof i), asio::use_future);
        auto got = asio::async_read(pair.b, asio::buffer(&back, sizeof back), asio::use_future);
        if (put.get() != sizeof i || got.get() != sizeof i || back != i) ++wrong;
      }
    });
  }
  for (auto& each : users) each.join();
  CHECK(wrong == 0);
}

TEST_CASE("an operation that a thread started completes after that thread has ended") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  outcome got;
  std::thread{[&] { stream.async_read_some(asio::buffer(room), got.record()); }}.join();
  std::thread{[&] { port.run_one_for(5ms); }}.join();
  peer.write("abc");
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
  CHECK(got.bytes == 3);
}

TEST_CASE("a port whose operations wait may move to another thread between runs") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  int rounds = 0;
  for (int i = 0; i < 20; ++i) {
    stream.async_read_some(asio::buffer(room), [&](error_code ec, std::size_t) {
      if (!ec) ++rounds;
    });
    std::thread{[&] { port.poll(); }}.join();
    peer.write("x");
    std::thread{[&] { pump(port, [&] { return rounds == i + 1; }); }}.join();
  }
  CHECK(rounds == 20);
}

TEST_CASE("a listener hands its connections to the ports of a group") {
  fairway::port_group group{3};
  group.start();
  auto l = listen(group[0]);
  const auto where = l.local_endpoint().value();
  struct echo_once {
    static coroutine<void> serve(fairway::stream s) {
      std::array<char, 64> room;
      auto got = co_await s.async_read_some(asio::buffer(room));
      if (got) (void)co_await s.async_write_some(asio::buffer(room, got.value()));
    }
  };
  for (int i = 0; i < 60; ++i) {
    completion_port& target = group.next();
    auto peer = raw_peer::connect(where);
    auto s = get(l.async_accept(target, as_result(asio::use_future))).value();
    CHECK(s.get_executor() == target.get_executor());
    asio::co_spawn(target, echo_once::serve(std::move(s)), asio::detached);
    const std::string text = "hello " + std::to_string(i);
    peer.write(text);
    std::string back;
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (back.size() < text.size() && std::chrono::steady_clock::now() < limit) {
      if (peer.read(back) == raw_peer::event::nothing) std::this_thread::yield();
    }
    REQUIRE(back == text);
  }
  l.close();
  group.stop();
  group.join();
}

TEST_CASE("received bytes are read and given back by a thread that the port does not know") {
  running_port one;
  auto pair = connect(*one, *one);
  const std::size_t rounds = scaled(2000);
  const std::string text = seeded{95}.bytes(100);
  std::thread writer{[&] {
    for (std::size_t i = 0; i < rounds; ++i) {
      asio::async_write(pair.a, asio::buffer(text), asio::use_future).get();
    }
    pair.a.close();
  }};
  std::size_t bytes = 0;
  std::vector<fairway::received> held;
  for (;;) {
    auto got = get(pair.b.async_receive(as_result(asio::use_future)));
    if (!got) break;
    bytes += got.value().size();
    held.push_back(std::move(got.value()));
    if (held.size() == 50) held.clear();
  }
  writer.join();
  CHECK(bytes == rounds * text.size());
}
