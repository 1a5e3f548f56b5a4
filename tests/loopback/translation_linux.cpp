// Both ends ask, and the kernel translates an address between them: the connection that comes is
// not the one that was offered, so it stays TCP.

#include "support/child.hpp"
#include "support/net.hpp"
#include "support/own_network.hpp"

#include <cstdio>
#include <string>

using namespace support;
using fairway::completion_port;
using fairway::endpoint;
using fairway::loopback;

namespace {

enum found { as_expected, wrong_path, wrong_bytes, no_connection, not_permitted };

// nft(8). A name that is not found, or a kernel without it, is the same as not permitted.
bool filter(const std::string& rules) {
  std::FILE* const to = ::popen("nft -f - 2>/dev/null", "w");
  if (to == nullptr) return false;
  std::fputs(rules.c_str(), to);
  return ::pclose(to) == 0;
}

std::string port_of(const fairway::listener& l) {
  const std::string text = l.local_endpoint().value().to_string();
  return text.substr(text.rfind(':') + 1);
}

// One connection to `to` that `by` accepts, with bytes both ways.
found converse(completion_port& port, fairway::listener& by, const endpoint& to,
               fairway::path expected) {
  fairway::connector dial{port, {.loopback = loopback::shared_memory}};
  accepted client;
  accepted server;
  by.async_accept(server.record());
  dial.async_connect(to, client.record());
  pump(port, [&] { return client.done() && server.done(); });
  if (client.ec || server.ec) return no_connection;
  for (int i = 0; i < 3; ++i) {
    say(port, client.value, "question");
    if (hear(port, server.value, 8) != "question") return wrong_bytes;
    say(port, server.value, "answer");
    if (hear(port, client.value, 6) != "answer") return wrong_bytes;
  }
  const bool both = client.value.path() == expected && server.value.path() == expected;
  return both ? as_expected : wrong_path;
}

// What a child of its own found out; it ends with that as its status.
template <class Body>
void in_own_network(Body body) {
  const int status = in_child([&] { return enter_own_network() ? body() : not_permitted; });
  if (status == not_permitted) {
    std::puts("SKIP: no network namespace, or no nft with address translation in it");
    return;
  }
  CHECK(status == as_expected);
}

const fairway::listen_options fast{.loopback = loopback::shared_memory};

}  // namespace

TEST_CASE("a connection that is led to another listener stays TCP, though both asked") {
  in_own_network([]() -> found {
    completion_port port;
    auto called = listen(port, endpoint::parse("127.0.0.9:0").value(), fast);
    auto reached = listen(port, endpoint::loopback_v4(0), fast);
    const endpoint to = called.local_endpoint().value();
    if (auto o = converse(port, called, to, fairway::path::shared_memory)) return o;
    if (!filter("add table ip t; add chain ip t c { type nat hook output priority -100; };"
                "add rule ip t c ip daddr 127.0.0.9 tcp dport " + port_of(called) +
                " dnat to 127.0.0.1:" + port_of(reached))) {
      return not_permitted;
    }
    return converse(port, reached, to, fairway::path::tcp);
  });
}

TEST_CASE("a connection whose source is another one at its listener stays TCP") {
  in_own_network([]() -> found {
    completion_port port;
    auto called = listen(port, endpoint::loopback_v4(0), fast);
    const endpoint to = called.local_endpoint().value();
    if (auto o = converse(port, called, to, fairway::path::shared_memory)) return o;
    if (!filter("add table ip t; add chain ip t c { type nat hook postrouting priority 100; };"
                "add rule ip t c tcp dport " + port_of(called) + " snat to 127.0.0.7")) {
      return not_permitted;
    }
    return converse(port, called, to, fairway::path::tcp);
  });
}
