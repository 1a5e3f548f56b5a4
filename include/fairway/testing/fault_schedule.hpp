// Faults on demand, for tests: of the engine and of programs built on it.
//
// A schedule given in `port_options::faults` is asked before every kernel entry that a port makes
// for an operation and for every completion that it takes. It can make an entry fail or transfer
// less, and make a completion fail, come later, come out of order or come twice. System call
// interposers do not see io_uring's completions; this seam does.
//
// Threads: called on the port's thread only. Lifetime: outlives the port.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace fairway::testing {

// Where a port enters the kernel.
enum class kernel_entry : std::uint8_t {
  wait, submit, accept, connect, send, receive, poll, control, wake
};

// What kind of operation a completion belongs to.
enum class operation_kind : std::uint8_t {
  accept, connect, read, write, receive, receive_from, send_to, wait, control
};

struct entry_fault {
  int error = 0;  // errno or Winsock code to fail with instead of entering; 0: enter
  std::size_t bytes_max = std::numeric_limits<std::size_t>::max();  // transfer at most so much
  // Make the kernel end early what it repeats by itself: io_uring's multishot accept (asked with
  // `accept`) and the multishot poll that wakes the port (asked with `wake`). Elsewhere nothing.
  bool end_multishot = false;
};

struct completion_fault {
  int error = 0;             // replace success by this native error (bytes are then lost: closes)
  unsigned delay_turns = 0;  // deliver so many turns of the loop later; others overtake it
  bool repeat = false;       // deliver twice; the engine must ignore the second
};

class fault_schedule {
 public:
  virtual ~fault_schedule() = default;
  virtual entry_fault on_entry(kernel_entry) { return {}; }
  virtual completion_fault on_completion(operation_kind, int /*error*/, std::size_t /*bytes*/) {
    return {};
  }
};

}  // namespace fairway::testing
