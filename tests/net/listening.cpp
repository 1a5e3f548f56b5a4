// Making listeners: endpoints, options, adoption, and the errors of both.

#if defined(__linux__)
#include "support/child.hpp"
#endif
#include "support/limits.hpp"
#include "support/net.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <set>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::endpoint;
using fairway::listen_options;
using fairway::listener;

TEST_CASE("a listener tells its endpoint, with the port that it got") {
  for (const auto& local : loopback_endpoints()) {
    completion_port port;
    auto l = listen(port, local);
    const auto where = l.local_endpoint().value();
    CHECK(where.family() == local.family());
    if (where.is_ip()) {
      CHECK(where.port() != 0);
      CHECK(where.address() == local.address());
    } else {
      CHECK(where == local);
    }
    CHECK(l.is_open());
    CHECK(static_cast<bool>(l));
  }
}

TEST_CASE("opening an endpoint that is taken is address in use") {
  for (const auto& local : loopback_endpoints()) {
    CAPTURE(local.to_string());
    completion_port port;
    auto l = listen(port, local);
    auto second = listener::open(port, l.local_endpoint().value());
    REQUIRE(second.has_error());
    CHECK(second.error() == condition::address_in_use);
  }
}

TEST_CASE("an endpoint is free again at once, although a connection of it lingers") {
  completion_port port;
  auto l = listen(port);
  const auto where = l.local_endpoint().value();
  auto peer = raw_peer::connect(where);
  auto s = accept(port, l);
  s.close();  // this side closes first and keeps the connection in TIME_WAIT
  std::string rest;
  CHECK(read_to_end(port, peer, rest) == raw_peer::event::end);
  peer.close();
  l.close();
  drain(port);
  auto again = listener::open(port, where);
  CHECK_MESSAGE(again.has_value(), again.error().message());
}

TEST_CASE("opening an address that is not of this machine fails") {
  completion_port port;
  auto l = listener::open(port, endpoint::parse("192.0.2.1:0").value());
  REQUIRE(l.has_error());
  CHECK(l.error() == boost::system::errc::address_not_available);
}

TEST_CASE("a short backlog still listens") {
  completion_port port;
  auto l = listen(port, endpoint::loopback_v4(0), {.backlog = 1});
  auto peer = raw_peer::connect(l.local_endpoint().value());
  CHECK(accept(port, l).is_open());
}

TEST_CASE("accepted TCP streams do not delay small segments unless told to") {
  completion_port port;
  for (const bool wanted : {true, false}) {
    auto l = listen(port, endpoint::loopback_v4(0), {.no_delay = wanted});
    auto peer = raw_peer::connect(l.local_endpoint().value());
    auto s = accept(port, l);
    CHECK(s.get_option<fairway::no_delay>().value().value == wanted);
  }
}

TEST_CASE("a listener on the any address of IPv6 takes IPv4 as well, unless told not to") {
  if (!has_ipv6()) return;
  completion_port port;
  auto both = listen(port, endpoint::any_v6(0));
  const auto number = both.local_endpoint().value().port();
  auto v4 = raw_peer::connect(endpoint::loopback_v4(number));
  auto s = accept(port, both);
  CHECK(s.remote_endpoint().value().port() == v4.local().port());
  CHECK(s.remote_endpoint().value().is_loopback());
  auto only = listen(port, endpoint::any_v6(0), {.v6_only = true});
  CHECK_THROWS(
      raw_peer::connect(endpoint::loopback_v4(only.local_endpoint().value().port())));
  auto v6 = raw_peer::connect(endpoint::loopback_v6(only.local_endpoint().value().port()));
  CHECK(accept(port, only).is_open());
}

TEST_CASE("a socket that listens already can be adopted") {
  completion_port port;
  auto raw = raw_peer::listen(endpoint::loopback_v4(0));
  const auto where = raw.local();
  auto l = listener::adopt(port, raw.release());
  REQUIRE(l.has_value());
  CHECK(l.value().local_endpoint().value() == where);
  auto peer = raw_peer::connect(where);
  auto s = accept(port, l.value());
  CHECK(s.remote_endpoint().value() == peer.local());
}

TEST_CASE("what does not listen is not adopted as a listener, and stays the caller's") {
  completion_port port;
  auto raw = raw_peer::bound(endpoint::loopback_v4(0));
  auto l = listener::adopt(port, raw.handle());
  REQUIRE(l.has_error());
  CHECK(l.error() == condition::invalid_argument);
  CHECK(raw.local().port() != 0);
  auto udp = raw_peer::datagram(endpoint::loopback_v4(0));
  CHECK(listener::adopt(port, udp.handle()).has_error());
}

TEST_CASE("listeners share an endpoint with reuse_port, and each connection has one of them") {
  completion_port port;
  auto first = listener::open(port, endpoint::loopback_v4(0), {.reuse_port = true});
  if (!first && first.error() == condition::not_supported) {
    MESSAGE("SKIP: this system does not spread connections over listeners");
    return;
  }
  const auto where = first.value().local_endpoint().value();
  std::vector<listener> all;
  all.push_back(std::move(first.value()));
  for (int i = 0; i < 3; ++i) all.push_back(listen(port, where, {.reuse_port = true}));
  std::set<std::string> peers;
  unsigned delivered = 0;
  std::array<unsigned, 4> share{};
  struct taker {
    listener& l;
    unsigned& mine;
    unsigned& all;
    std::set<std::string>& peers;
    void operator()(error_code ec, fairway::stream s) {
      if (ec) return;
      ++mine;
      ++all;
      peers.insert(s.remote_endpoint().value().to_string());
      l.async_accept(std::move(*this));
    }
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].async_accept(taker{all[i], share[i], delivered, peers});
  }
  std::vector<raw_peer> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(raw_peer::connect(where));
  pump(port, [&] { return delivered == clients.size(); });
  CHECK(peers.size() == clients.size());
  CHECK(std::count(share.begin(), share.end(), 0u) == 0);
}

#if defined(__linux__)

namespace {

std::filesystem::path fresh_path() {
  static std::atomic<unsigned> count{0};
  const auto unique = std::chrono::steady_clock::now().time_since_epoch().count();
  return std::filesystem::temp_directory_path() /
         ("fairway-" + std::to_string(unique) + "-" + std::to_string(count++));
}

}  // namespace

TEST_CASE("a unix-domain path appears with its listener and goes with it") {
  completion_port port;
  const auto path = fresh_path();
  {
    auto l = listen(port, endpoint::local(path.string()).value());
    CHECK(std::filesystem::is_socket(path));
    auto peer = raw_peer::connect(l.local_endpoint().value());
    CHECK(accept(port, l).is_open());
    l.close();
    drain(port);
  }
  drain(port);
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a unix-domain path may be opened again once its listener has closed") {
  completion_port port;
  const auto path = fresh_path();
  const auto where = endpoint::local(path.string()).value();
  auto l = listen(port, where);
  l.close();
  CHECK_FALSE(std::filesystem::exists(path));
  auto next = listener::open(port, where);
  REQUIRE(next.has_value());
  l = std::move(next.value());  // the closed one goes, the file is the new one's
  drain(port);
  REQUIRE(std::filesystem::is_socket(path));
  auto peer = raw_peer::connect(where);
  CHECK(accept(port, l).is_open());
}

TEST_CASE("a unix-domain path goes with the port of its listener, in the process that made it") {
  const auto path = fresh_path();
  auto port = std::make_unique<completion_port>();
  auto l = listen(*port, endpoint::local(path.string()).value());
  if (!thread_sanitizer) {  // which does not follow a fork
    CHECK(in_child([&] {
            l.close();
            port.reset();
            return 0;
          }) == 0);
    CHECK(std::filesystem::is_socket(path));
  }
  port.reset();
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a unix-domain path that nobody serves is replaced, one that is served is not") {
  completion_port port;
  const auto path = fresh_path();
  const auto where = endpoint::local(path.string()).value();
  raw_peer::listen(where).close();
  REQUIRE(std::filesystem::is_socket(path));
  auto l = listener::open(port, where);
  REQUIRE(l.has_value());
  auto second = listener::open(port, where);
  REQUIRE(second.has_error());
  CHECK(second.error() == condition::address_in_use);
  auto peer = raw_peer::connect(where);
  // The probe of the second listener may come first: it has closed by now.
  CHECK(accept(port, l.value()).is_open());
}

TEST_CASE("a file that is no socket is not replaced by a listener") {
  completion_port port;
  const auto path = fresh_path();
  std::filesystem::create_directory(path);
  auto l = listener::open(port, endpoint::local(path.string()).value());
  CHECK(l.has_error());
  CHECK(std::filesystem::is_directory(path));
  std::filesystem::remove(path);
}

#endif
