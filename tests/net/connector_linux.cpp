// Connects that need something of Linux: a network of the test's own, a limit, a unix-domain path.

#include <fairway/net/connector.hpp>
#include <fairway/net/listener.hpp>

#include "connecting.hpp"
#include "open_files.hpp"
#include "support/limits.hpp"

#include <fairway/result.hpp>

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace connecting;
using fairway::condition;
namespace net_error = boost::asio::error;

/// Brings the loopback interface of this thread's network up.
bool raise_loopback() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP;
  const bool done = ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  ::close(fd);
  return done;
}

/// Runs `test` on a thread whose network has a loopback interface and nothing else: no packet can
/// leave. Sockets made there stay there.
template <class Test>
void with_own_network(Test test) {
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0 || !raise_loopback()) {
      std::puts("SKIP: a network namespace needs privileges that this process does not have");
      return;
    }
    test();
  }).join();
}

/// A directory that is empty at first and gone at last.
struct scratch_directory {
  scratch_directory() : path(std::filesystem::temp_directory_path().string()) {
    path += "/connect" + std::string(6, 'X');
    REQUIRE(::mkdtemp(path.data()) != nullptr);
  }
  ~scratch_directory() { std::filesystem::remove_all(path); }
  std::string path;
};

connect_end connect_to(const endpoint& target) {
  completion_port port;
  connector dial(port);
  connect_end got;
  dial.async_connect(target, got.store());
  port.run();
  CHECK(got.done);
  return got;
}

}  // namespace

TEST_CASE("an address without a route is unreachable") {
  with_own_network([] {
    // Both are reserved for documentation (RFC 5737, RFC 3849).
    for (const char* text : {"192.0.2.1:1", "[2001:db8::1]:1"}) {
      CHECK(connect_to(endpoint::parse(text).value()).ec == condition::unreachable);
    }
  });
}

TEST_CASE("after an address without a route the next is tried at once") {
  with_own_network([] {
    peer there;
    completion_port port;
    connector dial(port);
    connect_end got;
    const endpoint targets[] = {endpoint::parse("[2001:db8::1]:1").value(), there.address()};
    dial.async_connect(targets, got.store());
    port.run();
    CHECK_FALSE(got.ec);
    CHECK(dial.attempts().size() == 2);
    CHECK(dial.attempts()[0].error == condition::unreachable);
  });
}

TEST_CASE("a socket that the system connects to itself is refused") {
  with_own_network([] {
    endpoint target;
    {
      const refusing chosen;
      target = chosen.address();
    }
    // The one port that is left for the system to choose is the one that is connected to.
    const std::string only = std::to_string(target.port());
    std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
    range << only << ' ' << only << std::endl;
    if (!range) {
      std::puts("SKIP: the range of local ports cannot be set here");
      return;
    }
    CHECK(connect_to(target).ec == net_error::connection_refused);
  });
}

TEST_CASE("without a free descriptor a connect fails and says so") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const peer there;
  completion_port port;
  connector dial(port);
  connect_end got;
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(next);
  rlimit used_up = before;
  used_up.rlim_cur = static_cast<rlim_t>(next);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &used_up) == 0);
  dial.async_connect(there.address(), got.store());
  port.run();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(got.ec == condition::no_descriptors);
  CHECK(dial.attempts().size() == 1);
}

TEST_CASE("a unix-domain path connects") {
  const scratch_directory directory;
  const std::string path = directory.path + "/there";
  boost::asio::io_context context;
  boost::asio::local::stream_protocol::acceptor acceptor(context, path);
  connect_end got = connect_to(endpoint::local(path).value());
  CHECK_FALSE(got.ec);
}

TEST_CASE("a unix-domain connect waits for room in the listener's backlog") {
  const open_files files;
  const scratch_directory directory;
  const auto there = endpoint::local(directory.path + "/full").value();
  {
    completion_port port;
    auto l = fairway::listener::open(port, there, {.backlog = 1}).value();
    std::array<connect_end, 8> got;
    std::vector<std::unique_ptr<connector>> dials;
    for (connect_end& each : got) {
      dials.push_back(std::make_unique<connector>(port));
      dials.back()->async_connect(there, each.store());
    }
    const auto ended = [&] {
      return std::count_if(got.begin(), got.end(),
                           [](const connect_end& each) { return each.done; });
    };
    const auto limit = std::chrono::steady_clock::now() + support::guard_time;
    const auto run_until = [&](auto done) {
      while (!done() && std::chrono::steady_clock::now() < limit) port.run_one_until(limit);
    };
    // The backlog has room for a few. Of those that wait one gives up.
    run_until([&] { return ended() >= 2; });
    CHECK_FALSE(got.back().done);
    dials.back()->cancel();
    run_until([&] { return got.back().done; });
    CHECK(got.back().ec == condition::aborted);
    CHECK(ended() < static_cast<long>(got.size()));
    std::vector<stream> accepted;
    std::function<void(error_code, stream)> take = [&](error_code ec, stream s) {
      if (ec) return;
      accepted.push_back(std::move(s));
      l.async_accept(take);
    };
    l.async_accept(take);
    run_until([&] { return accepted.size() == got.size() - 1 && ended() == 8; });
    CHECK(accepted.size() == got.size() - 1);
    for (const connect_end& each : got) CHECK((&each == &got.back()) == each.ec.failed());
    l.close();
    port.run_until(limit);
  }
  CHECK(files.are_as_before());
}

TEST_CASE("a unix-domain path that nobody listens on fails and leaks nothing") {
  const open_files files;
  const scratch_directory directory;
  const connect_end got = connect_to(endpoint::local(directory.path + "/nobody").value());
  CHECK(got.ec == boost::system::errc::no_such_file_or_directory);
  CHECK(files.are_as_before());
}
