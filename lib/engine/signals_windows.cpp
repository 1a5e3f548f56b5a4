#include "engine/signals_os.hpp"

#include <atomic>

#include <windows.h>

namespace fairway::detail {

namespace {

// Read by console handlers on threads of their own, written under the registry's lock.
std::atomic<unsigned> installed{0};

unsigned kind_of(DWORD event) noexcept {
  switch (event) {
    case CTRL_C_EVENT: return 1;
    case CTRL_BREAK_EVENT: return 2;
    default: return 4;  // close, log-off and shutdown
  }
}

BOOL WINAPI on_console_event(DWORD event) {
  const unsigned kind = kind_of(event);
  if ((installed.load(std::memory_order_acquire) & kind) == 0) return FALSE;  // the next handler
  raise_signal(kind);
  // After these events the process ends as soon as its handlers return, and after some seconds in
  // any case (HandlerRoutine page); what drains now has those seconds.
  if (kind == 4) ::Sleep(INFINITE);
  return TRUE;
}

}  // namespace

bool install_signal(unsigned kind) noexcept {
  if (installed.load(std::memory_order_acquire) == 0 &&
      ::SetConsoleCtrlHandler(&on_console_event, TRUE) == FALSE) {
    return false;
  }
  installed.fetch_or(kind, std::memory_order_acq_rel);
  return true;
}

void remove_signal(unsigned kind) noexcept {
  const unsigned before = installed.fetch_and(~kind, std::memory_order_acq_rel);
  if (before != 0 && (before & ~kind) == 0) ::SetConsoleCtrlHandler(&on_console_event, FALSE);
}

}  // namespace fairway::detail
