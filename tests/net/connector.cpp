// Connects over real sockets on loopback addresses: to one, and to the first of several.

#include <fairway/net/connector.hpp>

#include "connecting.hpp"

#include <fairway/task.hpp>

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/use_future.hpp>

#include <memory>
#include <span>
#include <thread>

namespace {

using namespace connecting;
namespace net_error = boost::asio::error;

}  // namespace

TEST_CASE("a connect gives a stream between the two right addresses") {
  peer there;
  completion_port port;
  connector dial(port);
  connect_end got;
  dial.async_connect(there.address(), got.store());
  CHECK_FALSE(got.done);
  port.run();
  REQUIRE(got.done);
  REQUIRE_FALSE(got.ec);
  const tcp::socket accepted = there.accept();
  CHECK(got.connected.remote_endpoint().value() == there.address());
  CHECK(got.connected.local_endpoint().value() == endpoint(accepted.remote_endpoint()));
}

TEST_CASE("a successful connect has one attempt without an error") {
  peer there;
  completion_port port;
  connector dial(port);
  connect_end got;
  dial.async_connect(there.address(), got.store());
  port.run();
  REQUIRE(dial.attempts().size() == 1);
  CHECK(dial.attempts()[0].target == there.address());
  CHECK_FALSE(dial.attempts()[0].error);
}

TEST_CASE("a refused connect is refused and says where") {
  refusing nobody;
  completion_port port;
  connector dial(port);
  connect_end got;
  dial.async_connect(nobody.address(), got.store());
  port.run();
  CHECK(got.ec == net_error::connection_refused);
  CHECK_FALSE(got.connected.is_open());
  REQUIRE(dial.attempts().size() == 1);
  CHECK(dial.attempts()[0].target == nobody.address());
  CHECK(dial.attempts()[0].error == net_error::connection_refused);
}

TEST_CASE("the address after a refused one is tried") {
  refusing nobody;
  peer there;
  completion_port port;
  connector dial(port);
  connect_end got;
  const endpoint targets[] = {nobody.address(), there.address()};
  dial.async_connect(targets, got.store());
  port.run();
  REQUIRE_FALSE(got.ec);
  CHECK(got.connected.remote_endpoint().value() == there.address());
  REQUIRE(dial.attempts().size() == 2);
  CHECK(dial.attempts()[0].error == net_error::connection_refused);
  CHECK_FALSE(dial.attempts()[1].error);
}

TEST_CASE("when every address refuses all of them are listed") {
  refusing first;
  refusing second;
  completion_port port;
  connector dial(port);
  connect_end got;
  const endpoint targets[] = {first.address(), second.address()};
  dial.async_connect(targets, got.store());
  port.run();
  CHECK(got.ec == net_error::connection_refused);
  REQUIRE(dial.attempts().size() == 2);
  CHECK(dial.attempts()[0].target == first.address());
  CHECK(dial.attempts()[1].target == second.address());
}

TEST_CASE("an empty list is not found") {
  completion_port port;
  connector dial(port);
  connect_end got;
  dial.async_connect(std::span<const endpoint>{}, got.store());
  port.run();
  CHECK(got.ec == net_error::not_found);
}

TEST_CASE("with IPv6 refused a dual-stack host is reached by IPv4") {
  if (!has_v6()) {
    return;
  }
  refusing v6(loopback_v6);
  peer v4;
  completion_port port;
  connector dial(port);
  connect_end got;
  const endpoint targets[] = {v6.address(), v4.address()};
  dial.async_connect(targets, got.store());
  port.run();
  REQUIRE_FALSE(got.ec);
  CHECK(got.connected.remote_endpoint().value() == v4.address());
}

TEST_CASE("a connector can be moved while it connects") {
  peer there;
  completion_port port;
  auto dial = std::make_unique<connector>(port);
  connect_end got;
  dial->async_connect(there.address(), got.store());
  connector moved(std::move(*dial));
  dial.reset();
  port.run();
  CHECK_FALSE(got.ec);
}

TEST_CASE("a source address is what the peer sees") {
  peer there;
  completion_port port;
  const endpoint source(tcp::endpoint(boost::asio::ip::make_address("127.0.0.2"), 0));
  connector dial(port, {.source = source});
  connect_end got;
  dial.async_connect(there.address(), got.store());
  port.run();
  REQUIRE_FALSE(got.ec);
  CHECK(there.accept().remote_endpoint().address().to_string() == "127.0.0.2");
}

TEST_CASE("a source of another family is an error of the attempt") {
  peer there;
  completion_port port;
  connector dial(port, {.source = endpoint(tcp::endpoint(loopback_v6, 0))});
  connect_end got;
  dial.async_connect(there.address(), got.store());
  port.run();
  CHECK(got.ec == net_error::address_family_not_supported);
  CHECK(dial.attempts().size() == 1);
}

TEST_CASE("small writes are not delayed unless the options say so") {
  peer there;
  completion_port port;
  for (const bool wanted : {true, false}) {
    connector dial(port, {.no_delay = wanted});
    connect_end got;
    dial.async_connect(there.address(), got.store());
    port.restart();
    port.run();
    REQUIRE_FALSE(got.ec);
    CHECK(got.connected.get_option<fairway::no_delay>().value().value == wanted);
  }
}

TEST_CASE("a coroutine awaits a connect as a result") {
  peer there;
  completion_port port;
  bool connected = false;
  fairway::spawn(port, [&]() -> fairway::task<> {
    connector dial(port);
    auto got = co_await dial.async_connect(there.address());
    connected = got && got.value().is_open();
  });
  port.run();
  CHECK(connected);
}

TEST_CASE("another thread connects while the port runs") {
  peer there;
  completion_port port;
  auto work = boost::asio::require(port.get_executor(),
                                   boost::asio::execution::outstanding_work.tracked);
  std::thread runner([&] { port.run(); });
  {
    connector dial(port);
    stream got = dial.async_connect(there.address(), boost::asio::use_future).get();
    CHECK(got.is_open());
  }
  port.stop();
  runner.join();
}
