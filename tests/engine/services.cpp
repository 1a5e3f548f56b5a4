// A port is an execution context: services live in it, and Asio's own I/O objects work on it.
#include "support/limits.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>

#include <doctest/doctest.h>

#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;

namespace {

std::vector<int>* record = nullptr;

template <int Number>
class numbered final : public asio::execution_context::service {
 public:
  using key_type = numbered;
  inline static asio::execution_context::id id;

  explicit numbered(asio::execution_context& context) : service(context) {}
  ~numbered() override {
    if (record != nullptr) record->push_back(Number);
  }
  int uses = 0;

 private:
  void shutdown() noexcept override {
    if (record != nullptr) record->push_back(-Number);
  }
};

}  // namespace

TEST_CASE("a service is made once a port") {
  completion_port a;
  completion_port b;
  asio::use_service<numbered<1>>(a).uses = 3;
  CHECK(asio::use_service<numbered<1>>(a).uses == 3);
  CHECK(asio::use_service<numbered<1>>(b).uses == 0);
  CHECK(asio::has_service<numbered<1>>(a));
  CHECK_FALSE(asio::has_service<numbered<2>>(a));
}

TEST_CASE("services shut down before any is destroyed, the youngest first") {
  std::vector<int> order;
  record = &order;
  {
    completion_port port;
    asio::use_service<numbered<1>>(port);
    asio::use_service<numbered<2>>(port);
  }
  record = nullptr;
  CHECK(order == std::vector<int>{-2, -1, 2, 1});
}

TEST_CASE("an Asio timer on a port completes on the port's thread") {
  completion_port port;
  asio::steady_timer soon{port, 1ms};
  bool here = false;
  soon.async_wait([&](error_code ec) {
    here = !ec && port.get_executor().running_in_this_thread();
  });
  CHECK(support::run_dry(port));
  CHECK(here);
}

TEST_CASE("an Asio timer that is pending when its port ends is destroyed quietly") {
  bool ran = false;
  {
    completion_port port;
    asio::steady_timer hour{port, 1h};
    hour.async_wait([&](error_code) { ran = true; });
    port.poll();
    CHECK_FALSE(port.stopped());
  }
  CHECK_FALSE(ran);
}
