// Other processes at the rendezvous: of another user, in other namespaces, with memory that is not
// what it should be, and copies of this one made by fork.

#include "support/child.hpp"
#include "support/shared_memory.hpp"

#include "loopback/address.hpp"
#include "loopback/system.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::endpoint;
using fairway::loopback;
using fairway::path;
using fairway::path_reason;
namespace shm = fairway::detail::shm;

namespace {

constexpr fairway::listen_options wanted{.loopback = loopback::shared_memory};

void send(completion_port& port, fairway::stream& to, std::string_view bytes) {
  outcome put;
  asio::async_write(to, asio::buffer(bytes), put.record());
  pump(port, [&] { return put.done(); });
  CHECK(!put.ec);
}

char receive_byte(completion_port& port, fairway::stream& from) {
  char byte = 0;
  outcome got;
  asio::async_read(from, asio::buffer(&byte, 1), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(!got.ec);
  return byte;
}

// In a child: connects to `to`, and says what its path is. The first byte from there can be sent
// before the acceptor knows that this end is connected; it knows when it has the answer, so that
// the path is settled for both with the byte that comes next.
int answer_path(const endpoint& to) {
  completion_port port;
  accepted made = dial_fast(port, to);
  if (made.ec) return 1;
  if (receive_byte(port, made.value) != 'x') return 2;
  send(port, made.value, "y");
  if (receive_byte(port, made.value) != 'z') return 3;
  send(port, made.value, to_string(made.value.path_reason()));
  return 0;
}

// What a child says that connects after `prepare`; empty when `prepare` could not be done.
template <class Prepare>
std::string path_of_child(Prepare prepare) {
  completion_port port;
  auto l = listen(port, endpoint::loopback_v4(0), wanted);
  const endpoint at = l.local_endpoint().value();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(prepare() ? answer_path(at) : 100);
  std::string said;
  int status = 0;
  accepted got;
  l.async_accept(got.record());
  pump(port, [&] { return got.done() || ::waitpid(child, &status, WNOHANG) == child; });
  if (!got.done()) return {};
  REQUIRE(!got.ec);
  send(port, got.value, "x");
  CHECK(receive_byte(port, got.value) == 'y');
  send(port, got.value, "z");
  std::array<char, 200> room{};
  outcome all;
  asio::async_read(got.value, asio::buffer(room), all.record());
  pump(port, [&] { return all.done(); });
  said.assign(room.data(), all.bytes);
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  return said;
}

// A header as a correct connector writes it.
struct header {
  std::uint64_t magic = shm::arena_magic;
  std::uint32_t version = shm::protocol_version;
  std::uint32_t slots = 4;
  std::uint64_t ring_bytes = shm::ring_bytes_usual;
  std::uint64_t total_bytes = shm::arena_shape{4, shm::ring_bytes_usual}.total();
};

constexpr int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

int memory(const header& head, std::size_t size, int seals, unsigned flags = 0) {
  const int fd = ::memfd_create("bad", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
  if (fd < 0) return -1;
  REQUIRE(::ftruncate(fd, static_cast<off_t>(size)) == 0);
  if (flags == 0) REQUIRE(::pwrite(fd, &head, sizeof head, 0) == sizeof head);
  REQUIRE(::fcntl(fd, F_ADD_SEALS, seals) == 0);
  return fd;
}

}  // namespace

TEST_CASE("memory that is not what it should be is never mapped") {
  const header good;
  path_reason why{};
  const auto refused = [&](int fd, path_reason expected) {
    REQUIRE(fd >= 0);
    CHECK(!shm::system::shape_of(fd, why));
    CHECK(why == expected);
    ::close(fd);
  };
  {
    const int fd = memory(good, good.total_bytes, all_seals);
    const auto shape = shm::system::shape_of(fd, why);
    REQUIRE(shape);
    CHECK(shm::system::map_arena(fd, *shape, why) != nullptr);
    // The header may have changed since.
    header wrong = good;
    wrong.magic = 1;
    REQUIRE(::pwrite(fd, &wrong, sizeof wrong, 0) == sizeof wrong);
    CHECK(shm::system::map_arena(fd, *shape, why) == nullptr);
    CHECK(why == path_reason::peer_broke_rules);
    ::close(fd);
  }
  refused(memory(good, good.total_bytes - 4096, all_seals), path_reason::peer_broke_rules);
  refused(memory(good, good.total_bytes + 4096, all_seals), path_reason::peer_broke_rules);
  refused(memory(good, 40, all_seals), path_reason::peer_broke_rules);
  refused(memory(good, good.total_bytes, F_SEAL_GROW | F_SEAL_SEAL),
          path_reason::peer_broke_rules);
  refused(memory(good, good.total_bytes, F_SEAL_SHRINK | F_SEAL_GROW),
          path_reason::peer_broke_rules);
  header wrong = good;
  wrong.version = 2;
  refused(memory(wrong, good.total_bytes, all_seals), path_reason::other_version);
  wrong = good;
  wrong.magic = 1;
  refused(memory(wrong, good.total_bytes, all_seals), path_reason::other_version);
  wrong = good;
  wrong.slots = 0xffff'ffff;
  refused(memory(wrong, good.total_bytes, all_seals), path_reason::peer_broke_rules);
  wrong = good;
  wrong.ring_bytes = 3000;
  refused(memory(wrong, good.total_bytes, all_seals), path_reason::peer_broke_rules);
  wrong = good;
  wrong.total_bytes = 1;
  refused(memory(wrong, good.total_bytes, all_seals), path_reason::peer_broke_rules);
  if (const int huge = memory(good, 4 << 20, all_seals, MFD_HUGETLB); huge >= 0) {
    refused(huge, path_reason::peer_broke_rules);
  }
  char name[] = "/tmp/fairway-test-XX" "XX" "XX";
  const int file = ::mkstemp(name);
  REQUIRE(file >= 0);
  ::unlink(name);
  REQUIRE(::pwrite(file, &good, sizeof good, 0) == sizeof good);
  REQUIRE(::ftruncate(file, static_cast<off_t>(good.total_bytes)) == 0);
  refused(file, path_reason::peer_broke_rules);
  refused(::open("/dev/zero", O_RDWR | O_CLOEXEC), path_reason::peer_broke_rules);
}

TEST_CASE("nonsense at the rendezvous costs nothing and stops nobody else") {
  completion_port port;
  auto l = listen(port, endpoint::loopback_v4(0), wanted);
  const endpoint at = l.local_endpoint().value();
  const std::size_t before = fairway::loopback_memory();
  {
    path_reason why{};
    std::vector<int> links;
    const header good;
    for (int i = 0; i < 8; ++i) {
      links.push_back(shm::system::connect_to(rendezvous_of(at), why));
      REQUIRE(links.back() >= 0);
      const int fd = i % 2 == 0 ? memory(good, 8192, all_seals) : ::open("/dev/null", O_RDONLY);
      CHECK(shm::system::send_arena(links.back(), fd, {}));
      shm::system::send_note(links.back(), shm::system::note::bell);
      shm::system::send_note(links.back(), static_cast<shm::system::note>('?'));
      ::close(fd);
    }
    auto plain = raw_peer::connect(at);
    auto a = accept(port, l);
    CHECK(a.path_reason() == path_reason::peer_did_not_ask);
    for (const int fd : links) ::close(fd);
    accepted made = dial_fast(port, at);
    REQUIRE(!made.ec);
    auto b = accept(port, l);
    take_part(port, b);
  }
  drain(port);
  CHECK(fairway::loopback_memory() > before);  // of the good connection, for the next ones
}

TEST_CASE("an arena that comes without its memory is nobody's want of descriptors") {
  completion_port port;
  auto l = listen(port, endpoint::loopback_v4(0), wanted);
  const endpoint at = l.local_endpoint().value();
  path_reason why{};
  const int link = shm::system::connect_to(rendezvous_of(at), why);
  REQUIRE(link >= 0);
  const char text[8] = {static_cast<char>(shm::system::note::arena), 0, 0, 0, 1, 0, 0, 0};
  static_assert(shm::protocol_version == 1);
  CHECK(::send(link, text, sizeof text, MSG_NOSIGNAL) == sizeof text);
  const raw_peer plain = raw_peer::connect(at);
  CHECK(accept(port, l).path_reason() == path_reason::peer_did_not_ask);
  ::close(link);
}

TEST_CASE("who has the name of a rendezvous or of its mark first keeps the listener TCP") {
  for (const int type : {SOCK_SEQPACKET, SOCK_DGRAM}) {
    CAPTURE(type);
    completion_port port;
    const endpoint at = free_endpoint();
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const std::string text = rendezvous_of(at);
    text.copy(name.sun_path + 1, text.size());
    const int taken = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    REQUIRE(::bind(taken, reinterpret_cast<const sockaddr*>(&name), size) == 0);
    auto l = listen(port, at, wanted);
    accepted made = dial_fast(port, at);
    REQUIRE(!made.ec);
    auto a = accept(port, l);
    CHECK(a.path_reason() == path_reason::name_taken);
    CHECK(made.value.path_reason() == path_reason::peer_did_not_ask);
    say(port, made.value, "hello");
    CHECK(hear(port, a, 5) == "hello");
    ::close(taken);
  }
}

TEST_CASE("a listener leaves neither its name nor its mark behind") {
  completion_port port;
  const endpoint at = free_endpoint();
  for (int i = 0; i < 3; ++i) {
    completion_port other;  // knows nothing of the listener before
    auto l = listen(port, at, wanted);
    accepted made = dial_fast(other, at);
    REQUIRE(!made.ec);
    auto a = accept(port, l);
    take_part(port, a);
    l.close();
    drain(port);
    path_reason why{};
    CHECK(shm::system::connect_to(rendezvous_of(at), why) < 0);
    CHECK(why == path_reason::peer_did_not_ask);
  }
}

TEST_CASE("a connector of another user stays TCP") {
  if (::geteuid() != 0) {
    std::puts("SKIP: only root can become another user");
    return;
  }
  const std::string said = path_of_child([] { return ::setuid(1) == 0; });
  CHECK(said == to_string(path_reason::other_user));
}

TEST_CASE("other mount, IPC and pid namespaces do not matter") {
  const std::string said = path_of_child([] {
    if (::unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID) != 0) return false;
    const pid_t inside = ::fork();  // the first of its pid namespace
    if (inside == 0) return true;
    int status = 1;
    ::waitpid(inside, &status, 0);
    ::_exit(status == 0 ? 0 : 1);
  });
  if (said.empty()) {
    std::puts("SKIP: namespaces need privileges that this process does not have");
    return;
  }
  CHECK(said == to_string(path_reason::none));
}

TEST_CASE("in a user namespace that does not know its user a connector stays TCP") {
  const std::string said = path_of_child([] { return ::unshare(CLONE_NEWUSER) == 0; });
  if (said.empty()) {
    std::puts("SKIP: user namespaces are not allowed here");
    return;
  }
  CHECK(said == to_string(path_reason::other_user));
}

TEST_CASE("a child made by fork lets go of its copies without a trace") {
  completion_port port;
  auto l = std::make_unique<fairway::listener>(listen(port, endpoint::loopback_v4(0), wanted));
  accepted made = dial_fast(port, l->local_endpoint().value());
  REQUIRE(!made.ec);
  auto a = accept(port, *l);
  take_part(port, a);
  const auto exchange = [&](fairway::stream& from, fairway::stream& to) {
    outcome put;
    asio::async_write(from, asio::buffer("ping", 4), put.record());
    char room[4];
    outcome got;
    asio::async_read(to, asio::buffer(room), got.record());
    pump(port, [&] { return put.done() && got.done(); });
    CHECK(!put.ec);
    CHECK(!got.ec);
  };
  exchange(a, made.value);
  const int status = in_child([&] {
    if (a.shutdown(fairway::shutdown_kind::send)) return 1;
    if (a.release()) return 2;
    a.close();
    made.value.close();
    l->close();
    return 0;
  });
  CHECK(status == 0);
  exchange(a, made.value);
  exchange(made.value, a);
  accepted again = dial_fast(port, l->local_endpoint().value());
  REQUIRE(!again.ec);
  auto b = accept(port, *l);
  take_part(port, b);
}

TEST_CASE("after a kill nothing of the fast path is left in the system") {
  int told[2];
  REQUIRE(::pipe(told) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    completion_port port;
    auto l = listen(port, endpoint::loopback_v4(0), wanted);
    accepted made = dial_fast(port, l.local_endpoint().value());
    auto a = accept(port, l);
    take_part(port, a);
    const std::string name = rendezvous_of(l.local_endpoint().value());
    (void)!::write(told[1], name.data(), name.size());
    for (;;) ::pause();
  }
  char room[200];
  const auto size = ::read(told[0], room, sizeof room);
  REQUIRE(size > 0);
  const std::string name(room, static_cast<std::size_t>(size));
  const auto listed = [&] {
    std::ifstream all{"/proc/net/unix"};
    for (std::string line; std::getline(all, line);) {
      if (line.find(name) != std::string::npos) return true;
    }
    return false;
  };
  CHECK(listed());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  // The kernel takes the rings of io_uring down, and what they hold, after the process.
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (listed() && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  CHECK(!listed());
  for (const auto& entry : std::filesystem::directory_iterator{"/dev/shm"}) {
    CHECK(entry.path().string().find("fairway-loopback") == std::string::npos);
  }
  for (const int fd : told) ::close(fd);
}
