// What is associated with a handler is honoured: executor, allocator, slot; and its memory is free
// before it runs.

#include "support/net.hpp"

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <array>
#include <memory>

using namespace support;
using fairway::completion_port;
using fairway::condition;

namespace {

struct tally {
  int live = 0;
  int total = 0;
};

template <class T>
struct counting_allocator {
  using value_type = T;
  tally* counts;

  explicit counting_allocator(tally& t) noexcept : counts{&t} {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) noexcept : counts{other.counts} {}
  T* allocate(std::size_t n) {
    ++counts->live;
    ++counts->total;
    return std::allocator<T>{}.allocate(n);
  }
  void deallocate(T* p, std::size_t n) noexcept {
    --counts->live;
    std::allocator<T>{}.deallocate(p, n);
  }
  friend bool operator==(const counting_allocator&, const counting_allocator&) = default;
};

}  // namespace

TEST_CASE("a handler bound to another port runs there, and that port waits for it") {
  completion_port port;
  completion_port other;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  bool done = false;
  stream.async_read_some(asio::buffer(room),
                         asio::bind_executor(other.get_executor(), [&](error_code, std::size_t) {
                           CHECK(other.get_executor().running_in_this_thread());
                           CHECK_FALSE(port.get_executor().running_in_this_thread());
                           done = true;
                         }));
  peer.write("x");
  CHECK(other.poll() == 0);
  CHECK_FALSE(other.stopped());  // the handler to come is its work
  pump(port, [&] { return port.statistics().operations_in_flight == 0; });
  CHECK_FALSE(done);
  pump(other, [&] { return done; });
}

TEST_CASE("a handler bound to a strand or a thread pool runs there") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  auto strand = asio::make_strand(port.get_executor());
  std::array<char, 8> room{};
  bool done = false;
  peer.write("xy");
  stream.async_read_some(asio::buffer(room, 1),
                         asio::bind_executor(strand, [&](error_code, std::size_t) {
                           CHECK(strand.running_in_this_thread());
                           done = true;
                         }));
  pump(port, [&] { return done; });
  asio::thread_pool pool{1};
  std::atomic<bool> there{false};
  std::thread::id ran_on;
  stream.async_read_some(asio::buffer(room, 1),
                         asio::bind_executor(pool, [&](error_code, std::size_t) {
                           ran_on = std::this_thread::get_id();
                           there = true;
                         }));
  pump(port, [&] { return there.load(); });
  pool.join();
  CHECK(ran_on != std::this_thread::get_id());
}

TEST_CASE("a refused operation's handler runs on its own executor too") {
  completion_port port;
  completion_port other;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  outcome first;
  stream.async_read_some(asio::buffer(room), first.record());
  bool done = false;
  stream.async_read_some(asio::buffer(room),
                         asio::bind_executor(other.get_executor(), [&](error_code ec, std::size_t) {
                           CHECK(ec == condition::in_progress);
                           CHECK(other.get_executor().running_in_this_thread());
                           done = true;
                         }));
  drain(port);
  pump(other, [&] { return done; });
}

TEST_CASE("an associated allocator provides the memory and has it back before the handler runs") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  tally counts;
  bool done = false;
  const counting_allocator<void*> allocator{counts};
  stream.async_read_some(asio::buffer(room),
                         asio::bind_allocator(allocator, [&](error_code, std::size_t) {
                           CHECK(counts.live == 0);
                           done = true;
                         }));
  CHECK(counts.live > 0);
  peer.write("x");
  pump(port, [&] { return done; });
  CHECK(counts.total > 0);
}

TEST_CASE("a handler may start the same operation again, in the memory that it just left") {
  completion_port port;
  auto half = connect_peer(port);
  std::array<char, 8> room{};
  int rounds = 0;
  struct again {
    fairway::stream& stream;
    std::array<char, 8>& room;
    int& rounds;
    void operator()(error_code ec, std::size_t n) {
      REQUIRE(!ec);
      REQUIRE(n == 1);
      if (++rounds < 100) stream.async_read_some(asio::buffer(room, 1), std::move(*this));
    }
  };
  half.peer.write(std::string(100, 'x'));
  half.stream.async_read_some(asio::buffer(room, 1), again{half.stream, room, rounds});
  pump(port, [&] { return rounds == 100; });
}

TEST_CASE("a handler too large for the stream's own memory works as any other") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  std::array<std::uint64_t, 200> baggage{};
  for (std::size_t i = 0; i < baggage.size(); ++i) baggage[i] = i;
  bool done = false;
  peer.write("x");
  stream.async_read_some(asio::buffer(room), [&done, baggage](error_code, std::size_t) {
    for (std::size_t i = 0; i < baggage.size(); ++i) CHECK(baggage[i] == i);
    done = true;
  });
  pump(port, [&] { return done; });
}

TEST_CASE("a handler that can only be moved is moved") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  peer.write("x");
  bool done = false;
  stream.async_read_some(asio::buffer(room),
                         [&done, owned = std::make_unique<int>(7)](error_code, std::size_t) {
                           CHECK(*owned == 7);
                           done = true;
                         });
  pump(port, [&] { return done; });
}

TEST_CASE("an exception out of a handler leaves run, and the stream goes on") {
  completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::array<char, 8> room{};
  peer.write("xy");
  stream.async_read_some(asio::buffer(room, 1),
                         [](error_code, std::size_t) { throw std::runtime_error("mine"); });
  CHECK_THROWS_AS(pump(port, [] { return false; }), std::runtime_error);
  outcome got;
  stream.async_read_some(asio::buffer(room, 1), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
  CHECK(room[0] == 'y');
}

TEST_CASE("destroying the port destroys handlers in flight without running them") {
  auto witness = std::make_shared<int>(1);
  bool ran = false;
  std::array<char, 8> room{};
  {
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    stream.async_read_some(asio::buffer(room),
                           [&ran, witness](error_code, std::size_t) { ran = true; });
    CHECK(witness.use_count() == 2);
  }
  CHECK(witness.use_count() == 1);
  CHECK_FALSE(ran);
}
