// What runs out: descriptors at each socket of the rendezvous, memory at the accepting end, and
// offers whose owner has gone. Each leaves a connection TCP, says why, and leaks nothing.

#include "support/child.hpp"
#include "support/shared_memory.hpp"

#include "loopback/address.hpp"
#include "loopback/arena.hpp"
#include "loopback/system.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace support;
using fairway::completion_port;
using fairway::endpoint;
using fairway::path;
using fairway::path_reason;
namespace shm = fairway::detail::shm;

namespace {

std::size_t descriptors_in_use() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    ++count;
  }
  return count;
}

// While it lives the process has so many descriptors free.
class few_descriptors {
 public:
  explicit few_descriptors(std::size_t free) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &usual_) == 0);
    int last = 0;
    for (const auto& one : std::filesystem::directory_iterator{"/proc/self/fd"}) {
      last = std::max(last, std::stoi(one.path().filename().string()));
    }
    rlimit low = usual_;
    low.rlim_cur = static_cast<rlim_t>(last) + 9;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (;;) {
      const int one = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      if (one < 0) break;
      fillers_.push_back(one);
    }
    for (; free > 0; --free) {
      ::close(fillers_.back());
      fillers_.pop_back();
    }
  }
  few_descriptors(const few_descriptors&) = delete;
  few_descriptors& operator=(const few_descriptors&) = delete;
  ~few_descriptors() {
    for (const int one : fillers_) ::close(one);
    ::setrlimit(RLIMIT_NOFILE, &usual_);
  }

 private:
  rlimit usual_{};
  std::vector<int> fillers_;
};

// Looks around so often that whatever has come is found; returns how often there was something.
std::size_t look_around(completion_port& port) {
  // Else it would not look, as the rendezvous is no work.
  const auto work = asio::require(port.get_executor(), asio::execution::outstanding_work.tracked);
  std::size_t found = 0;
  port.restart();
  for (int i = 0; i < 100; ++i) found += port.poll_one();
  return found;
}

void exchange_words(completion_port& one, fairway::stream& a, completion_port& other,
                    fairway::stream& b) {
  say(one, a, "question");
  CHECK(hear(other, b, 8) == "question");
  say(other, b, "answer");
  CHECK(hear(one, a, 6) == "answer");
}

// The connection that comes next is on the fast path.
fast_ends fast_ends_of(completion_port& port, fairway::listener& l, completion_port& dialling) {
  fairway::stream c = dialled_fast(dialling, l.local_endpoint().value());
  fairway::stream a = accept(port, l);
  take_part(port, a);
  exchange_words(port, a, dialling, c);
  CHECK(c.path() == path::shared_memory);
  return {std::move(a), std::move(c)};
}

void check_fast(completion_port& port, fairway::listener& l, completion_port& dialling) {
  fast_ends_of(port, l, dialling);
}

// What a plain client of `l`, which does not ask for anything, is told.
path_reason told_to_stranger(completion_port& port, fairway::listener& l) {
  const raw_peer plain = raw_peer::connect(l.local_endpoint().value());
  const fairway::stream a = accept(port, l);
  CHECK(a.path() == path::tcp);
  return a.path_reason();
}

// A limit of memory, until the usual one is set again: so much more than there is in use.
class memory_left {
 public:
  explicit memory_left(std::size_t bytes) {
    fairway::set_loopback_memory_max(fairway::loopback_memory() + bytes);
  }
  memory_left(const memory_left&) = delete;
  memory_left& operator=(const memory_left&) = delete;
  ~memory_left() { fairway::set_loopback_memory_max(fairway::loopback_memory_usual); }
};

// Rings so large that an arena has one slot: each connection brings its own.
constexpr std::size_t rings_alone = std::size_t{4} << 20;
constexpr fairway::connect_options alone{.loopback_ring_bytes = rings_alone};
constexpr std::size_t arena_alone = shm::arena_shape{1, rings_alone}.total();

// From now on the calling thread cannot ask which kind of file system a descriptor is on, as who
// looks at memory of another process does. False: there are no such filters here.
bool forbid_fstatfs() {
  sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fstatfs, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog filter{static_cast<unsigned short>(std::size(steps)), steps};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

TEST_CASE("a listener without descriptors for its rendezvous is TCP and says so") {
  completion_port port;
  // Its own socket, the rendezvous, the mark.
  for (std::size_t free = 1; free <= 3; ++free) {
    CAPTURE(free);
    const std::size_t before = descriptors_in_use();
    fairway::listener l;
    {
      const few_descriptors left{free};
      l = listen_fast(port);
    }
    CHECK(descriptors_in_use() == before + (free < 3 ? 1 : 3));
    auto plain = raw_peer::connect(l.local_endpoint().value());
    auto a = accept(port, l);
    CHECK(a.path() == path::tcp);
    CHECK(a.path_reason() ==
          (free < 3 ? path_reason::no_descriptors : path_reason::peer_did_not_ask));
    say(port, a, "x");
    CHECK(read_exactly(port, plain, 1) == "x");
    a.close();
    l.close();
    drain(port);
    plain.close();
    CHECK(descriptors_in_use() == before);
  }
}

TEST_CASE("a connector without descriptors for its offer is TCP, and has it when there are") {
  // Its own socket, the one that asks for a mark, the link, the memory.
  for (std::size_t free = 1; free <= 4; ++free) {
    CAPTURE(free);
    const std::size_t before = descriptors_in_use();
    // The socket that asks is the thread's, the link the port's.
    std::thread{[&] {
      completion_port port;
      auto l = listen_fast(port);
      completion_port other;
      fairway::stream c;
      {
        const few_descriptors left{free};
        c = dialled_fast(other, l.local_endpoint().value());
      }
      CHECK(c.path() == path::tcp);
      CHECK(c.path_reason() == (free < 4 ? path_reason::no_descriptors : path_reason::not_yet));
      auto a = accept(port, l);
      if (free < 4) CHECK(a.path_reason() == path_reason::peer_did_not_ask);
      if (free == 4) take_part(port, a);
      exchange_words(port, a, other, c);
      check_fast(port, l, other);
    }}.join();
    CHECK(descriptors_in_use() == before);
  }
}

TEST_CASE("an accepting end without a descriptor for a process rests, and takes it later") {
  completion_port port;
  completion_port other;
  auto l = listen_fast(port);
  fairway::stream c = dialled_fast(other, l.local_endpoint().value());
  std::size_t found = 0;
  {
    const few_descriptors none{0};
    found = look_around(port);
  }
  CHECK(found < 10);
  auto a = accept(port, l);
  take_part(port, a);
  exchange_words(port, a, other, c);
  // It waits for the next process as before.
  completion_port third;
  check_fast(port, l, third);
}

TEST_CASE("an accepting end that has no descriptor for a process says so") {
  completion_port port;
  completion_port other;
  auto l = listen_fast(port);
  fairway::stream c = dialled_fast(other, l.local_endpoint().value());
  {
    const few_descriptors none{0};
    look_around(port);
  }
  fairway::stream a;
  {
    const few_descriptors for_the_stream{1};
    a = accept(port, l);
  }
  CHECK(a.path() == path::tcp);
  CHECK(a.path_reason() == path_reason::no_descriptors);
  exchange_words(port, a, other, c);
  check_fast(port, l, other);
}

TEST_CASE("an accepting end without descriptors that nobody waits for is not short of them") {
  completion_port port;
  auto l = listen_fast(port);
  const raw_peer plain = raw_peer::connect(l.local_endpoint().value());
  const few_descriptors for_the_stream{1};
  CHECK(accept(port, l).path_reason() == path_reason::peer_did_not_ask);
}

TEST_CASE("an accepting end without a descriptor for memory says so, and has the next memory") {
  completion_port port;
  completion_port other;
  auto l = listen_fast(port);
  fairway::stream c = dialled_fast(other, l.local_endpoint().value());
  {
    const few_descriptors for_the_process{1};
    look_around(port);
  }
  auto a = accept(port, l);
  CHECK(a.path() == path::tcp);
  CHECK(a.path_reason() == path_reason::no_descriptors);
  exchange_words(port, a, other, c);
  check_fast(port, l, other);
  CHECK(c.path() == path::tcp);
}

TEST_CASE("an accepting end beyond its limit of memory says so, and has it when there is more") {
  const std::size_t before = fairway::loopback_memory();
  {
    completion_port port;
    completion_port other;
    auto l = listen_fast(port);
    fairway::set_loopback_memory_max(before + 3'000'000);  // enough for the connecting end alone
    fairway::stream c = dialled_fast(other, l.local_endpoint().value());
    for (int i = 0; i < 3; ++i) {
      if (i != 0) c = dialled_fast(other, l.local_endpoint().value());
      CHECK(c.path_reason() == path_reason::not_yet);
      auto a = accept(port, l);
      CHECK(a.path() == path::tcp);
      CHECK(a.path_reason() == path_reason::no_memory);
      exchange_words(port, a, other, c);
      // Who did not ask is told so meanwhile.
      CHECK(told_to_stranger(port, l) == path_reason::peer_did_not_ask);
    }
    fairway::set_loopback_memory_max(fairway::loopback_memory_usual);
    check_fast(port, l, other);
  }
  CHECK(fairway::loopback_memory() == before);
}

TEST_CASE("a connector at its limit of memory gives up what it keeps for listeners it left") {
  const std::size_t before = fairway::loopback_memory();
  {
    completion_port port;
    completion_port other;
    std::vector<fairway::listener> all;
    for (int i = 0; i < 4; ++i) all.push_back(listen_fast(port));
    check_fast(port, all[0], other);
    // What each of the two ends has for one listener.
    const std::size_t each = (fairway::loopback_memory() - before) / 2;
    REQUIRE(each > 0);
    std::optional<memory_left> for_one_more{std::in_place, 2 * each};
    auto [used_by, used] = fast_ends_of(port, all[1], other);
    look_around(other);
    const std::size_t two_links = descriptors_in_use();
    for (int i = 2; i < 4; ++i) {
      fairway::stream c = dialled_fast(other, all[i].local_endpoint().value());
      CHECK(c.path_reason() == path_reason::not_yet);
      look_around(port);  // it sees that the links have ended
      fairway::stream a = accept(port, all[i]);
      take_part(port, a);
      exchange_words(port, a, other, c);
      CHECK(c.path() == path::shared_memory);
    }
    look_around(port);
    look_around(other);
    // Those of the listener that was left last and of the connection that lives.
    CHECK(descriptors_in_use() == two_links);
    exchange_words(port, used_by, other, used);
    CHECK(fairway::loopback_memory() <= before + 4 * each);
    for_one_more.reset();
    check_fast(port, all[0], other);
  }
  CHECK(fairway::loopback_memory() == before);
}

TEST_CASE("memory that waits until there is room for it has been looked at already") {
  const int status = in_child([] {
    completion_port port;
    completion_port other;
    auto l = listen_fast(port);
    {
      const memory_left for_one{3'000'000};
      fairway::stream c = dialled_fast(other, l.local_endpoint().value());
      if (accept(port, l).path_reason() != path_reason::no_memory) return 1;
      if (!forbid_fstatfs()) return 77;
    }
    fairway::stream c = dialled_fast(other, l.local_endpoint().value());
    fairway::stream a = accept(port, l);
    return a.path_reason() == path_reason::not_yet ? 0 : 2;
  });
  if (status == 77) {
    std::puts("SKIP: system calls cannot be filtered here");
    return;
  }
  CHECK(status == 0);
}

TEST_CASE("memory that waits for room is not kept for a listener that has closed") {
  completion_port port;
  completion_port other;
  auto l = listen_fast(port);
  fairway::stream c = dialled_fast(other, l.local_endpoint().value(), alone);
  fairway::stream a = accept(port, l);
  take_part(port, a);
  const memory_left for_one{arena_alone};
  fairway::stream late_c = dialled_fast(other, l.local_endpoint().value(), alone);
  fairway::stream late_a = accept(port, l);
  REQUIRE(late_a.path_reason() == path_reason::no_memory);
  const std::size_t before = descriptors_in_use();
  l.close();
  drain(port);
  // Its socket, the rendezvous, the mark, and the memory.
  CHECK(descriptors_in_use() == before - 4);
  exchange_words(port, a, other, c);
}

TEST_CASE("memory that waits for room is not kept when the other process has gone") {
  completion_port port;
  auto l = listen_fast(port);
  const endpoint at = l.local_endpoint().value();
  fairway::stream a;
  std::size_t before = 0;
  {
    completion_port other;
    fairway::stream c = dialled_fast(other, at, alone);
    a = accept(port, l);
    take_part(port, a);
    const memory_left for_one{arena_alone};
    fairway::stream late_c = dialled_fast(other, at, alone);
    REQUIRE(accept(port, l).path_reason() == path_reason::no_memory);
    drain(port);
    before = descriptors_in_use();
  }
  const std::size_t without_other = descriptors_in_use();
  CHECK(without_other < before);
  look_around(port);
  // The link and the memory.
  CHECK(descriptors_in_use() == without_other - 2);
}

TEST_CASE("the memory of a process that has gone is given back, though the listener lives on") {
  const std::size_t before = fairway::loopback_memory();
  completion_port port;
  auto l = listen_fast(port);
  {
    completion_port other;
    check_fast(port, l, other);
  }
  CHECK(fairway::loopback_memory() > before);
  look_around(port);
  CHECK(fairway::loopback_memory() == before);
}

TEST_CASE("memory that comes for a listener that has closed is not taken") {
  completion_port port;
  auto l = listen_fast(port);
  path_reason why{};
  const int link = shm::system::connect_to(rendezvous_of(l.local_endpoint().value()), why);
  REQUIRE(link >= 0);
  look_around(port);
  l.close();
  drain(port);
  auto [memory, fd] = shm::system::make_arena({4, shm::ring_bytes_usual}, why);
  REQUIRE(memory != nullptr);
  memory->initialise();
  const std::size_t before = fairway::loopback_memory();
  CHECK(shm::system::send_arena(link, fd, memory->shape()));
  look_around(port);
  CHECK(fairway::loopback_memory() == before);
  shm::system::close_memory(fd);
  shm::system::close_memory(link);
}

TEST_CASE("an offer of a process that has gone is nobody else's") {
  // As of a connection that another listener of the same endpoint had (SO_REUSEPORT).
  for (const bool seen : {false, true}) {
    CAPTURE(seen);
    completion_port port;
    auto l = listen_fast(port);
    const endpoint at = l.local_endpoint().value();
    raw_peer plain = raw_peer::bound(endpoint::loopback_v4(0));
    {
      path_reason why{};
      const int link = shm::system::connect_to(rendezvous_of(at), why);
      REQUIRE(link >= 0);
      auto [memory, fd] = shm::system::make_arena({4, shm::ring_bytes_usual}, why);
      REQUIRE(memory != nullptr);
      memory->initialise();
      CHECK(shm::system::send_arena(link, fd, memory->shape()));
      shm::slot_pool slots;
      slots.add(memory);
      const shm::slot_use use = slots.take();
      shm::slot_pool::offer(use, {shm::address_of(plain.local()), shm::address_of(at)});
      shm::switch_machine{use.place(shm::side::connector)}.connected();
      look_around(port);
      // With the next connection the listener comes to know of all offers.
      const raw_peer next = raw_peer::connect(at);
      accept(port, l).close();
      shm::system::close_memory(fd);
      shm::system::close_memory(link);
    }
    if (seen) look_around(port);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(at.port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int connected = ::connect(static_cast<int>(plain.handle()),
                                    reinterpret_cast<const sockaddr*>(&to), sizeof to);
    CHECK((connected == 0 || errno == EINPROGRESS));
    auto a = accept(port, l);
    CHECK(a.path_reason() == path_reason::peer_did_not_ask);
    say(port, a, "x");
    CHECK(a.path() == path::tcp);
    CHECK(read_exactly(port, plain, 1) == "x");
  }
}

TEST_CASE("an offer of a process that has broken a ring is not taken, though it came before") {
  completion_port port;
  completion_port other;
  auto l = listen_fast(port);
  fairway::stream c = dialled_fast(other, l.local_endpoint().value());
  fairway::stream next_c = dialled_fast(other, l.local_endpoint().value());
  fairway::stream a = accept(port, l);
  take_part(port, a);
  exchange_words(port, a, other, c);
  REQUIRE(!arenas_here().empty());
  // The first connection has the first slot; each mapping is of the same memory.
  auto* const memory = reinterpret_cast<std::byte*>(arenas_here().front().first);
  const shm::arena_shape shape{16, shm::ring_bytes_usual};
  auto& slot = *reinterpret_cast<shm::slot_header*>(memory + shape.header_at(0));
  slot.ways[shm::index_of(shm::side::connector)].tail.store(std::uint64_t{1} << 40);
  char room = 0;
  outcome got;
  a.async_read_some(asio::buffer(&room, 1), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == fairway::error::peer_broke_the_ring);
  fairway::stream next_a = accept(port, l);
  CHECK(next_a.path_reason() == path_reason::peer_broke_rules);
  exchange_words(port, next_a, other, next_c);
  CHECK(next_a.path() == path::tcp);
}

TEST_CASE("a listener that comes again in its process has the fast path with the next connect") {
  completion_port port;
  completion_port other;  // runs only while it connects
  const endpoint at = free_endpoint();
  for (int i = 0; i < 3; ++i) {
    auto l = listen(port, at, {.loopback = fairway::loopback::shared_memory});
    check_fast(port, l, other);
    l.close();
    drain(port);
  }
}

TEST_CASE("of listeners that share an endpoint one has the name, and the others are TCP") {
  completion_port port;
  const fairway::listen_options sharing{.reuse_port = true,
                                       .loopback = fairway::loopback::shared_memory};
  auto first = listen(port, endpoint::loopback_v4(0), sharing);
  const endpoint at = first.local_endpoint().value();
  auto second = listen(port, at, sharing);
  accepted by_first;
  accepted by_second;
  first.async_accept(by_first.record());
  second.async_accept(by_second.record());
  std::size_t of_second = 0;
  // One of two, by a hash of the endpoints: that one of them gets none of 64 is as good as never.
  for (int i = 0; i < 64; ++i) {
    fairway::stream c = dialled_fast(port, at);
    pump(port, [&] { return by_first.done() || by_second.done(); });
    const bool named = by_first.done();
    accepted& got = named ? by_first : by_second;
    fairway::stream a = std::move(got.value);
    got = {};
    if (named) {
      take_part(port, a);
      first.async_accept(by_first.record());
    } else {
      ++of_second;
      CHECK(a.path_reason() == path_reason::name_taken);
      second.async_accept(by_second.record());
    }
    exchange_words(port, a, port, c);
    CHECK(c.path() == (named ? path::shared_memory : path::tcp));
  }
  CHECK(of_second > 0);
  CHECK(of_second < 64);
  first.close();
  second.close();
  drain(port);
}

TEST_CASE("a source that the user bound is offered as it is") {
  completion_port port;
  const endpoint source = free_endpoint();
  auto [a, c] = connect_fast(port, port, {.source = source});
  CHECK(c.local_endpoint().value() == source);
  take_part(port, a);
  exchange_words(port, a, port, c);
  CHECK(c.path() == path::shared_memory);
}

TEST_CASE("who listens for IPv4 alone is not asked about a connection over IPv6") {
  if (!has_ipv6()) return;
  completion_port port;
  // A port that is free for IPv6 may be another program's for IPv4: then another one.
  std::vector<fairway::listener> plain;
  std::optional<fairway::listener> for_v4;
  while (!for_v4 && plain.size() < 200) {
    plain.push_back(listen(port, endpoint::loopback_v6(0)));
    auto found = fairway::listener::open(
        port, endpoint::any_v4(plain.back().local_endpoint().value().port()),
        {.loopback = fairway::loopback::shared_memory});
    if (found) {
      for_v4 = std::move(found).value();
    } else {
      REQUIRE(found.error() == fairway::condition::address_in_use);
    }
  }
  REQUIRE(for_v4.has_value());
  fairway::stream c = dialled_fast(port, plain.back().local_endpoint().value());
  CHECK(c.path_reason() == path_reason::peer_did_not_ask);
}
