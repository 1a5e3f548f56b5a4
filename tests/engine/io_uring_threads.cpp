// A ring belongs to one thread: a port that is run, or destroyed, by another one than before.

#include "engine/io_uring_support.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <future>
#include <memory>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

using namespace support;
using fairway::completion_port;
using fairway::condition;

namespace {

// Starts reads and an accept on a thread of its own and leaves the port with all of them in the
// kernel. The thread lives as long as this.
class earlier_thread {
 public:
  template <class Start>
  earlier_thread(completion_port& port, Start&& start)
      : thread_{[this, &port, &start] {
          asio::post(port, start);
          drain(port);
          left_.set_value();
          over_.get_future().wait();
        }} {
    left_.get_future().wait();
  }
  ~earlier_thread() { end(); }
  void end() {
    if (!thread_.joinable()) return;
    over_.set_value();
    thread_.join();
  }

 private:
  std::promise<void> left_, over_;
  std::thread thread_;
};

// Moves the port, with a read in flight, until it has a ring that any thread may enter.
void loosen(completion_port& port) {
  auto all = readers(port, 1);
  for (int move = 0; move < 4; ++move) {
    all[0].got = {};
    earlier_thread before{port, [&] { all[0].start(); }};
    before.end();
    all[0].ends.peer.write("x");
    pump(port, [&] { return all[0].got.done(); });
  }
}

}  // namespace

TEST_CASE("io_uring: operations in flight go on when another thread runs the port") {
  if (!has_io_uring()) return;
  for (const bool ended : {false, true}) {
    CAPTURE(ended);
    completion_port port{on_ring()};
    auto all = readers(port, 20);
    auto l = listen(port);
    accepted waits;
    received_bytes receives;
    auto other = connect_peer(port);
    earlier_thread before{port, [&] {
                            for (reader& r : all) r.start();
                            l.async_accept(waits.record());
                            other.stream.async_receive(receives.record());
                          }};
    if (ended) before.end();
    // Some bytes come while nobody runs the port, the others later.
    for (std::size_t i = 0; i < 10; ++i) all[i].ends.peer.write("early");
    drain(port);
    for (std::size_t i = 10; i < 20; ++i) all[i].ends.peer.write("late");
    const raw_peer peer = raw_peer::connect(l.local_endpoint().value());
    other.peer.write("received");
    pump(port, [&] { return waits.done() && receives.done() && all[9].got.done(); });
    pump(port, [&] { return all[19].got.done() && all[10].got.done(); });
    drain(port);
    for (std::size_t i = 0; i < 20; ++i) {
      CHECK(all[i].got.calls == 1);
      CHECK(all[i].text() == (i < 10 ? "early" : "late"));
    }
    CHECK(!waits.ec);
    CHECK(text_of(receives.value) == "received");
  }
}

TEST_CASE("io_uring: a cancel or a close from another thread ends what an earlier one began") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto all = readers(port, 2);
  auto l = listen(port);
  accepted waits;
  earlier_thread before{port, [&] {
                          for (reader& r : all) r.start();
                          l.async_accept(waits.record());
                        }};
  all[0].ends.stream.cancel();
  all[1].ends.stream.close();
  l.close();
  pump(port, [&] { return all[0].got.done() && all[1].got.done() && waits.done(); });
  CHECK(all[0].got.ec == condition::aborted);
  CHECK(all[1].got.ec == condition::aborted);
  CHECK(waits.ec == condition::aborted);
  std::string nothing;
  CHECK(read_to_end(port, all[1].ends.peer, nothing) == raw_peer::event::end);
}

TEST_CASE("io_uring: a port that keeps moving keeps working") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto all = readers(port, 1);
  reader& r = all.front();
  for (int round = 0; round < 8; ++round) {
    CAPTURE(round);
    r.got = {};
    {
      earlier_thread before{port, [&] { r.start(); }};
      if (round % 2 == 0) before.end();
      r.ends.peer.write(std::to_string(round));
      pump(port, [&] { return r.got.done(); });
    }
    CHECK(!r.got.ec);
    CHECK(r.text() == std::to_string(round));
  }
}

TEST_CASE("io_uring: operations in flight go over to a ring that any thread may enter") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto all = readers(port, 20);
  // Each move has them in flight, also the one that no more makes a ring of one thread.
  for (int move = 0; move < 6; ++move) {
    std::thread{[&] {
      if (move == 0) {
        for (reader& r : all) r.start();
      }
      drain(port);
      all[move].ends.peer.write("moved");
      pump(port, [&] { return all[move].got.done(); });
    }}.join();
    CHECK(all[move].text() == "moved");
  }
  for (std::size_t i = 6; i < all.size(); ++i) {
    CHECK(all[i].got.calls == 0);
    all[i].ends.peer.write("at last");
  }
  pump(port, [&] {
    return std::all_of(all.begin(), all.end(), [](const reader& r) { return r.got.done(); });
  });
  for (std::size_t i = 6; i < all.size(); ++i) CHECK(all[i].text() == "at last");
}

TEST_CASE("io_uring: on a ring that any thread may enter, the end of a thread cancels nothing") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  loosen(port);
  auto all = readers(port, 1);
  reader& r = all.front();
  auto started = std::make_unique<earlier_thread>(port, [&] { r.start(); });
  std::thread runs{[&] { pump(port, [&] { return r.got.done(); }); }};
  started.reset();  // ends while the other thread is inside the kernel, or about to be
  r.ends.peer.write("after");
  runs.join();
  CHECK(!r.got.ec);
  CHECK(r.text() == "after");
}

TEST_CASE("io_uring: a completion queue that overflows loses nothing and doubles nothing") {
  if (!has_io_uring()) return;
  constexpr std::size_t many = 150;
  completion_port port{on_ring(8)};  // 32 completions
  loosen(port);  // completions then come whenever this thread is in the kernel
  auto all = readers(port, many);
  for (reader& r : all) r.start();
  drain(port);
  const auto before = port.statistics().overflows;
  for (std::size_t i = 0; i < many; ++i) all[i].ends.peer.write(std::to_string(i));
  pump(port, [&] {
    return std::all_of(all.begin(), all.end(), [](const reader& r) { return r.got.done(); });
  });
  drain(port);
  CHECK(port.statistics().overflows > before);
  for (std::size_t i = 0; i < many; ++i) {
    CHECK(all[i].got.calls == 1);
    CHECK(all[i].text() == std::to_string(i));
  }
}

TEST_CASE("io_uring: a port is destroyed by a thread that never ran it") {
  if (!has_io_uring()) return;
  for (const bool ended : {false, true}) {
    CAPTURE(ended);
    auto port = std::make_unique<completion_port>(on_ring());
    auto all = readers(*port, 20);
    auto l = listen(*port);
    auto held = std::make_shared<int>(0);
    const auto where = l.local_endpoint().value();
    earlier_thread before{*port, [&] {
                            for (reader& r : all) {
                              r.ends.stream.async_read_some(boost::asio::buffer(r.room),
                                                            [held](error_code, std::size_t) {});
                            }
                            l.async_accept([held](error_code, fairway::stream) {});
                          }};
    if (ended) before.end();
    CHECK(held.use_count() == 22);
    port.reset();
    CHECK(held.use_count() == 1);
    completion_port next{on_ring()};
    std::string nothing;
    for (reader& r : all) CHECK(read_to_end(next, r.ends.peer, nothing) == raw_peer::event::end);
    CHECK(fairway::listener::open(next, where));
  }
}

TEST_CASE("io_uring: wakes before and during a wait on a new thread are not lost") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  std::atomic<int> ran{0};
  for (int round = 1; round <= 50; ++round) {
    std::thread posts{[&] { asio::post(port, [&] { ran.store(round); }); }};
    std::thread runs{[&] { pump(port, [&] { return ran.load() == round; }); }};
    posts.join();
    runs.join();
  }
  CHECK(ran.load() == 50);
}

TEST_CASE("io_uring: a child made by fork may destroy the port; the parent's goes on") {
  if (!has_io_uring()) return;
  auto port = std::make_unique<completion_port>(on_ring());
  auto all = readers(*port, 1);
  reader& r = all.front();
  r.start();
  drain(*port);
  const pid_t child = ::fork();
  if (child == 0) {
    port.reset();
    ::_exit(r.got.calls);
  }
  REQUIRE(child > 0);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  r.ends.peer.write("parent");
  pump(*port, [&] { return r.got.done(); });
  CHECK(r.text() == "parent");
}
