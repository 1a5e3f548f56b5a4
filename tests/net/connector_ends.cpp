// How a connect ends that does not succeed at once: by time, by a cancel, by destruction.

#include <fairway/net/connector.hpp>

#include <fairway/engine/clock.hpp>
#include <fairway/testing/fault_schedule.hpp>

#include "connecting.hpp"
#include "open_files.hpp"

#include <doctest/doctest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>

#include <memory>

namespace {

using namespace connecting;
using fairway::manual_clock;
using namespace std::chrono_literals;
namespace net_error = boost::asio::error;

/// Makes the first connect fail before it enters the kernel.
struct first_connect_unreachable : fairway::testing::fault_schedule {
  fairway::testing::entry_fault on_entry(fairway::testing::kernel_entry where) override {
    if (where != fairway::testing::kernel_entry::connect || connects++ != 0) {
      return {};
    }
    return {.error = net_error::network_unreachable};
  }
  int connects = 0;
};

/// Delivers every completed connect twice, after a turn of the loop.
struct late_and_twice : fairway::testing::fault_schedule {
  fairway::testing::completion_fault on_completion(fairway::testing::operation_kind kind, int,
                                                   std::size_t) override {
    const bool is_connect = kind == fairway::testing::operation_kind::connect;
    return {.delay_turns = is_connect ? 1u : 0u, .repeat = is_connect};
  }
};

}  // namespace

TEST_CASE("after an unreachable address the next is tried at once") {
  const peer there;
  first_connect_unreachable faults;
  completion_port port({.faults = &faults});
  connector dial(port);
  connect_end got;
  const endpoint targets[] = {there.address(), there.address()};
  dial.async_connect(targets, got.store());
  port.run();
  CHECK_FALSE(got.ec);
  REQUIRE(dial.attempts().size() == 2);
  CHECK(dial.attempts()[0].error == net_error::network_unreachable);
}

TEST_CASE("a completion that comes late and twice ends a connect once") {
  const open_files files;
  {
    const peer there;
    late_and_twice faults;
    completion_port port({.faults = &faults});
    connector dial(port);
    connect_end got;
    dial.async_connect(there.address(), got.store());
    port.run();
    CHECK_FALSE(got.ec);
    CHECK(got.connected.is_open());
  }
  CHECK(files.are_as_before());
}

TEST_CASE("a silent address delays the next by the attempt delay and loses") {
  const open_files files;
  {
    black_hole silent;
    peer there;
    manual_clock clock;
    completion_port port({.clock = &clock});
    connector dial(port);
    connect_end got;
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
  connect_end got;
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
  connect_end got;
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
    connect_end got;
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
    connect_end got;
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
  connect_end first;
  connect_end second;
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
  connect_end first;
  dial.async_connect(nobody.address(), first.store());
  port.run();
  connect_end second;
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
  connect_end first;
  connect_end second;
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
