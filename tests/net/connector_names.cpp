// Connects to a host by its name, without a name server.

#include <fairway/net/connector.hpp>

#include <fairway/engine/clock.hpp>

#include "connecting.hpp"
#include "held_look_up.hpp"

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>

#include <memory>
#include <string>

namespace {

using namespace connecting;
using fairway::manual_clock;
using fairway::testing::held_look_up;
using namespace std::chrono_literals;
namespace net_error = boost::asio::error;

}  // namespace

TEST_CASE("a numeric host and port connect") {
  peer there;
  completion_port port;
  connector dial(port);
  connect_end got;
  dial.async_connect("127.0.0.1", std::to_string(there.address().port()), got.store());
  port.run();
  CHECK_FALSE(got.ec);
}

TEST_CASE("localhost connects by its name") {
  peer there;
  completion_port port;
  connector dial(port);
  connect_end got;
  dial.async_connect("localhost", std::to_string(there.address().port()), got.store());
  port.run();
  CHECK_FALSE(got.ec);
}

TEST_CASE("an unknown host is host_not_found, with no attempt") {
  completion_port port;
  connector dial(port);
  connect_end got;
  // A label of more than 63 characters is refused without asking a name server.
  dial.async_connect(std::string(64, 'x'), "80", got.store());
  port.run();
  CHECK(got.ec == net_error::host_not_found);
  CHECK(dial.attempts().empty());
}

TEST_CASE("cancel ends a look-up as aborted, while the system still looks up") {
  held_look_up names;
  completion_port port;
  connector dial(port);
  connect_end got;
  dial.async_connect(names.held, "80", got.store());
  names.wait_until_held();
  dial.cancel();
  port.run();
  CHECK(got.ec == net_error::operation_aborted);
}

TEST_CASE("the time of a connect includes the look-up") {
  held_look_up names;
  manual_clock clock;
  completion_port port({.clock = &clock});
  connector dial(port, {.timeout = 1s});
  connect_end got;
  dial.async_connect(names.held, "80", got.store());
  names.wait_until_held();
  clock.advance(1s);
  run_until(port, [&] { return got.done; });
  CHECK(got.ec == net_error::timed_out);
}

TEST_CASE("an answer that comes after the port was destroyed touches nothing") {
  held_look_up names;
  auto port = std::make_unique<completion_port>();
  connector dial(*port);
  auto held = std::make_shared<int>(0);
  dial.async_connect(names.held, "80", [held](error_code, stream) { *held = 1; });
  names.wait_until_held();
  port.reset();
  CHECK(held.use_count() == 1);
  names.release();
  names.wait_until_idle();
  CHECK(*held == 0);
}

TEST_CASE("an answer that the port has not seen when it is destroyed is dropped") {
  held_look_up names;
  auto port = std::make_unique<completion_port>();
  connector dial(*port);
  auto held = std::make_shared<int>(0);
  dial.async_connect(names.held, "80", [held](error_code, stream) { *held = 1; });
  names.release();
  names.wait_until_idle();
  port.reset();
  CHECK(held.use_count() == 1);
  CHECK(*held == 0);
}

TEST_CASE("an answer that arrives after a cancel does not disturb the next connect") {
  held_look_up names;
  peer there;
  completion_port port;
  connector dial(port);
  connect_end first;
  connect_end second;
  dial.async_connect(names.held, "80", first.store());
  names.release();
  names.wait_until_idle();  // the answer waits in the port
  dial.cancel();
  run_until(port, [&] { return first.done; });
  dial.async_connect(there.address(), second.store());
  port.restart();
  port.run();
  CHECK(first.ec == net_error::operation_aborted);
  CHECK_FALSE(second.ec);
}

// What it would show is a use of the port by the resolver's thread: for the sanitizers.
TEST_CASE("a port may go as soon as the answer of a look-up has been handled") {
  held_look_up names;
  for (int i = 0; i < 300; ++i) {
    auto port = std::make_unique<completion_port>();
    connect_end got;
    {
      connector dial(*port);
      dial.async_connect("unknown", "80", got.store());
      port->run();
    }
    port.reset();
    REQUIRE(got.ec == net_error::host_not_found);
  }
}
