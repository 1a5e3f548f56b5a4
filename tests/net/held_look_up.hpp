// Replaces the system's look-up of names while it lives, so that a test needs no name server and
// can hold the resolver's thread: the host `held` is answered only after release(), "unknown" is
// host_not_found, "nowhere" has no addresses, and every other host is 127.0.0.9:9 at once.
#pragma once

#include "net/resolver.hpp"
#include "support/tickets.hpp"

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

namespace fairway::testing {

class held_look_up {
 public:
  static constexpr const char* held = "held";

  held_look_up() : before_(detail::exchange_look_up(&answer)) {
    const std::lock_guard lock(mutex_);
    released_ = false;
    entered_ = 0;
    names_ = 0;
  }
  ~held_look_up() {
    release();
    wait_until_idle();
    detail::exchange_look_up(before_);
  }
  held_look_up(const held_look_up&) = delete;
  held_look_up& operator=(const held_look_up&) = delete;

  /// Waits until the resolver's thread is inside the look-up of `held`.
  void wait_until_held() {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, patience, [] { return entered_ > 0; }));
  }

  void release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

  /// Waits until everything asked so far has been looked up and its asker told.
  void wait_until_idle() {
    support::tickets done;
    const auto query = std::make_shared<detail::name_query>(
        "last", "1", [](void* s) noexcept { static_cast<support::tickets*>(s)->release(); },
        &done);
    if (!query->start()) {
      CHECK(done.try_acquire_for(patience));
    }
    query->close();
  }

  /// How many look-ups were made.
  static int names() {
    const std::lock_guard lock(mutex_);
    return names_;
  }

  static endpoint found() { return endpoint::parse("127.0.0.9:9").value(); }

 private:
  static constexpr auto patience = std::chrono::seconds(20);

  static detail::look_up_answer answer(const std::string& host, const std::string&,
                                       detail::look_up_kind) {
    std::unique_lock lock(mutex_);
    ++names_;
    if (host == held) {
      ++entered_;
      changed_.notify_all();
      changed_.wait(lock, [] { return released_; });
    }
    if (host == "unknown") {
      return {.error = boost::asio::error::host_not_found, .found = {}};
    }
    if (host == "nowhere") {
      return {};
    }
    return {.error = {}, .found = {found()}};
  }

  static inline std::mutex mutex_;
  static inline std::condition_variable changed_;
  static inline bool released_ = false;
  static inline int entered_ = 0;
  static inline int names_ = 0;
  detail::look_up_function* before_;
};

}  // namespace fairway::testing
