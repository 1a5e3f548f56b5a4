// How long to look before a sleep: the whole window, halves, nothing, trials.
#include "engine/poll_window.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace std::chrono_literals;
using fairway::detail::poll_window;

namespace {

constexpr auto whole = 80us;

// Waits that end after `time` without a find until the next look is allowed; at most 5,000.
int waits_until_trial(poll_window& w, poll_window::duration time) {
  for (int waits = 1; waits <= 5000; ++waits) {
    w.slept(time);
    w.woken();
    if (w.length() > 0us) return waits;
  }
  return 0;
}

void miss_all(poll_window& w) {
  while (w.length() > 0us) {
    w.missed(w.length());
    w.slept(1s);
    w.woken();
  }
}

}  // namespace

TEST_CASE("a window that finds nothing is halved, and after four there is none") {
  poll_window w{whole};
  for (const auto expected : {40us, 20us, 10us, 0us}) {
    w.missed(w.length());
    CHECK(w.length() == expected);
  }
}

TEST_CASE("parts of a window that something cut short count together") {
  poll_window w{whole};
  w.missed(50us);
  CHECK(w.length() == whole);
  w.missed(30us);
  CHECK(w.length() == 40us);
  w.missed(39us);
  w.found();
  w.missed(79us);
  CHECK(w.length() == whole);
}

TEST_CASE("a find makes the window whole again") {
  poll_window w{whole};
  w.missed(w.length());
  w.missed(w.length());
  w.found();
  CHECK(w.length() == whole);
  w.missed(w.length());
  CHECK(w.length() == 40us);
}

TEST_CASE("a short sleep earns one window on trial, and trials in vain become rare") {
  poll_window w{whole};
  miss_all(w);
  int before = waits_until_trial(w, 30us);
  CHECK(before == 1);
  for (int trial = 0; trial < 10; ++trial) {
    CHECK(w.length() == whole);
    w.missed(w.length());
    CHECK(w.length() == 0us);
    const int waits = waits_until_trial(w, 30us);
    CHECK(waits > before);
    before = waits;
  }
  CHECK(before > 500);
  w.missed(w.length());
  CHECK(waits_until_trial(w, 30us) <= 1024);
  w.found();
  miss_all(w);
  CHECK(waits_until_trial(w, 30us) == 1);
}

TEST_CASE("what came after a long wait, looking included, is no reason to look") {
  poll_window w{whole};
  miss_all(w);
  CHECK(waits_until_trial(w, 161us) == 0);
  CHECK(waits_until_trial(w, 160us) == 1);
  w.missed(w.length());  // 80 us of looking go before the sleep
  CHECK(waits_until_trial(w, 1ms) == 0);
}

TEST_CASE("sleeps that something else ended are one long wait") {
  poll_window w{whole};
  miss_all(w);
  for (int part = 0; part < 6; ++part) w.slept(30us);
  w.woken();
  CHECK(w.length() == 0us);
  for (int part = 0; part < 5; ++part) w.slept(30us);
  w.woken();
  CHECK(w.length() == whole);
}

TEST_CASE("a find ends the wait before it") {
  poll_window w{whole};
  w.slept(1s);
  w.found();
  for (int i = 0; i < 4; ++i) w.missed(w.length());
  w.slept(2us);
  w.woken();
  CHECK(w.length() == whole);
}

TEST_CASE("a window of nothing stays so") {
  poll_window w{0us};
  CHECK_FALSE(w.is_ever());
  CHECK(waits_until_trial(w, 0us) == 0);
  w.found();
  CHECK(w.length() == 0us);
}
