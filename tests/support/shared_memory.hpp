// What the tests of the fast path share: ends that ask for shared memory, and what is mapped of it.
#pragma once

#include "support/net.hpp"

#include <utility>

#if defined(__linux__)
#include "loopback/address.hpp"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>
#endif

namespace support {

inline fairway::listener listen_fast(
    fairway::completion_port& port,
    const fairway::endpoint& local = fairway::endpoint::loopback_v4(0)) {
  return listen(port, local, {.loopback = fairway::loopback::shared_memory});
}

// A connect that asks, whatever `options` say of it. Runs `port` until it has ended.
inline accepted dial_fast(fairway::completion_port& port, const fairway::endpoint& to,
                          fairway::connect_options options = {}) {
  options.loopback = fairway::loopback::shared_memory;
  fairway::connector dial{port, options};
  accepted made;
  dial.async_connect(to, made.record());
  pump(port, [&] { return made.done(); });
  return made;
}

inline fairway::stream dialled_fast(fairway::completion_port& port, const fairway::endpoint& to,
                                    const fairway::connect_options& options = {}) {
  accepted made = dial_fast(port, to, options);
  REQUIRE_MESSAGE(!made.ec, made.ec.message());
  return std::move(made.value);
}

struct fast_ends {
  fairway::stream a;  // accepted
  fairway::stream c;  // connected
};

// Both asked; what comes of it is the test's.
inline fast_ends connect_fast(fairway::completion_port& port_a, fairway::completion_port& port_c,
                              const fairway::connect_options& options = {}) {
  auto l = listen_fast(port_a);
  auto c = dialled_fast(port_c, l.local_endpoint().value(), options);
  return {accept(port_a, l), std::move(c)};
}

#if defined(__linux__)
// Where who listens at `at` is asked for the fast path.
inline std::string rendezvous_of(const fairway::endpoint& at) {
  namespace shm = fairway::detail::shm;
  return "fairway-loopback-1-" + shm::address_of(at).text();
}

// The mappings of arenas in this process.
inline std::vector<std::pair<std::uint64_t*, std::size_t>> arenas_here() {
  std::vector<std::pair<std::uint64_t*, std::size_t>> found;
  std::ifstream maps{"/proc/self/maps"};
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:fairway-loopback") == std::string::npos) continue;
    char* after = nullptr;
    const auto from = std::strtoull(line.c_str(), &after, 16);
    const auto to = std::strtoull(after + 1, nullptr, 16);
    found.emplace_back(reinterpret_cast<std::uint64_t*>(from), to - from);
  }
  return found;
}

// Where nobody listens: of a loopback address that is this process's own, so that no other test
// takes it meanwhile.
inline fairway::endpoint free_endpoint() {
  const auto process = static_cast<std::uint32_t>(::getpid());
  const boost::asio::ip::address_v4 own{0x7f01'0000u | (process & 0xffffu)};
  return raw_peer::bound(fairway::endpoint{own, 0}).local();
}
#endif

}  // namespace support
