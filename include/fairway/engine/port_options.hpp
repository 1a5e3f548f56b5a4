// What a completion port is made with.
//
// Every field has a safe default and nothing is unbounded; values out of range are brought into it.
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>

namespace fairway {

class port_clock;
class transport_provider;
namespace testing {
class fault_schedule;
}

// The kernel interface under a port. `automatic` is the best one the system allows: `iocp` on
// Windows, `io_uring` on Linux, and `epoll` where io_uring is refused.
enum class engine_kind { automatic, iocp, io_uring, epoll };

// "automatic", "iocp", "io_uring" or "epoll".
std::string_view to_string(engine_kind kind) noexcept;

// Returns true and stores the kind when `name` is one of the four names above.
bool parse_engine(std::string_view name, engine_kind& kind) noexcept;

struct port_options {
  // Asking for an engine that the system refuses makes the constructor throw
  // `boost::system::system_error`. The environment variable FAIRWAY_ENGINE replaces `automatic`.
  engine_kind engine = engine_kind::automatic;

  // Entries of the submission queue (io_uring; a power of two, 8 to 32768) and completions taken
  // from the kernel at once (all engines, at most 512 there).
  unsigned queue_entries = 1024;

  // The size of one buffer that `async_receive` hands out, also the most that a view of shared
  // memory shows (received.hpp), and how many buffers a port makes at most.
  // Buffers are made when first needed; when all are out, receives wait until one comes back.
  std::size_t receive_buffer_bytes = 16 * 1024;
  unsigned receive_buffers_max = 1024;

  // Handlers between two looks at the kernel queue, timers and foreign posts; an accept counts 16.
  unsigned handlers_per_turn = 64;

  // Busy polling: how long the port looks at its queues at most before it sleeps, 0 to a second.
  // Nobody has to wake a port that still looks: round trips get shorter and whoever sends spends
  // less, at the price of up to so much processor time a sleep. After four looks in vain the port
  // sleeps at once, until a sleep was short enough that looking might have been enough; an idle
  // port does not look. 50 us suit a port with a processor of its own; where processors are shared
  // leave it at 0. A port with a clock of its own does not look.
  std::chrono::microseconds busy_poll{0};

  // Null: the steady clock. Else it must outlive the port.
  port_clock* clock = nullptr;

  // Null: the system. Else it is asked first (net/provider.hpp), and must outlive the port.
  transport_provider* provider = nullptr;

  // Null: none. For tests; it must outlive the port.
  testing::fault_schedule* faults = nullptr;
};

}  // namespace fairway
