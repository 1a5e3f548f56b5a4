// Connects over real sockets on loopback addresses. The other ends are plain Asio sockets, so that
// nothing here depends on Fairway's own listener.

#include <fairway/net/connector.hpp>

#include <fairway/engine/clock.hpp>

#include "held_look_up.hpp"
#include "open_files.hpp"

#include <doctest/doctest.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace {

using boost::asio::ip::tcp;
using fairway::completion_port;
using fairway::connect_options;
using fairway::connector;
using fairway::endpoint;
using fairway::manual_clock;
using fairway::stream;
using fairway::testing::held_look_up;
using namespace std::chrono_literals;
using boost::system::error_code;
namespace net_error = boost::asio::error;

const auto loopback_v4 = boost::asio::ip::make_address("127.0.0.1");
const auto loopback_v6 = boost::asio::ip::make_address("::1");

/// A listening socket of Asio's, on a port that the system chose.
struct peer {
  explicit peer(const boost::asio::ip::address& address = loopback_v4, int backlog = 64)
      : acceptor(context, tcp::endpoint(address, 0).protocol()) {
    acceptor.bind({address, 0});
    acceptor.listen(backlog);
  }
  endpoint address() const { return acceptor.local_endpoint(); }
  tcp::socket accept() { return acceptor.accept(); }

  boost::asio::io_context context;
  tcp::acceptor acceptor;
};

/// A port that refuses: bound, so that nobody else gets it, but not listening.
struct refusing {
  explicit refusing(const boost::asio::ip::address& address = loopback_v4)
      : socket(context, tcp::endpoint(address, 0)) {}
  endpoint address() const { return socket.local_endpoint(); }

  boost::asio::io_context context;
  tcp::socket socket;
};

/// An address that answers nothing: its queue of connections is full, so the system drops more.
struct black_hole : peer {
  black_hole() : peer(loopback_v4, 0), filler(context) {
    filler.connect(acceptor.local_endpoint());
  }
  tcp::socket filler;
};

/// What a connect gave.
struct outcome {
  bool done = false;
  error_code ec;
  stream connected;

  auto store() {
    return [this](error_code error, stream s) {
      CHECK_FALSE(done);
      done = true;
      ec = error;
      connected = std::move(s);
    };
  }
};

bool has_v6() {
  boost::asio::io_context context;
  tcp::acceptor probe(context);
  error_code ec;
  probe.open(tcp::v6(), ec);
  if (!ec) {
    probe.bind({loopback_v6, 0}, ec);
  }
  if (ec) {
    std::puts("SKIP: this machine has no IPv6 loopback address");
  }
  return !ec;
}

void poll(completion_port& port) {
  port.restart();
  port.poll();
}

/// Runs the port until `happened`, which real sockets will do soon.
template <class Predicate>
void run_until(completion_port& port, Predicate happened) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (!happened() && std::chrono::steady_clock::now() < give_up) {
    port.restart();
    port.run_one_until(give_up);
  }
  REQUIRE(happened());
}

}  // namespace

TEST_CASE("a connect gives a stream between the two right addresses") {
  peer there;
  completion_port port;
  connector dial(port);
  outcome got;
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
  outcome got;
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
  outcome got;
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
  outcome got;
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
  outcome got;
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
  outcome got;
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
  outcome got;
  const endpoint targets[] = {v6.address(), v4.address()};
  dial.async_connect(targets, got.store());
  port.run();
  REQUIRE_FALSE(got.ec);
  CHECK(got.connected.remote_endpoint().value() == v4.address());
}

TEST_CASE("a silent address delays the next by the attempt delay and loses") {
  const open_files files;
  {
    black_hole silent;
    peer there;
    manual_clock clock;
    completion_port port({.clock = &clock});
    connector dial(port);
    outcome got;
    const endpoint targets[] = {silent.address(), there.address()};
    dial.async_connect(targets, got.store());
    clock.advance(249ms);
    poll(port);
    CHECK(dial.attempts().size() == 1);
    clock.advance(1ms);
    run_until(port, [&] { return got.done; });
    REQUIRE_FALSE(got.ec);
    CHECK(got.connected.remote_endpoint().value() == there.address());
    REQUIRE(dial.attempts().size() == 2);
    CHECK(dial.attempts()[0].error == net_error::operation_aborted);
    CHECK(dial.attempts()[0].elapsed == 250ms);
    port.restart();
    port.run();  // the loser's socket
  }
  CHECK(files.are_as_before());
}

TEST_CASE("a connect ends when its time is over, not before") {
  black_hole silent;
  manual_clock clock;
  completion_port port({.clock = &clock});
  connector dial(port, {.timeout = 1s});
  outcome got;
  dial.async_connect(silent.address(), got.store());
  clock.advance(999ms);
  poll(port);
  CHECK_FALSE(got.done);
  clock.advance(1ms);
  run_until(port, [&] { return got.done; });
  CHECK(got.ec == net_error::timed_out);
  REQUIRE(dial.attempts().size() == 1);
  CHECK(dial.attempts()[0].error == net_error::timed_out);
  CHECK(dial.attempts()[0].elapsed == 1s);
}

TEST_CASE("cancel ends a connect as aborted") {
  black_hole silent;
  completion_port port;
  connector dial(port);
  outcome got;
  dial.async_connect(silent.address(), got.store());
  poll(port);
  dial.cancel();
  CHECK_FALSE(got.done);
  port.restart();
  port.run();
  CHECK(got.ec == net_error::operation_aborted);
  REQUIRE(dial.attempts().size() == 1);
  CHECK(dial.attempts()[0].error == net_error::operation_aborted);
}

TEST_CASE("a cancellation signal ends a connect as aborted") {
  for (const auto type : {boost::asio::cancellation_type::terminal,
                          boost::asio::cancellation_type::partial,
                          boost::asio::cancellation_type::total}) {
    black_hole silent;
    completion_port port;
    connector dial(port);
    outcome got;
    boost::asio::cancellation_signal signal;
    dial.async_connect(silent.address(),
                       boost::asio::bind_cancellation_slot(signal.slot(), got.store()));
    poll(port);
    signal.emit(type);
    port.restart();
    port.run();
    CHECK(got.ec == net_error::operation_aborted);
  }
}

TEST_CASE("destroying a connector ends its connect as aborted and leaks no descriptor") {
  const open_files files;
  {
    black_hole silent;
    completion_port port;
    outcome got;
    {
      connector dial(port);
      dial.async_connect(silent.address(), got.store());
      poll(port);
    }
    port.restart();
    port.run();
    CHECK(got.ec == net_error::operation_aborted);
  }
  CHECK(files.are_as_before());
}

TEST_CASE("destroying a port with a connect in flight destroys the handler without a call") {
  const open_files files;
  {
    black_hole silent;
    auto port = std::make_unique<completion_port>();
    connector dial(*port);
    auto held = std::make_shared<int>(0);
    dial.async_connect(silent.address(), [held](error_code, stream) { *held = 1; });
    poll(*port);
    port.reset();
    CHECK(held.use_count() == 1);
    CHECK(*held == 0);
  }
  CHECK(files.are_as_before());
}

TEST_CASE("a second connect while one is in flight is in progress and does not disturb it") {
  peer there;
  completion_port port;
  connector dial(port);
  outcome first;
  outcome second;
  dial.async_connect(there.address(), first.store());
  dial.async_connect(there.address(), second.store());
  port.run();
  CHECK_FALSE(first.ec);
  CHECK(first.connected.is_open());
  CHECK(second.ec == net_error::in_progress);
}

TEST_CASE("a connector connects again, and lists only the newest attempts") {
  refusing nobody;
  peer there;
  completion_port port;
  connector dial(port);
  outcome first;
  dial.async_connect(nobody.address(), first.store());
  port.run();
  outcome second;
  dial.async_connect(there.address(), second.store());
  port.restart();
  port.run();
  CHECK_FALSE(second.ec);
  REQUIRE(dial.attempts().size() == 1);
  CHECK(dial.attempts()[0].target == there.address());
}

TEST_CASE("a connector connects again while an earlier loser is still being cancelled") {
  black_hole silent;
  peer there;
  completion_port port;
  connector dial(port);
  outcome first;
  outcome second;
  dial.async_connect(silent.address(), first.store());
  poll(port);
  dial.cancel();
  run_until(port, [&] { return first.done; });
  dial.async_connect(there.address(), second.store());
  port.restart();
  port.run();
  CHECK(first.ec == net_error::operation_aborted);
  CHECK_FALSE(second.ec);
}

TEST_CASE("a connector can be moved while it connects") {
  peer there;
  completion_port port;
  auto dial = std::make_unique<connector>(port);
  outcome got;
  dial->async_connect(there.address(), got.store());
  connector moved(std::move(*dial));
  dial.reset();
  port.run();
  CHECK_FALSE(got.ec);
}

TEST_CASE("a numeric host and port connect") {
  peer there;
  completion_port port;
  connector dial(port);
  outcome got;
  dial.async_connect("127.0.0.1", std::to_string(there.address().port()), got.store());
  port.run();
  CHECK_FALSE(got.ec);
}

TEST_CASE("localhost connects by its name") {
  peer there;
  completion_port port;
  connector dial(port);
  outcome got;
  dial.async_connect("localhost", std::to_string(there.address().port()), got.store());
  port.run();
  CHECK_FALSE(got.ec);
}

TEST_CASE("an unknown host is host_not_found, with no attempt") {
  completion_port port;
  connector dial(port);
  outcome got;
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
  outcome got;
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
  outcome got;
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
  outcome first;
  outcome second;
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

TEST_CASE("a source address is what the peer sees") {
  peer there;
  completion_port port;
  const endpoint source(tcp::endpoint(boost::asio::ip::make_address("127.0.0.2"), 0));
  connector dial(port, {.source = source});
  outcome got;
  dial.async_connect(there.address(), got.store());
  port.run();
  REQUIRE_FALSE(got.ec);
  CHECK(there.accept().remote_endpoint().address().to_string() == "127.0.0.2");
}

TEST_CASE("a source of another family is an error of the attempt") {
  peer there;
  completion_port port;
  connector dial(port, {.source = endpoint(tcp::endpoint(loopback_v6, 0))});
  outcome got;
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
    outcome got;
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
  const auto dial_there = [&]() -> boost::asio::awaitable<void, fairway::port_executor> {
    connector dial(port);
    auto got = co_await dial.async_connect(there.address());
    connected = got && got.value().is_open();
  };
  boost::asio::co_spawn(port.get_executor(), dial_there(), boost::asio::detached);
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
