// The one contract of the three backends, and which of them this build has.
//
// A backend is a class `port` in its own namespace (`epoll`, `io_uring`, `iocp`), made by
// `port(port_core&, const port_options&)`, which throws `boost::system::system_error` when the
// kernel refuses. All members are called by the thread that owns the port, except `wake`.
//
//   reason()        text for engine_reason(): flags or features that were dropped; may be empty
//   attach()        a thread is about to run the port (after construction or a move): enables or
//                   rebuilds what belongs to one thread. Called at the start of every run function.
//   flush()         optional: what is queued for the kernel goes there now, because the next turn
//                   may be far away (a run function returns) or must come after it.
//   open(object)    optional early registration; `start` registers lazily when it was not called.
//                   Returns the error.
//   start(op)       begins `op` (kind, object, vecs, address, ... are set; state is `started`).
//                   Either calls `core.complete(op, ec, bytes)` (now or later), exactly once.
//                   Completing inside `start` is fine: it only queues. A submission queue that is
//                   full is the backend's to hide (queue it, flush, go on).
//                   A `control` op is a control_op: its `work` says what to ask of the system, and
//                   `routine` (Windows) that the answer comes by a completion routine. It never
//                   runs beside another one of its object.
//   cancel(op)      asks for the end of `op`; harmless when it is on its way out. The completion
//                   tells what happened: bytes or a handle that were already there win. Ends with
//                   operation_aborted otherwise. Nothing completes inside the caller's handler.
//   close(object)   `object.closing` is set: cancels all its operations, gives back the handle
//                   (closing it) when the kernel owes nothing for it any more; until then it
//                   keeps the object (core.hold/let_go). Unclaimed accepted sockets are closed.
//   release(object) -> native_handle: forgets the object without closing its handle (no operation
//                   in flight); used to hand a socket to another port. `no_handle`: the system
//                   cannot take the handle from this port; the object stays as it was.
//   close_handle(handle)   closes a socket that no object has (an accepted one that nobody took).
//   wait(until)     one kernel entry: submits what is queued, waits until a completion, a wake or
//                   the time `until` (steady clock; time_point::min() = do not wait,
//                   time_point::max() = no limit), and turns what came into core.complete() calls.
//                   May return early. Never runs a handler. EINTR is an early return.
//   wake()          any thread, async-signal-safe on POSIX: makes a `wait` return. Sticky: a wake
//                   before the wait counts.
//   shutdown()      the port is being destroyed: cancels everything, reaps until the kernel owes
//                   nothing (waiting as needed), closes all handles of the port's objects.
//                   Operations end up completed (they are then discarded).
//
// Faults: `core.enter(kernel_entry)` counts a system call and asks about it, `core.entry_fault`
// asks for an operation whose system call comes later; `core.complete` applies completion faults
// itself.
#pragma once

#if defined(_WIN32)
#include "engine/iocp/port.hpp"
#else
#include "engine/epoll/port.hpp"
#include "engine/io_uring/port.hpp"
#endif

#include <memory>
#include <string>

namespace fairway::detail {

#if defined(_WIN32)

class backend {
 public:
  backend(port_core& core, const port_options& options);
  engine_kind kind() const noexcept { return engine_kind::iocp; }
  const std::string& reason() const noexcept { return reason_; }
  template <class Call>
  decltype(auto) with(Call&& call) {
    return call(*port_);
  }

 private:
  std::string reason_;
  std::unique_ptr<iocp::port> port_;
};

#else

// One of two, chosen when the port is made; a predictable branch instead of a virtual call.
class backend {
 public:
  backend(port_core& core, const port_options& options);
  engine_kind kind() const noexcept {
    return ring_ ? engine_kind::io_uring : engine_kind::epoll;
  }
  const std::string& reason() const noexcept { return reason_; }
  template <class Call>
  decltype(auto) with(Call&& call) {
    return ring_ ? call(*ring_) : call(*epoll_);
  }

 private:
  std::string reason_;
  std::unique_ptr<io_uring::port> ring_;
  std::unique_ptr<epoll::port> epoll_;
};

#endif

}  // namespace fairway::detail
