// Control codes as Linux has them: the ring's socket commands, and changes of addresses that really
// happen, in a network namespace of the test's own.

#include "support/child.hpp"
#include "support/net.hpp"

#include <array>
#include <cstring>

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace support;
using fairway::async_control;
using fairway::condition;
using fairway::endpoint;
using fairway::endpoint_family;
using fairway::unconnected_socket;

namespace {

// Adds an IPv4 address to `lo`, or takes it away, and switches `lo` on.
bool change_address(const char* text, bool add) {
  struct {
    nlmsghdr head;
    ifaddrmsg body;
    rtattr local_head;
    in_addr local;
  } request{};
  request.head.nlmsg_len = sizeof request;
  request.head.nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR;
  request.head.nlmsg_flags =
      static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0));
  request.body.ifa_family = AF_INET;
  request.body.ifa_prefixlen = 32;
  request.body.ifa_index = ::if_nametoindex("lo");
  request.local_head.rta_type = IFA_LOCAL;
  request.local_head.rta_len = RTA_LENGTH(sizeof request.local);
  ::inet_pton(AF_INET, text, &request.local);
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return false;
  std::array<char, 512> answer{};
  const bool sent = ::send(fd, &request, sizeof request, 0) == ssize_t{sizeof request};
  const ssize_t got = sent ? ::recv(fd, answer.data(), answer.size(), 0) : -1;
  ::close(fd);
  nlmsgerr result{};
  if (got < ssize_t{sizeof(nlmsghdr) + sizeof result}) return false;
  std::memcpy(&result, answer.data() + sizeof(nlmsghdr), sizeof result);
  return result.error == 0;
}

bool switch_lo_on() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  bool done = ::ioctl(fd, SIOCGIFFLAGS, &request) == 0;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  done = done && ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  ::close(fd);
  return done;
}

constexpr int not_permitted = 50;

// What a child in a namespace of its own returns: 0, or the number of the step that failed.
template <class Body>
int in_namespace(Body body) {
  const int status = in_child([&] {
    if (::unshare(CLONE_NEWNET) != 0 && (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)) {
      return not_permitted;
    }
    if (!switch_lo_on()) return not_permitted;
    return body();
  });
  if (status == not_permitted) std::puts("SKIP: network namespaces are not permitted here");
  return status;
}

}  // namespace

TEST_CASE("an address that comes or goes wakes the coroutine that waits for it") {
  const int status = in_namespace([] {
    fairway::completion_port port;
    auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
    int woken = 0;
    bool failed = false;
    auto waiting = [&]() -> coroutine<void> {
      for (int i = 0; i < 2; ++i) {
        auto changed = co_await async_control(socket, fairway::address_list_change{});
        if (!changed) failed = true;
        ++woken;
      }
    };
    asio::co_spawn(port, waiting(), asio::detached);
    drain(port);
    if (woken != 0) return 1;
    const auto before = fairway::control(socket, fairway::address_list{});
    if (!before) return 2;
    if (!change_address("127.0.0.77", true)) return 3;
    while (woken < 1) port.run_one_for(5s);
    const auto after = fairway::control(socket, fairway::address_list{});
    if (!after || after.value().addresses.size() != before.value().addresses.size() + 1) return 4;
    drain(port);
    if (woken != 1) return 5;
    if (!change_address("127.0.0.77", false)) return 6;
    while (woken < 2) port.run_one_for(5s);
    return failed ? 7 : 0;
  });
  CHECK((status == 0 || status == not_permitted));
}

TEST_CASE("a change of another family, or before a cancel, is no answer") {
  const int status = in_namespace([] {
    fairway::completion_port port;
    auto socket = unconnected_socket::open(port, endpoint_family::v6).value();
    delivered<fairway::control_done> got;
    async_control(socket, fairway::address_list_change{}, got.record());
    drain(port);
    if (!change_address("127.0.0.78", true)) return 1;
    for (int i = 0; i < 5; ++i) port.run_one_for(5ms);
    if (got.done()) return 2;
    socket.cancel();
    while (!got.done()) port.run_one_for(5s);
    return got.ec == condition::aborted ? 0 : 3;
  });
  CHECK((status == 0 || status == not_permitted));
}

TEST_CASE("the way to a peer changes when the address does that it went out from") {
  const int status = in_namespace([] {
    fairway::completion_port port;
    auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
    const endpoint to = endpoint::parse("10.9.8.7:9").value();
    if (fairway::control(socket, fairway::routing_interface{to}).error() !=
        condition::unreachable) {
      return 1;
    }
    delivered<fairway::control_done> got;
    async_control(socket, fairway::routing_interface_change{to}, got.record());
    drain(port);
    if (got.done()) return 2;
    if (!change_address("127.0.0.79", true)) return 3;  // leads elsewhere: nothing changed for `to`
    for (int i = 0; i < 5; ++i) port.run_one_for(5ms);
    if (got.done()) return 4;
    if (!change_address("10.9.8.7", true)) return 5;
    while (!got.done()) port.run_one_for(5s);
    if (got.ec) return 6;
    const auto now = fairway::control(socket, fairway::routing_interface{to});
    return now && now.value().local.address() == to.address() ? 0 : 7;
  });
  CHECK((status == 0 || status == not_permitted));
}

TEST_CASE("on io_uring the socket commands are completions of the ring") {
  fairway::completion_port port;
  if (port.engine() != fairway::engine_kind::io_uring) {
    std::puts("SKIP: only io_uring has a ring");
    return;
  }
  auto pair = connect_pair(port);
  // Begun on the port's thread, which has the ring: whether the command ended while it began.
  const auto at_once = [&](const auto& command) {
    bool inline_completion = false;
    bool done = false;
    asio::post(port, [&] {
      const auto before = port.statistics().inline_completions;
      async_control(pair.a, command, [&](error_code ec, auto&&) {
        CHECK_FALSE(ec);
        done = true;
      });
      inline_completion = port.statistics().inline_completions != before;
    });
    pump(port, [&] { return done; });
    return inline_completion;
  };
  const bool readable = at_once(fairway::bytes_readable{});
  const bool keepalive = at_once(fairway::keepalive{.idle = 9s, .interval = 3s, .count = 4});
  const bool information = at_once(fairway::tcp_information{});
  if (readable) {
    std::puts("SKIP: this kernel's ring has no socket commands (before Linux 6.7)");
    return;
  }
  CHECK_FALSE(keepalive);
  CHECK(information);  // the ring answers getsockopt for SOL_SOCKET only
  CHECK(pair.a.get_option<fairway::keep_alive_idle>().value().value == 9s);
  CHECK(pair.a.get_option<fairway::keep_alive_interval>().value().value == 3s);
  CHECK(pair.a.get_option<fairway::keep_alive_count>().value().value == 4);
}

TEST_CASE("what was written and not yet acknowledged is told, and what TCP knows") {
  fairway::completion_port port;
  auto [stream, peer] = connect_peer(port);
  std::vector<char> much(4 << 20);
  outcome put;
  stream.async_write_some(asio::buffer(much), put.record());
  pump(port, [&] { return put.done(); });
  const auto unsent = fairway::control(stream, fairway::bytes_unsent{});
  REQUIRE(unsent.has_value());
  CHECK(unsent.value().value > 0);
  CHECK(unsent.value().value <= put.bytes);
  const auto told = fairway::control(stream, fairway::tcp_information{});
  REQUIRE(told.has_value());
  CHECK(told.value().state == 1);  // TCP_ESTABLISHED
  CHECK(told.value().segment_bytes_max > 0);
  CHECK(told.value().bytes > 200);
}

TEST_CASE("unix-domain sockets have no addresses to wait for") {
  fairway::completion_port port;
  auto socket = unconnected_socket::open(port, endpoint_family::local).value();
  delivered<fairway::control_done> got;
  async_control(socket, fairway::address_list_change{}, got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::not_supported);
}
