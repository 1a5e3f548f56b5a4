#include <fairway/engine/clock.hpp>

#include "engine/port_core.hpp"

#include <algorithm>
#include <cassert>

namespace fairway {

manual_clock::manual_clock(time_point start) noexcept : now_{start.time_since_epoch().count()} {}

manual_clock::~manual_clock() { assert(ports_.empty() && "a clock outlives its ports"); }

port_clock::time_point manual_clock::now() const noexcept {
  return time_point{duration{now_.load(std::memory_order_acquire)}};
}

void manual_clock::advance(duration by) {
  assert(by >= duration::zero());
  std::lock_guard lock{mutex_};
  now_.fetch_add(by.count(), std::memory_order_seq_cst);
  for (completion_port* port : ports_) detail::core_of(*port).wake_if_sleeping();
}

void manual_clock::attach(completion_port& port) {
  std::lock_guard lock{mutex_};
  ports_.push_back(&port);
}

void manual_clock::detach(completion_port& port) noexcept {
  std::lock_guard lock{mutex_};
  std::erase(ports_, &port);
}

}  // namespace fairway
