// The connect plan without a socket, a clock or a port: inputs in, actions out, as text.

#include "net/connect_plan.hpp"

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using fairway::connect_options;
using fairway::endpoint;
using fairway::detail::connect_plan;
using namespace std::chrono_literals;
using answer = connect_plan::answer;
namespace net_error = boost::asio::error;

std::string name_of(const boost::system::error_code& error) {
  const std::pair<boost::system::error_code, const char*> names[] = {
      {{}, "ok"},
      {net_error::operation_aborted, "aborted"},
      {net_error::timed_out, "timed_out"},
      {net_error::connection_refused, "refused"},
      {net_error::network_unreachable, "unreachable"},
      {net_error::address_family_not_supported, "no_family"},
      {net_error::host_not_found, "host_not_found"},
      {net_error::no_data, "no_data"},
      {net_error::not_found, "not_found"},
  };
  for (const auto& [known, name] : names) {
    if (error == known) {
      return name;
    }
  }
  return error.message();
}

std::vector<endpoint> list(std::initializer_list<std::string_view> texts) {
  std::vector<endpoint> result;
  for (const std::string_view text : texts) {
    result.push_back(endpoint::parse(text).value());
  }
  return result;
}

/// Drives a plan; every input returns the actions that it causes, separated by "; ".
class script {
 public:
  explicit script(connect_options options = {}) : plan_(options, begin_) {}

  std::string arrived(answer from, std::initializer_list<std::string_view> found,
                      boost::system::error_code error = {}) {
    plan_.arrived(from, list(found), error, now());
    return actions();
  }
  std::string succeeded(std::size_t attempt) {
    plan_.succeeded(attempt, now());
    return actions();
  }
  std::string failed(std::size_t attempt, boost::system::error_code error) {
    plan_.failed(attempt, error, now());
    return actions();
  }
  std::string cancelled() {
    plan_.cancel(now());
    return actions();
  }
  /// Lets time pass to `at` and fires the timer.
  std::string timer(std::chrono::milliseconds at) {
    pass_to(at);
    plan_.timer(now());
    return actions();
  }
  void pass_to(std::chrono::milliseconds at) { passed_ = at; }

  std::string attempts() const {
    std::string text;
    for (const auto& each : plan_.attempts()) {
      if (!text.empty()) {
        text += "; ";
      }
      text +=
          each.target.to_string() + " " + name_of(each.error) + " " + milliseconds(each.elapsed);
    }
    return text;
  }

  std::string actions() {
    std::string text;
    while (const auto next = plan_.next()) {
      if (!text.empty()) {
        text += "; ";
      }
      text += print(*next);
    }
    return text;
  }

 private:
  static std::string milliseconds(connect_plan::duration time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  }
  std::string print(const connect_plan::action& action) const {
    switch (action.what) {
      case connect_plan::step::start:
        return "start " + std::to_string(action.attempt) + " " +
               plan_.attempts()[action.attempt].target.to_string();
      case connect_plan::step::cancel:
        return "cancel " + std::to_string(action.attempt);
      case connect_plan::step::arm:
        return "arm " + milliseconds(action.when - begin_);
      case connect_plan::step::done:
        return action.error ? "done " + name_of(action.error)
                            : "done " + std::to_string(action.attempt);
    }
    return "?";
  }
  connect_plan::time_point now() const { return begin_ + passed_; }

  connect_plan::time_point begin_{1h};
  std::chrono::milliseconds passed_{0};
  connect_plan plan_;
};

}  // namespace

TEST_CASE("a single address is started at once and its success ends the connect") {
  script plan;
  CHECK(plan.arrived(answer::whole, {"127.0.0.1:1"}) == "start 0 127.0.0.1:1; arm 30000");
  plan.pass_to(7ms);
  CHECK(plan.succeeded(0) == "done 0");
  CHECK(plan.attempts() == "127.0.0.1:1 ok 7");
}

TEST_CASE("before any answer only the limit of the whole connect is armed") {
  script plan;
  CHECK(plan.actions() == "arm 30000");
}

TEST_CASE("the families take turns, beginning with the first address of a whole list") {
  script plan;
  CHECK(plan.arrived(answer::whole, {"127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "[::2]:1"}) ==
        "start 0 127.0.0.1:1; arm 250");
  CHECK(plan.timer(250ms) == "start 1 [::1]:1; arm 500");
  CHECK(plan.timer(500ms) == "start 2 127.0.0.2:1; arm 750");
  CHECK(plan.timer(750ms) == "start 3 [::2]:1; arm 30000");
  CHECK(plan.timer(1000ms) == "arm 30000");
}

TEST_CASE("an IPv6 answer starts at once, without waiting for the IPv4 answer") {
  script plan;
  CHECK(plan.arrived(answer::v6, {"[::1]:1", "[::2]:1"}) == "start 0 [::1]:1; arm 250");
  CHECK(plan.arrived(answer::v4, {"127.0.0.1:1"}) == "");
  CHECK(plan.timer(250ms) == "start 1 127.0.0.1:1; arm 500");
  CHECK(plan.timer(500ms) == "start 2 [::2]:1; arm 30000");
}

TEST_CASE("a lone IPv4 answer waits 50 ms for the IPv6 answer") {
  script plan;
  plan.pass_to(10ms);
  CHECK(plan.arrived(answer::v4, {"127.0.0.1:1"}) == "arm 60");
  CHECK(plan.timer(59ms) == "arm 60");
  CHECK(plan.timer(60ms) == "start 0 127.0.0.1:1; arm 30000");
}

TEST_CASE("an IPv6 answer within 50 ms goes first") {
  script plan;
  CHECK(plan.arrived(answer::v4, {"127.0.0.1:1"}) == "arm 50");
  plan.pass_to(20ms);
  CHECK(plan.arrived(answer::v6, {"[::1]:1"}) == "start 0 [::1]:1; arm 270");
}

TEST_CASE("an IPv6 answer without addresses ends the wait of IPv4") {
  script plan;
  CHECK(plan.arrived(answer::v4, {"127.0.0.1:1"}) == "arm 50");
  CHECK(plan.arrived(answer::v6, {}, net_error::no_data) == "start 0 127.0.0.1:1; arm 30000");
}

TEST_CASE("a late IPv6 answer joins a connect that runs and has the next turn") {
  script plan;
  plan.arrived(answer::v4, {"127.0.0.1:1", "127.0.0.2:1"});
  CHECK(plan.timer(50ms) == "start 0 127.0.0.1:1; arm 300");
  plan.pass_to(100ms);
  CHECK(plan.arrived(answer::v6, {"[::1]:1"}) == "");
  CHECK(plan.timer(300ms) == "start 1 [::1]:1; arm 550");
}

TEST_CASE("addresses that arrive after the attempt delay are tried at once") {
  script plan;
  plan.arrived(answer::v6, {"[::1]:1"});
  plan.pass_to(400ms);
  CHECK(plan.arrived(answer::v4, {"127.0.0.1:1"}) == "start 1 127.0.0.1:1");
}

TEST_CASE("when all that is known has failed the connect waits for the other answer") {
  script plan;
  plan.arrived(answer::v6, {"[::1]:1"});
  CHECK(plan.failed(0, net_error::connection_refused) == "");
  plan.pass_to(5ms);
  CHECK(plan.arrived(answer::v4, {"127.0.0.1:1"}) == "start 1 127.0.0.1:1");
}

TEST_CASE("a failed attempt is followed by the next at once, which gets its whole delay") {
  script plan;
  plan.arrived(answer::whole, {"[::1]:1", "127.0.0.1:1", "[::2]:1"});
  plan.pass_to(100ms);
  CHECK(plan.failed(0, net_error::connection_refused) == "start 1 127.0.0.1:1; arm 350");
}

TEST_CASE("the first success cancels the attempts that run beside it") {
  script plan;
  plan.arrived(answer::whole, {"[::1]:1", "127.0.0.1:1", "[::2]:1"});
  plan.timer(250ms);
  plan.timer(500ms);
  plan.pass_to(600ms);
  CHECK(plan.succeeded(1) == "cancel 0; cancel 2; done 1");
  CHECK(plan.attempts() == "[::1]:1 aborted 600; 127.0.0.1:1 ok 350; [::2]:1 aborted 100");
}

TEST_CASE("when every attempt failed the error is that of the first address") {
  script plan;
  plan.arrived(answer::whole, {"[::1]:1", "127.0.0.1:1"});
  CHECK(plan.failed(0, net_error::connection_refused) == "start 1 127.0.0.1:1; arm 30000");
  CHECK(plan.failed(1, net_error::network_unreachable) == "done refused");
  CHECK(plan.attempts() == "[::1]:1 refused 0; 127.0.0.1:1 unreachable 0");
}

TEST_CASE("an error that says nothing of the peer gives way to one that does") {
  script plan;
  plan.arrived(answer::whole, {"[::1]:1", "127.0.0.1:1"});
  plan.failed(0, net_error::address_family_not_supported);
  CHECK(plan.failed(1, net_error::connection_refused) == "done refused");
}

TEST_CASE("without a telling error the first attempt's is the connect's") {
  script plan;
  plan.arrived(answer::whole, {"[::1]:1"});
  CHECK(plan.failed(0, net_error::address_family_not_supported) == "done no_family");
}

TEST_CASE("a failed look-up is the error of the connect") {
  script plan;
  CHECK(plan.arrived(answer::whole, {}, net_error::host_not_found) == "done host_not_found");
  CHECK(plan.attempts() == "");
}

TEST_CASE("an answer without data gives way to the other family's error") {
  script plan;
  CHECK(plan.arrived(answer::v6, {}, net_error::no_data) == "arm 30000");
  CHECK(plan.arrived(answer::v4, {}, net_error::host_not_found) == "done host_not_found");
}

TEST_CASE("an empty list is not found") {
  script plan;
  CHECK(plan.arrived(answer::whole, {}) == "done not_found");
}

TEST_CASE("the limit of the whole connect cancels what runs and is the error") {
  script plan({.timeout = 300ms});
  plan.arrived(answer::whole, {"[::1]:1", "127.0.0.1:1"});
  CHECK(plan.timer(250ms) == "start 1 127.0.0.1:1; arm 300");
  CHECK(plan.timer(299ms) == "arm 300");
  CHECK(plan.timer(300ms) == "cancel 0; cancel 1; done timed_out");
  CHECK(plan.attempts() == "[::1]:1 timed_out 300; 127.0.0.1:1 timed_out 50");
}

TEST_CASE("the limit of the whole connect holds during the look-up") {
  script plan({.timeout = 300ms});
  CHECK(plan.actions() == "arm 300");
  CHECK(plan.timer(300ms) == "done timed_out");
  CHECK(plan.arrived(answer::whole, {"127.0.0.1:1"}) == "");
}

TEST_CASE("a success that arrives with the limit is a success") {
  script plan({.timeout = 300ms});
  plan.arrived(answer::whole, {"127.0.0.1:1"});
  plan.pass_to(301ms);
  CHECK(plan.succeeded(0) == "done 0");
  CHECK(plan.timer(301ms) == "");
}

TEST_CASE("without a limit nothing is armed for a single attempt") {
  script plan({.timeout = 0ms});
  CHECK(plan.arrived(answer::whole, {"127.0.0.1:1"}) == "start 0 127.0.0.1:1");
}

TEST_CASE("a cancel cancels what runs and ends the connect as aborted") {
  script plan;
  plan.arrived(answer::whole, {"[::1]:1", "127.0.0.1:1"});
  plan.pass_to(30ms);
  CHECK(plan.cancelled() == "cancel 0; done aborted");
  CHECK(plan.attempts() == "[::1]:1 aborted 30");
  CHECK(plan.cancelled() == "");
}

TEST_CASE("what happens after the end changes nothing") {
  script plan;
  plan.arrived(answer::whole, {"[::1]:1", "127.0.0.1:1"});
  plan.timer(250ms);
  plan.succeeded(0);
  CHECK(plan.failed(1, net_error::operation_aborted) == "");
  CHECK(plan.succeeded(1) == "");
  CHECK(plan.timer(500ms) == "");
  CHECK(plan.attempts() == "[::1]:1 ok 250; 127.0.0.1:1 aborted 0");
}

TEST_CASE("an attempt delay under 10 ms counts as 10 ms") {
  script plan({.attempt_delay = 0ms});
  CHECK(plan.arrived(answer::whole, {"[::1]:1", "127.0.0.1:1"}) == "start 0 [::1]:1; arm 10");
}

TEST_CASE("addresses beyond the first 256 are dropped") {
  connect_plan plan({}, connect_plan::time_point{});
  const std::vector<endpoint> many(300, endpoint::parse("127.0.0.1:1").value());
  plan.arrived(answer::whole, many, {}, {});
  std::size_t done = 0;
  while (const auto next = plan.next()) {
    if (next->what == connect_plan::step::start) {
      plan.failed(next->attempt, net_error::connection_refused, {});
    }
    done += next->what == connect_plan::step::done;
  }
  CHECK(done == 1);
  CHECK(plan.attempts().size() == 256);
}
