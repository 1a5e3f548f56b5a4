#include <fairway/engine/port_group.hpp>

#include "engine/port_core.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace fairway {

port_group::port_group(std::size_t ports, const port_options& options) {
  const std::size_t wanted = ports != 0 ? ports : std::max(1u, std::thread::hardware_concurrency());
  ports_.reserve(wanted);
  for (std::size_t i = 0; i < wanted; ++i) {
    ports_.push_back(std::make_unique<completion_port>(options));
  }
}

port_group::~port_group() {
  stop();
  for (std::thread& t : threads_) t.join();
  guards_.clear();
  // What a handler on one port holds may belong to another one: all discard before any goes. A
  // discarded handler may post, hence the second round; the rest falls to each port's destructor.
  for (auto& port : ports_) detail::core_of(*port).shutdown();
  for (int round = 0; round < 2; ++round) {
    for (auto& port : ports_) detail::core_of(*port).discard_all();
  }
}

completion_port& port_group::next() noexcept {
  // Relaxed: only spreads; no other memory depends on it.
  return *ports_[turn_.fetch_add(1, std::memory_order_relaxed) % ports_.size()];
}

completion_port& port_group::least_loaded() noexcept {
  const auto load = [](const auto& port) { return port->statistics().operations_in_flight; };
  return **std::min_element(ports_.begin(), ports_.end(), [&](const auto& a, const auto& b) {
    return load(a) < load(b);
  });
}

void port_group::start() {
  assert(threads_.empty() && "start after join");
  threads_.reserve(ports_.size());
  guards_.reserve(ports_.size());
  for (auto& port : ports_) {
    port->restart();
    guards_.emplace_back(port->get_executor());
  }
  // A stop that came before is not undone by the restarts above.
  if (stopping_.load(std::memory_order_seq_cst)) stop();
  for (auto& port : ports_) {
    threads_.emplace_back([this, &port] { run_one_port(*port); });
  }
}

void port_group::run_one_port(completion_port& port) {
  try {
    port.run();
  } catch (...) {
    {
      std::lock_guard lock{mutex_};
      if (failure_ == nullptr) failure_ = std::current_exception();
    }
    stop();
  }
}

void port_group::stop() noexcept {
  stopping_.store(true, std::memory_order_seq_cst);
  for (auto& port : ports_) port->stop();
}

void port_group::join() {
  for (std::thread& t : threads_) t.join();
  threads_.clear();
  guards_.clear();
  stopping_.store(false, std::memory_order_seq_cst);
  std::unique_lock lock{mutex_};
  if (std::exception_ptr failure = std::exchange(failure_, nullptr)) {
    lock.unlock();
    std::rethrow_exception(failure);
  }
}

void port_group::run() {
  start();
  join();
}

}  // namespace fairway
