// A listener's part of the io_uring backend: its multishot accept and what that brought.
//
// Threads: the owner of the port. Lifetime: from the first accept until the listener's descriptor
// is closed; the kernel holds its address while `armed`.
#pragma once

#include "engine/operation.hpp"

#include <cstddef>
#include <vector>

namespace fairway::detail::io_uring {

// Connections taken before anybody asked: at the first number accepting stops, so that the rest
// stays in the kernel's backlog; it starts again when fewer than the second are left.
inline constexpr std::size_t unclaimed_max = 64;
inline constexpr std::size_t unclaimed_low = 16;

struct alignas(16) accept_queue {
  explicit accept_queue(io_object& o) noexcept : object{&o} {}

  io_object* object;
  accept_queue* next = nullptr;  // list of the moment, while a ring is given up
  std::vector<int> unclaimed;
  std::size_t taken = 0;         // of them, from the front
  bool armed = false;            // a request is in the kernel
  bool readiness = false;        // it is a poll: the listener is non-blocking
  bool disarm = false;           // it is to be cancelled
  bool cancel_pushed = false;

  std::size_t size() const noexcept { return unclaimed.size() - taken; }
  int take() noexcept {
    const int fd = unclaimed[taken++];
    if (taken == unclaimed.size()) {
      unclaimed.clear();
      taken = 0;
    }
    return fd;
  }
};

}  // namespace fairway::detail::io_uring
