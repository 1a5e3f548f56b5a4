// Which engine a port gets: asked for in its options, by the environment, or by itself.
#include "support/environment.hpp"
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

namespace asio = boost::asio;
using fairway::completion_port;
using fairway::engine_kind;
using support::environment_variable;

namespace {

fairway::port_options asking_for(engine_kind kind) {
  fairway::port_options options;
  options.engine = kind;
  return options;
}

constexpr engine_kind always_there = support::on_windows ? engine_kind::iocp : engine_kind::epoll;
constexpr engine_kind never_there = support::on_windows ? engine_kind::epoll : engine_kind::iocp;

}  // namespace

TEST_CASE("engine names and kinds are converted both ways") {
  for (engine_kind kind : {engine_kind::automatic, engine_kind::iocp, engine_kind::io_uring,
                           engine_kind::epoll}) {
    engine_kind parsed{};
    CHECK(fairway::parse_engine(fairway::to_string(kind), parsed));
    CHECK(parsed == kind);
  }
  CHECK(fairway::to_string(engine_kind::io_uring) == "io_uring");
}

TEST_CASE("a name that is no engine is refused and changes nothing") {
  for (const char* name : {"", "kqueue", "EPOLL", "epoll ", "io-uring"}) {
    engine_kind kind = engine_kind::io_uring;
    CHECK_FALSE(fairway::parse_engine(name, kind));
    CHECK(kind == engine_kind::io_uring);
  }
}

TEST_CASE("these tests run on the engine that FAIRWAY_ENGINE names") {
  const char* wanted = std::getenv("FAIRWAY_ENGINE");
  completion_port port;
  if (wanted == nullptr || std::string_view{wanted} == "automatic") {
    CHECK(port.engine() != engine_kind::automatic);
  } else {
    CHECK(fairway::to_string(port.engine()) == wanted);
  }
}

TEST_CASE("without a wish a port has an engine") {
  const environment_variable unset{"FAIRWAY_ENGINE", nullptr};
  completion_port port;
  CHECK(port.engine() != engine_kind::automatic);
}

TEST_CASE("an empty FAIRWAY_ENGINE is no wish") {
  const environment_variable empty{"FAIRWAY_ENGINE", ""};
  completion_port port;
  CHECK(port.engine() != engine_kind::automatic);
}

TEST_CASE("FAIRWAY_ENGINE chooses the engine") {
  const environment_variable set{"FAIRWAY_ENGINE", fairway::to_string(always_there).data()};
  completion_port port;
  CHECK(port.engine() == always_there);
}

TEST_CASE("the options overrule FAIRWAY_ENGINE") {
  const environment_variable set{"FAIRWAY_ENGINE", "no such thing"};
  completion_port port{asking_for(always_there)};
  CHECK(port.engine() == always_there);
}

TEST_CASE("a FAIRWAY_ENGINE that names no engine is an error that tells the name") {
  const environment_variable set{"FAIRWAY_ENGINE", "kqueue"};
  std::string told;
  try {
    completion_port port;
  } catch (const boost::system::system_error& e) {
    told = e.what();
  }
  CHECK(told.find("FAIRWAY_ENGINE") != std::string::npos);
  CHECK(told.find("kqueue") != std::string::npos);
}

TEST_CASE("an engine that this system does not have is an error") {
  boost::system::error_code ec;
  try {
    completion_port port{asking_for(never_there)};
  } catch (const boost::system::system_error& e) {
    ec = e.code();
  }
  CHECK(ec == asio::error::operation_not_supported);
}

TEST_CASE("options out of range are brought into it") {
  fairway::port_options options;
  options.queue_entries = 0;
  options.handlers_per_turn = 0;
  options.receive_buffers_max = 0;
  options.receive_buffer_bytes = 0;
  completion_port port{options};
  fairway::timer soon{port, std::chrono::milliseconds{1}};
  bool fired = false;
  soon.async_wait([&](auto ec) { fired = !ec; });
  asio::post(port, [] {});
  CHECK(support::run_dry(port));
  CHECK(fired);
}
