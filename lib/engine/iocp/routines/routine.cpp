#include "engine/iocp/routines/routine.hpp"

#include "engine/control_op.hpp"
#include "engine/iocp/port.hpp"
#include "engine/iocp/status.hpp"
#include "engine/port_core.hpp"

#include <cassert>
#include <mutex>
#include <new>
#include <utility>

namespace fairway::detail::iocp {

// A thread that has asked for routines; counted by the slots that are its and by its port.
struct routine_thread {
  DWORD number;
  HANDLE handle;  // null: it could not be opened, and never ends for us
  unsigned references = 1;

  bool ended() const noexcept {
    return handle != nullptr && ::WaitForSingleObject(handle, 0) == WAIT_OBJECT_0;
  }
};

struct routine_slot {
  OVERLAPPED overlapped{};  // first: the routine is given its address
  control_op* op = nullptr;
  routines* owner = nullptr;  // guarded; null: nobody waits for it any more
  routine_thread* thread = nullptr;
  routine_slot* next = nullptr;
  bool arrived = false;  // guarded: the routine ran outside the port's wait, with
  int error = 0;         // this
  std::size_t bytes = 0;
};

namespace {

// Guards `owner` of every slot, and this list.
std::mutex guard;
routine_slot* abandoned = nullptr;  // over, but their routines may still run

void drop(routine_thread*& thread) noexcept {
  if (thread == nullptr || --thread->references != 0) {
    thread = nullptr;
    return;
  }
  if (thread->handle != nullptr) ::CloseHandle(thread->handle);
  delete std::exchange(thread, nullptr);
}

void forget_abandoned(routine_slot& slot) noexcept {
  routine_slot** at = &abandoned;
  while (*at != &slot) at = &(*at)->next;
  *at = slot.next;
  drop(slot.thread);
  delete &slot;
}

// Called with `guard` held. Routines of threads that have ended never run.
void sweep_abandoned() noexcept {
  for (routine_slot* slot = abandoned; slot != nullptr;) {
    routine_slot* following = slot->next;
    if (slot->thread->ended()) forget_abandoned(*slot);
    slot = following;
  }
}

}  // namespace

_OVERLAPPED* overlapped_of(routine_slot& slot) noexcept { return &slot.overlapped; }

routines::waiting::waiting(routines& all) noexcept : all_{all} {
  all_.waits_ = ::GetCurrentThreadId();
}

routines::~routines() {
  assert(pending_ == nullptr);
  while (spare_ != nullptr) delete std::exchange(spare_, spare_->next);
  const std::lock_guard lock{guard};
  drop(thread_);
}

routine_slot* routines::take(control_op& op) noexcept {
  const DWORD me = ::GetCurrentThreadId();
  if (thread_ == nullptr || thread_->number != me) {
    auto* fresh = new (std::nothrow) routine_thread{me, ::OpenThread(SYNCHRONIZE, FALSE, me)};
    if (fresh == nullptr) return nullptr;
    const std::lock_guard lock{guard};
    drop(thread_);
    thread_ = fresh;
  }
  routine_slot* slot = spare_;
  if (slot != nullptr) {
    spare_ = slot->next;
  } else {
    slot = new (std::nothrow) routine_slot;
    if (slot == nullptr) return nullptr;
  }
  const std::lock_guard lock{guard};
  slot->overlapped = OVERLAPPED{};
  slot->overlapped.Internal = untouched_status;
  slot->op = &op;
  slot->owner = this;
  slot->thread = thread_;
  ++thread_->references;
  slot->arrived = false;
  slot->next = std::exchange(pending_, slot);
  op.routine_slot = slot;
  return slot;
}

void routines::unlink(routine_slot& slot) noexcept {
  routine_slot** at = &pending_;
  while (*at != &slot) at = &(*at)->next;
  *at = slot.next;
  slot.op->routine_slot = nullptr;
}

void routines::give(routine_slot& slot) noexcept {
  unlink(slot);
  const std::lock_guard lock{guard};
  slot.owner = nullptr;
  drop(slot.thread);
  slot.next = std::exchange(spare_, &slot);
}

void routines::ended(unsigned long error, unsigned long bytes, _OVERLAPPED* overlapped) noexcept {
  auto& slot = *reinterpret_cast<routine_slot*>(overlapped);
  routines* owner = nullptr;
  {
    const std::lock_guard lock{guard};
    owner = slot.owner;
    if (owner == nullptr) return forget_abandoned(slot);
    slot.error = static_cast<int>(error);
    slot.bytes = bytes;
    if (owner->waits_ != ::GetCurrentThreadId()) {
      // A handler that waits alertably, or another thread than the one that runs the port now.
      slot.arrived = true;
      owner->port_.wake();
      return;
    }
  }
  owner->end(slot, slot.error, slot.bytes);
}

void routines::end(routine_slot& slot, int error, std::size_t bytes) noexcept {
  control_op& op = *slot.op;
  give(slot);
  port_.end_routine(op, error, bytes);
}

// Takes the end of another thread's operation from its OVERLAPPED. False: not over yet.
bool routines::take_over(routine_slot& slot) noexcept {
  control_op& op = *slot.op;
  int error = WSA_OPERATION_ABORTED;  // by the end of the thread, also where nobody says so
  std::size_t bytes = 0;
  {
    const std::lock_guard lock{guard};
    const auto status = static_cast<unsigned long>(slot.overlapped.Internal);
    const bool over = status != untouched_status && status != pending_status;
    if (!over && !slot.thread->ended()) return false;
    if (over) {
      error = error_of_status(status);
      bytes = slot.overlapped.InternalHigh;
    }
    unlink(slot);
    slot.owner = nullptr;
    slot.next = std::exchange(abandoned, &slot);
    sweep_abandoned();
  }
  port_.end_routine(op, error, bytes);
  return true;
}

bool routines::look_around() noexcept {
  const DWORD me = ::GetCurrentThreadId();
  bool left = false;
  for (routine_slot* slot = pending_; slot != nullptr;) {
    routine_slot* following = slot->next;
    bool arrived = false;
    {
      const std::lock_guard lock{guard};
      arrived = slot->arrived;
    }
    if (arrived) {
      end(*slot, slot->error, slot->bytes);
    } else if (slot->thread->number != me && !take_over(*slot)) {
      left = true;
    }
    slot = following;
  }
  return left;
}

}  // namespace fairway::detail::iocp
