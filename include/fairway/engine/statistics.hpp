// What a port counts about itself.
//
// Always on; reading it stops nothing. Each number is exact, but they are not read at one moment.
#pragma once

#include <fairway/loopback.hpp>

#include <array>
#include <cstdint>

namespace fairway {

struct port_statistics {
  std::uint64_t kernel_entries = 0;      // system calls made by the engine, transfers included
  std::uint64_t submissions = 0;         // operations handed to the kernel
  std::uint64_t completions = 0;         // operations ended, by whatever way
  std::uint64_t inline_completions = 0;  // of those, ended while they were being started
  std::uint64_t wakeups_sent = 0;        // wakes of a sleeping port by other threads
  std::uint64_t wakeups_received = 0;    // returns from the kernel caused by such a wake
  std::uint64_t handlers_run = 0;        // handlers and posted functions
  std::uint64_t overflows = 0;           // a submission queue, completion queue or pool was full
  std::uint64_t accept_pauses = 0;       // accepting paused because descriptors ran out
  std::uint64_t operations_in_flight = 0;  // started, handler not yet run
  std::uint64_t timers = 0;                // deadlines and timers armed
  std::uint64_t doorbells_sent = 0;      // wakes of a sleeping peer of a shared-memory stream
  std::uint64_t doorbells_received = 0;  // notes that such peers sent
  // Connections that asked for shared memory, by what they were told: `not_yet` for each that both
  // ends asked for, `none` for each of those that moved, else why it is TCP.
  std::array<std::uint64_t, path_reason_count> loopback{};
};

}  // namespace fairway
