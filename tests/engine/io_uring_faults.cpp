// What only the io_uring backend has: queues that overflow, multishots that end, buffers that the
// kernel chooses, flags that are refused.

#include "engine/io_uring_support.hpp"

#include "engine/io_uring/ring/ring.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::detail::io_uring::ring;

namespace {

constexpr std::size_t many = 150;

bool all_done(const std::deque<reader>& all) {
  return std::all_of(all.begin(), all.end(), [](const reader& r) { return r.got.done(); });
}

// A kernel that knows none of `refused`.
template <unsigned refused>
int older_kernel(unsigned entries, io_uring* made, io_uring_params* wanted) {
  if ((wanted->flags & refused) != 0) return -EINVAL;
  return io_uring_queue_init_params(entries, made, wanted);
}
int no_kernel(unsigned, io_uring*, io_uring_params*) { return -ENOSYS; }
int forbidden(unsigned, io_uring*, io_uring_params*) { return -EPERM; }

}  // namespace

TEST_CASE("io_uring: more operations than the submission queue holds all end, once") {
  if (!has_io_uring()) return;
  completion_port port{on_ring(8)};
  auto all = readers(port, many);
  asio::post(port, [&] {
    for (reader& r : all) r.start();
  });
  drain(port);
  CHECK(port.statistics().overflows > 0);
  for (std::size_t i = 0; i < many; ++i) all[i].ends.peer.write(std::to_string(i));
  pump(port, [&] { return all_done(all); });
  drain(port);
  for (std::size_t i = 0; i < many; ++i) {
    CHECK(all[i].got.calls == 1);
    CHECK(all[i].text() == std::to_string(i));
  }
}

TEST_CASE("io_uring: operations started before any thread has run the port all end") {
  if (!has_io_uring()) return;
  completion_port port{on_ring(8)};
  std::deque<reader> all;
  for (std::size_t i = 0; i < 50; ++i) {
    auto listening = raw_peer::listen(fairway::endpoint::loopback_v4(0));
    raw_peer mine = raw_peer::connect(listening.local());
    raw_peer theirs = listening.accept();
    all.emplace_back(half_pair{fairway::stream::adopt(port, mine.release()).value(),
                               std::move(theirs)});
    all.back().start();
    all.back().ends.peer.write("x");
  }
  all[7].ends.stream.cancel();
  all[8].ends.stream.close();
  pump(port, [&] { return all_done(all); });
  CHECK(all[7].got.ec == condition::aborted);
  CHECK(all[8].got.ec == condition::aborted);
  CHECK(all[9].text() == "x");
}

TEST_CASE("io_uring: a port ends more operations than its completion queue holds") {
  if (!has_io_uring()) return;
  auto port = std::make_unique<completion_port>(on_ring(8));  // 32 completions
  auto all = readers(*port, many);
  auto held = std::make_shared<int>(0);
  for (reader& r : all) {
    r.ends.stream.async_read_some(asio::buffer(r.room), [held](error_code, std::size_t) {});
  }
  drain(*port);
  REQUIRE(held.use_count() == many + 1);
  port.reset();
  CHECK(held.use_count() == 1);
}

TEST_CASE("io_uring: a full submission queue does not lose a cancel or a close") {
  if (!has_io_uring()) return;
  completion_port port{on_ring(8)};
  auto all = readers(port, many);
  for (reader& r : all) r.start();
  drain(port);
  asio::post(port, [&] {
    for (std::size_t i = 0; i < many; ++i) {
      if (i % 2 == 0) {
        all[i].ends.stream.cancel();
      } else {
        all[i].ends.stream.close();
      }
    }
  });
  pump(port, [&] { return all_done(all); });
  for (const reader& r : all) CHECK(r.got.ec == condition::aborted);
}

TEST_CASE("io_uring: connections that nobody asked for yet stay in order and are bounded") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto l = listen(port);
  const auto where = l.local_endpoint().value();
  std::vector<raw_peer> peers;
  peers.push_back(raw_peer::connect(where));
  std::vector<fairway::stream> taken;
  taken.push_back(accept(port, l));
  // More than the listener takes in advance: the accept stops and is begun again.
  for (std::size_t i = 1; i < 200; ++i) peers.push_back(raw_peer::connect(where));
  drain(port);
  while (taken.size() < peers.size()) taken.push_back(accept(port, l));
  for (std::size_t i = 0; i < peers.size(); ++i) {
    CHECK(taken[i].remote_endpoint().value() == peers[i].local());
  }
}

TEST_CASE("io_uring: an address is free again when its listener is closed") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto l = listen(port);
  const auto where = l.local_endpoint().value();
  accepted never;
  l.async_accept(never.record());
  drain(port);
  l.close();
  const auto again = fairway::listener::open(port, where);
  CHECK(again);
  pump(port, [&] { return never.done(); });
  CHECK(never.ec == condition::aborted);
}

TEST_CASE("io_uring: connections taken in advance are closed with their listener") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto l = listen(port);
  raw_peer first = raw_peer::connect(l.local_endpoint().value());
  raw_peer second = raw_peer::connect(l.local_endpoint().value());
  const auto stream = accept(port, l);
  drain(port);
  l.close();
  drain(port);
  std::string nothing;
  const auto last = read_to_end(port, second, nothing);
  CHECK((last == raw_peer::event::end || last == raw_peer::event::reset));
}

TEST_CASE("io_uring: non-blocking descriptors wait like blocking ones") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto l = listen(port);
  REQUIRE(::fcntl(static_cast<int>(l.native_handle()), F_SETFL, O_NONBLOCK) == 0);
  accepted waits;
  l.async_accept(waits.record());
  drain(port);
  CHECK(waits.calls == 0);
  raw_peer peer = raw_peer::connect(l.local_endpoint().value());
  pump(port, [&] { return waits.done(); });
  REQUIRE(!waits.ec);
  reader r{half_pair{std::move(waits.value), std::move(peer)}};
  REQUIRE(::fcntl(static_cast<int>(r.ends.stream.native_handle()), F_SETFL, O_NONBLOCK) == 0);
  r.start();
  drain(port);
  CHECK(r.got.calls == 0);
  r.ends.peer.write("later");
  pump(port, [&] { return r.got.done(); });
  CHECK(r.text() == "later");
}

TEST_CASE("io_uring: waiting to write does not end because the peer has finished sending") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto [stream, peer] = connect_peer(port);
  const int fd = static_cast<int>(stream.native_handle());
  const std::string block(65536, 'x');
  pollfd room{fd, POLLOUT, 0};
  // Until the peer's window is closed as well, which takes the kernel a moment.
  while (::poll(&room, 1, 100) == 1) ::send(fd, block.data(), block.size(), MSG_DONTWAIT);
  peer.shutdown_send();
  pollfd end{fd, POLLRDHUP, 0};
  REQUIRE(::poll(&end, 1, -1) == 1);
  outcome writable;
  stream.async_wait(fairway::wait_kind::write, writable.record_error());
  drain(port);
  CHECK(writable.calls == 0);
  const int files = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(files);
  pump(port, [&] {
    std::string got;
    while (peer.read(got) == raw_peer::event::bytes) {}
    return writable.done();
  });
  CHECK(!writable.ec);
  drain(port);
  const int files_after = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(files_after);
  CHECK(files_after < files);
}

TEST_CASE("io_uring: a write that was begun before a shutdown arrives") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  auto [stream, peer] = connect_peer(port);
  outcome written;
  std::string got;
  asio::post(port, [&, &s = stream] {
    s.async_write_some(asio::buffer("words", 5), written.record());
    CHECK(s.shutdown(fairway::shutdown_kind::send));
  });
  CHECK(read_to_end(port, peer, got) == raw_peer::event::end);
  CHECK(got == "words");
  pump(port, [&] { return written.done(); });
  CHECK(written.bytes == 5);
}

TEST_CASE("io_uring: more streams with data than buffers in the kernel's hands") {
  if (!has_io_uring()) return;
  completion_port port{on_ring()};
  constexpr std::size_t streams = 300;
  std::vector<half_pair> pairs;
  std::deque<received_bytes> got(streams);
  for (std::size_t i = 0; i < streams; ++i) {
    pairs.push_back(connect_peer(port));
    pairs.back().stream.async_receive(got[i].record());
  }
  drain(port);
  for (std::size_t i = 0; i < streams; ++i) pairs[i].peer.write(std::to_string(i));
  pump(port, [&] {
    return std::all_of(got.begin(), got.end(), [](const auto& g) { return g.done(); });
  });
  for (std::size_t i = 0; i < streams; ++i) CHECK(text_of(got[i].value) == std::to_string(i));
}

TEST_CASE("io_uring: a ring is made without the flags that the kernel refuses, and says so") {
  if (!has_io_uring()) return;
  const ring full{8, true};
  CHECK(full.dropped().empty());
  CHECK(full.bound());
  const ring old{8, true, &older_kernel<IORING_SETUP_DEFER_TASKRUN>};
  CHECK(old.dropped() == "without DEFER_TASKRUN and SINGLE_ISSUER");
  CHECK(!old.bound());
  const ring older{8, true,
                   &older_kernel<IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP>};
  CHECK(older.dropped() ==
        "without DEFER_TASKRUN and SINGLE_ISSUER, SUBMIT_ALL, CQSIZE, CLAMP");
}

TEST_CASE("io_uring: a refusal is thrown with the kernel's reason") {
  using boost::system::system_error;
  const auto refusal = [](ring::setup_call setup) {
    try {
      const ring made{8, true, setup};
    } catch (const system_error& refused) {
      return refused.code().value();
    }
    return 0;
  };
  CHECK(refusal(&no_kernel) == ENOSYS);
  CHECK(refusal(&forbidden) == EPERM);
  CHECK(refusal(&older_kernel<~0u>) == 0);  // a ring without any flag is still a ring
}
