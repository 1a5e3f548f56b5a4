// Control codes that end by a completion routine: an APC of the thread that asked.
//
// A routine runs only while its thread waits alertably, which the port does (GetQueuedCompletion-
// StatusEx), and it only queues the operation: no Winsock function is called from it. It belongs to
// its thread, not to the port. A port that has moved to another thread looks at what the old one
// still holds, every turn and at most `look_again` later: an operation that is over is taken from
// its OVERLAPPED, and so is one whose thread has ended, which aborted it without a word (WSAIoctl
// page: "because of a thread exit"). A slot that is taken this way is left to the routine, which
// frees it when it runs after all, or to the next look when its thread has ended.
//
// Threads: the owner of the port, but `ended`, which runs on the thread that asked. What both
// touch of a slot is guarded by one mutex of the process.
#pragma once

#include <cstddef>
#include <cstdint>

struct _OVERLAPPED;

namespace fairway::detail {
struct control_op;
}  // namespace fairway::detail

namespace fairway::detail::iocp {

class port;
struct routine_slot;
struct routine_thread;

class routines {
 public:
  static constexpr std::uint32_t look_again = 50;  // milliseconds

  explicit routines(port& owner) noexcept : port_{owner} {}
  routines(const routines&) = delete;
  routines& operator=(const routines&) = delete;
  ~routines();

  // The slot that `op` is going to use, its OVERLAPPED prepared; null: no memory.
  routine_slot* take(control_op& op) noexcept;
  // Its call has failed, or succeeded without a routine.
  void give(routine_slot& slot) noexcept;
  // Takes what ended outside the port's wait. True: another thread than this one has something.
  bool look_around() noexcept;

  // Marks the time in which the port's thread waits alertably.
  class waiting {
   public:
    explicit waiting(routines& all) noexcept;
    waiting(const waiting&) = delete;
    waiting& operator=(const waiting&) = delete;
    ~waiting() { all_.waits_ = 0; }

   private:
    routines& all_;
  };

  // What the system calls in the end.
  static void ended(unsigned long error, unsigned long bytes, _OVERLAPPED* overlapped) noexcept;

 private:
  void end(routine_slot& slot, int error, std::size_t bytes) noexcept;
  bool take_over(routine_slot& slot) noexcept;
  void unlink(routine_slot& slot) noexcept;

  port& port_;
  routine_slot* pending_ = nullptr;
  routine_slot* spare_ = nullptr;
  routine_thread* thread_ = nullptr;  // counted; null before the first routine
  unsigned long waits_ = 0;           // the number of the thread that waits; 0: none
};

_OVERLAPPED* overlapped_of(routine_slot& slot) noexcept;

}  // namespace fairway::detail::iocp
