// Control codes on Windows: one call of WSAIoctl each.
#include "net/control_state.hpp"

#include "engine/iocp/winsock.hpp"

namespace fairway::detail::control_system {

void plan(control_work&) noexcept {}

int ask(native_handle handle, control_work& work) noexcept {
  DWORD returned = 0;
  auto* input = const_cast<std::byte*>(work.input);
  if (::WSAIoctl(iocp::socket_of(handle), work.code, input, work.input_bytes, work.output,
                 work.output_bytes, &returned, nullptr, nullptr) != 0) {
    return ::WSAGetLastError();
  }
  work.returned = returned;
  return 0;
}

// The port waits for all of them.
bool wait_elsewhere(control_state&) { return false; }

std::uintptr_t this_thread() noexcept { return ::GetCurrentThreadId(); }

}  // namespace fairway::detail::control_system
