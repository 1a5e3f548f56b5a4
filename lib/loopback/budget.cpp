#include "loopback/budget.hpp"

#include <fairway/loopback.hpp>

#include <atomic>

namespace fairway {

namespace {

// Relaxed wherever they are used, see the header.
std::atomic<std::size_t> most{loopback_memory_usual};
std::atomic<std::size_t> in_use{0};

}  // namespace

void set_loopback_memory_max(std::size_t bytes) noexcept {
  most.store(bytes, std::memory_order_relaxed);  // see the header
}

std::size_t loopback_memory_max() noexcept {
  return most.load(std::memory_order_relaxed);  // see the header
}

std::size_t loopback_memory() noexcept {
  return in_use.load(std::memory_order_relaxed);  // see the header
}

namespace detail::shm::budget {

bool take(std::size_t bytes) noexcept {
  // A limit and a compare-and-swap, not an addition that is taken back: two that try at once would
  // each see the other's.
  std::size_t before = loopback_memory();
  do {
    const std::size_t limit = loopback_memory_max();
    if (before > limit || bytes > limit - before) return false;
  } while (!in_use.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
  return true;
}

void give_back(std::size_t bytes) noexcept {
  in_use.fetch_sub(bytes, std::memory_order_relaxed);  // see the header
}

}  // namespace detail::shm::budget
}  // namespace fairway
