// What the fast path has of Windows: named memory that others may have named first, bells on TCP,
// and a process at the other end that dies.

#include "support/shared_memory.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstdlib>

#include "loopback/system.hpp"
#include "loopback/windows/section.hpp"

#include <windows.h>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::endpoint;
using fairway::loopback;
using fairway::path;
using fairway::path_reason;
namespace shm = fairway::detail::shm;

namespace {

constexpr shm::arena_shape usual{1, shm::ring_bytes_usual};
const std::string name = "Local\\fairway-test-" + std::to_string(::GetCurrentProcessId());

std::string name_of(const endpoint& e) { return shm::address_of(e).text(); }

// A port that was free a moment ago.
endpoint free_endpoint() { return raw_peer::bound(endpoint::loopback_v4(0)).local(); }

void check_tcp_works(completion_port& port, fast_ends& both) {
  outcome put;
  asio::async_write(both.c, asio::buffer("hello", 5), put.record());
  std::array<char, 8> room{};
  outcome got;
  both.a.async_read_some(asio::buffer(room), got.record());
  pump(port, [&] { return put.done() && got.done(); });
  CHECK(std::string(room.data(), got.bytes) == "hello");
  CHECK(both.a.path() == path::tcp);
  CHECK(both.c.path() == path::tcp);
}

const char child_variable[] = "FAIRWAY_TEST_CHATTER";

struct child {
  PROCESS_INFORMATION info{};

  explicit child(const endpoint& to) {
    ::SetEnvironmentVariableA(child_variable, to.to_string().c_str());
    char program[MAX_PATH] = {};
    ::GetModuleFileNameA(nullptr, program, sizeof program);
    std::string line = '"' + std::string{program} + "\" --test-case=\"a child*\"";
    STARTUPINFOA how{};
    how.cb = sizeof how;
    REQUIRE(::CreateProcessA(program, line.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr,
                             &how, &info) != FALSE);
    ::SetEnvironmentVariableA(child_variable, nullptr);
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() {
    kill();
    ::CloseHandle(info.hThread);
    ::CloseHandle(info.hProcess);
  }
  void kill() const {
    ::TerminateProcess(info.hProcess, 9);
    ::WaitForSingleObject(info.hProcess, INFINITE);
  }
};

// Echoes until the stream ends; tells how.
coroutine<void> echo(fairway::stream& s, error_code& how, std::size_t& bytes) {
  std::array<char, 4096> room;
  for (;;) {
    auto got = co_await s.async_read_some(asio::buffer(room));
    if (!got) {
      how = got.error();
      co_return;
    }
    bytes += got.value();
    if (auto put = co_await fairway::async_write(s, asio::buffer(room, got.value())); !put) {
      how = put.error();
      co_return;
    }
  }
}

}  // namespace

TEST_CASE("what was made under a name is found under it, by the same user") {
  path_reason why{};
  auto made = shm::system::make_section(name, usual, why);
  REQUIRE(made.memory != nullptr);
  auto found = shm::system::open_section(name, why);
  REQUIRE_MESSAGE(found != nullptr, to_string(why));
  made.memory->header().offers.store(7, std::memory_order_relaxed);
  CHECK(found->header().offers.load(std::memory_order_relaxed) == 7);
  CHECK(fairway::loopback_memory() == 2 * usual.total());

  CHECK(shm::system::make_section(name, usual, why).memory == nullptr);
  CHECK(why == path_reason::name_taken);
  made.name = {};
  CHECK(shm::system::open_section(name, why) == nullptr);
  CHECK(why == path_reason::peer_did_not_ask);
  made.memory = nullptr;
  found = nullptr;
  CHECK(fairway::loopback_memory() == 0);
}

TEST_CASE("a section whose header lies is not used") {
  path_reason why{};
  auto made = shm::system::make_section(name, usual, why);
  shm::arena_header& header = made.memory->header();
  const auto refused = [&](path_reason reason) {
    CHECK(shm::system::open_section(name, why) == nullptr);
    CHECK(why == reason);
    made.memory->initialise();
  };
  header.version = 2;
  refused(path_reason::other_version);
  header.magic = 0;
  refused(path_reason::other_version);
  header.slots = 0;
  refused(path_reason::peer_broke_rules);
  header.slots = 2;  // more than its size has room for
  refused(path_reason::peer_broke_rules);
  header.ring_bytes = 4096;
  refused(path_reason::peer_broke_rules);
  header.ring_bytes = 5000;
  refused(path_reason::peer_broke_rules);
  header.total_bytes = 0;
  refused(path_reason::peer_broke_rules);
  CHECK(shm::system::open_section(name, why) != nullptr);
}

TEST_CASE("whoever names the memory of a connection first gets none of it") {
  completion_port port;
  const endpoint target = free_endpoint();
  const endpoint source = free_endpoint();
  const std::string taken = "Local\\fairway-loopback-1-" + name_of(source) + "-" + name_of(target);
  auto l = listen(port, target, {.loopback = loopback::shared_memory});
  const HANDLE squatted =
      ::CreateFileMappingA(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0,
                           static_cast<DWORD>(usual.total()), taken.c_str());
  REQUIRE(squatted != nullptr);
  auto dialled = dialled_fast(port, target, {.source = source});
  fast_ends both{accept(port, l), std::move(dialled)};
  CHECK(both.c.path_reason() == path_reason::name_taken);
  const path_reason seen = both.a.path_reason();
  // An owner that nobody named is none under Wine, and the same user elsewhere.
  CHECK((seen == path_reason::other_user || seen == path_reason::other_version));
  check_tcp_works(port, both);
  ::CloseHandle(squatted);
}

TEST_CASE("a listener whose mark is taken is TCP") {
  completion_port port;
  const endpoint target = free_endpoint();
  const std::string taken = "Local\\fairway-loopback-1-listener-" + name_of(target);
  const HANDLE squatted = ::CreateEventA(nullptr, TRUE, FALSE, taken.c_str());
  REQUIRE(squatted != nullptr);
  auto l = listen(port, target, {.loopback = loopback::shared_memory});
  auto dialled = dialled_fast(port, target);
  fast_ends both{accept(port, l), std::move(dialled)};
  CHECK(both.a.path_reason() == path_reason::name_taken);
  check_tcp_works(port, both);
  ::CloseHandle(squatted);
}

TEST_CASE("a source that the user bound has shared memory as well") {
  completion_port port;
  auto [a, c] = connect_fast(port, port, {.source = free_endpoint()});
  take_part(port, a);
}

namespace {

// The acceptor's end, by hand: a plain socket and the section of the connection.
struct acceptor_by_hand {
  completion_port port;
  fairway::stream c;
  raw_peer tcp;
  std::shared_ptr<shm::arena> memory;

  acceptor_by_hand() {
    raw_peer listening = raw_peer::listen(endpoint::loopback_v4(0));
    const endpoint target = listening.local();
    const endpoint source = free_endpoint();
    path_reason why{};
    const auto mark = shm::system::make_mark(
        "Local\\fairway-loopback-1-listener-" + name_of(target), why);
    REQUIRE(static_cast<bool>(mark));
    c = dialled_fast(port, target, {.source = source});
    tcp = listening.accept();
    memory = shm::system::open_section(
        "Local\\fairway-loopback-1-" + name_of(source) + "-" + name_of(target), why);
    REQUIRE_MESSAGE(memory != nullptr, to_string(why));
  }
  void claim() {
    memory->slot(0).state.store(shm::state_word(1, shm::slot_state::accepted));
  }
  shm::direction& to_connector() {
    return memory->slot(0).ways[shm::index_of(shm::side::acceptor)];
  }
  // Claims after some bytes by TCP, and takes the token of a read that waits: a bell is owed.
  void take_token() {
    outcome put;
    asio::async_write(c, asio::buffer("by tcp", 6), put.record());
    pump(port, [&] { return put.done(); });
    c.async_read_some(asio::buffer(room), [](error_code, std::size_t) {});
    drain(port);
    claim();
    REQUIRE(to_connector().data_armed.exchange(0) == 1);
  }
  std::array<char, 8> room{};
};

// The close takes the token that the acceptor began with.
const std::string by_tcp_and_bell{"by tcp\0", 7};

}  // namespace

TEST_CASE("TCP is closed only after the bell that is owed, so that nothing it carries is lost") {
  acceptor_by_hand peer;
  peer.take_token();
  peer.c.close();
  drain(peer.port);
  std::string got;
  CHECK((read_exactly(peer.port, peer.tcp, 7) == by_tcp_and_bell));
  CHECK(peer.tcp.read(got) == raw_peer::event::nothing);
  peer.tcp.write("!");
  CHECK(read_to_end(peer.port, peer.tcp, got) == raw_peer::event::end);
  CHECK(got.empty());
}

TEST_CASE("a bell that never comes holds up a close for a second, and no run function longer") {
  acceptor_by_hand peer;
  peer.take_token();
  peer.c.close();
  const auto begun = std::chrono::steady_clock::now();
  peer.port.restart();
  peer.port.run();
  CHECK(std::chrono::steady_clock::now() - begun < 3s);
  CHECK((read_exactly(peer.port, peer.tcp, 7) == by_tcp_and_bell));
}

TEST_CASE("a bell for which no token was taken ends the stream") {
  acceptor_by_hand peer;
  peer.claim();
  peer.to_connector().switch_at.store(0);
  std::array<char, 8> room{};
  outcome got;
  peer.c.async_read_some(asio::buffer(room), got.record());
  drain(peer.port);
  peer.to_connector().data_armed.store(1);
  peer.tcp.write("!");
  pump(peer.port, [&] { return got.done(); });
  CHECK(got.bytes == 0);
  CHECK(got.ec);
}

TEST_CASE("a child chatters until it is killed") {
  const char* const to = std::getenv(child_variable);
  if (to == nullptr) return;
  completion_port port;
  asio::co_spawn(
      port,
      [](completion_port& p, endpoint at) -> coroutine<void> {
        fairway::connector dial{p, {.loopback = loopback::shared_memory}};
        auto s = co_await dial.async_connect(at);
        std::array<char, 3000> room{};
        while (s) {
          if (!co_await fairway::async_write(s.value(), asio::buffer(room))) break;
          if (!co_await s.value().async_read_some(asio::buffer(room))) break;
        }
      }(port, endpoint::parse(to).value()),
      asio::detached);
  port.run();
}

TEST_CASE("a peer that is killed ends the stream within a second, whatever it was doing") {
  completion_port port;
  seeded random{5};
  for (int i = 0; i < 5; ++i) {
    auto l = listen(port, endpoint::loopback_v4(0), {.loopback = loopback::shared_memory});
    const child other{l.local_endpoint().value()};
    auto s = accept(port, l);
    error_code how;
    std::size_t bytes = 0;
    bool ended = false;
    asio::co_spawn(port, echo(s, how, bytes), [&](std::exception_ptr) { ended = true; });
    const std::size_t enough = 1 + random.below(200'000);
    pump(port, [&] { return bytes >= enough || ended; });
    CHECK(!ended);
    CHECK(s.path() == path::shared_memory);
    other.kill();
    const auto killed = std::chrono::steady_clock::now();
    pump(port, [&] { return ended; });
    CHECK(std::chrono::steady_clock::now() - killed < 1s);
    CHECK((how == condition::eof || how == condition::reset));
    s.close();
    drain(port);
  }
  CHECK(fairway::loopback_memory() == 0);
}
