// Readiness, as far as a completion port can tell it.
//
//   read, stream     a receive of no bytes: data, the end of the stream, or an error is there
//   read, datagram   the same, peeking: a datagram that would not fit is one that is there
//   read, listener   a connection came and waits in the listener's pool
//   write            at once: the kernel queues overlapped sends, so there is always room to start
//   error            never; ends by cancel, deadline or close
//
// WSAEventSelect would know more, but it makes the socket non-blocking and needs a thread to wait
// for its event.

#include "engine/iocp/port.hpp"

#include "engine/control_op.hpp"
#include "engine/iocp/accept_pool.hpp"
#include "engine/iocp/status.hpp"
#include "engine/port_core.hpp"

#include <fairway/result.hpp>

#include <boost/asio/error.hpp>

#include <cassert>
#include <utility>

namespace fairway::detail::iocp {

namespace {

// Whether a control code that fails at once on a socket that skips packets says "pending" and then
// never posts: asked of a socket and a port of its own, once a process.
bool ask_whether_failures_get_lost() noexcept {
  constexpr DWORD some_code = 0x98000010;  // SIO_LOOPBACK_FAST_PATH: often not supported
  constexpr DWORD patience = 50;           // milliseconds; a packet is there at once
  static OVERLAPPED overlapped;            // must outlive a call that would never end
  const SOCKET socket = make_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  const HANDLE file = file_of(static_cast<native_handle>(socket));
  const HANDLE queue = ::CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1);
  bool lost = false;
  if (socket != INVALID_SOCKET && queue != nullptr &&
      ::CreateIoCompletionPort(file, queue, 1, 0) != nullptr &&
      ::SetFileCompletionNotificationModes(file, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) != FALSE) {
    overlapped.Internal = untouched_status;
    BOOL on = TRUE;
    DWORD returned = 0;
    const int status = ::WSAIoctl(socket, some_code, &on, sizeof on, nullptr, 0, &returned,
                                  &overlapped, nullptr);
    if (status != 0 && ::WSAGetLastError() == WSA_IO_PENDING) {
      DWORD bytes = 0;
      ULONG_PTR key = 0;
      OVERLAPPED* packet = nullptr;
      ::GetQueuedCompletionStatus(queue, &bytes, &key, &packet, patience);
      const auto now = static_cast<unsigned long>(overlapped.Internal);
      lost = packet == nullptr && is_error_status(now);
    }
  }
  if (socket != INVALID_SOCKET) ::closesocket(socket);
  if (queue != nullptr) ::CloseHandle(queue);
  return lost;
}

bool failures_get_lost() noexcept {
  static const bool lost = ask_whether_failures_get_lost();
  return lost;
}

void CALLBACK on_routine(DWORD error, DWORD bytes, OVERLAPPED* overlapped, DWORD) {
  routines::ended(error, bytes, overlapped);
}

struct ioctl_result {
  int error = 0;
  DWORD bytes = 0;
};

ioctl_result call(SOCKET socket, const control_work& work, OVERLAPPED* overlapped,
                  LPWSAOVERLAPPED_COMPLETION_ROUTINE routine) noexcept {
  ioctl_result result;
  auto* input = const_cast<std::byte*>(work.input);
  if (::WSAIoctl(socket, work.code, input, work.input_bytes, work.output, work.output_bytes,
                 &result.bytes, overlapped, routine) != 0) {
    result.error = ::WSAGetLastError();
  }
  return result;
}

}  // namespace

// --- control codes ---

int error_of_status(unsigned long status) noexcept {
  if (status == cancelled_status) return WSA_OPERATION_ABORTED;
  if (!is_error_status(status)) return 0;
  // The I/O manager's number, as WSAGetOverlappedResult would have it before Winsock's.
  using convert = ULONG(WINAPI*)(LONG);
  static const auto to_error = reinterpret_cast<convert>(reinterpret_cast<void*>(
      ::GetProcAddress(::GetModuleHandleW(L"ntdll.dll"), "RtlNtStatusToDosError")));
  const ULONG error =
      to_error == nullptr ? ERROR_NOT_SUPPORTED : to_error(static_cast<LONG>(status));
  switch (error) {
    case ERROR_NOT_SUPPORTED:
    case ERROR_INVALID_FUNCTION: return WSAEOPNOTSUPP;
    case ERROR_INVALID_PARAMETER: return WSAEINVAL;
    case ERROR_ACCESS_DENIED: return WSAEACCES;
    case ERROR_NOACCESS: return WSAEFAULT;
    case ERROR_INVALID_HANDLE: return WSAENOTSOCK;
    default: return static_cast<int>(error);
  }
}

void port::owe(io_op& op) noexcept {
  op.owed = 1;
  ++op.object->os.owed;
  ++owed_;
}

_OVERLAPPED* port::overlapped_of(io_op& op) noexcept {
  if (op.kind == op_kind::control && control_of(op).routine_slot != nullptr) {
    return iocp::overlapped_of(*static_cast<routine_slot*>(control_of(op).routine_slot));
  }
  return reinterpret_cast<OVERLAPPED*>(op.overlapped);
}

void port::start_control(io_op& op) noexcept {
  control_op& control = control_of(op);
  io_object& object = *op.object;
  if (const int fault = core_.enter(testing::kernel_entry::control).error) return fail(op, fault);
  if (control.routine) return start_routine(control);
  if (const error_code ec = open(object)) return core_.complete(op, ec, 0);
  OVERLAPPED* overlapped = prepare(op);
  overlapped->Internal = untouched_status;
  const ioctl_result answer = call(socket_of(object), control.work, overlapped, nullptr);
  const bool pending = answer.error == WSA_IO_PENDING;
  if (answer.error != 0 && !pending) return fail(op, answer.error);
  const bool skips = (object.os.bits & skips_packets) != 0;
  const auto status = static_cast<unsigned long>(overlapped->Internal);
  if (!pending && (skips || status == untouched_status)) {
    return core_.complete(op, {}, answer.bytes);
  }
  if (pending && skips && is_error_status(status) && failures_get_lost()) {
    return fail(op, error_of_status(status));
  }
  // A packet may forget the bytes that the call has told.
  control.work.returned = pending ? 0 : static_cast<std::uint32_t>(answer.bytes);
  owe(op);
  if (object.listening) op.next = std::exchange(listeners_controls_, &op);
}

// The packets of a listener are its accepts', with the accept key; a control code of it has the
// same key, because a socket has one. There are few of them, if any.
bool port::is_listeners_control(_OVERLAPPED* overlapped) noexcept {
  operation* before = nullptr;
  for (operation* at = listeners_controls_; at != nullptr; before = at, at = at->next) {
    auto& op = static_cast<io_op&>(*at);
    if (reinterpret_cast<OVERLAPPED*>(op.overlapped) != overlapped) continue;
    if (before != nullptr) {
      before->next = op.next;
    } else {
      listeners_controls_ = static_cast<io_op*>(op.next);
    }
    return true;
  }
  return false;
}

void port::end_control(io_op& op, int error, std::size_t bytes) noexcept {
  if (error != 0) return fail(op, error);
  core_.complete(op, {}, bytes != 0 ? bytes : control_of(op).work.returned);
}

void port::start_routine(control_op& op) noexcept {
  io_object& object = *op.object;
  if (object.registered) return core_.complete(op, error::routine_on_port, 0);
  routine_slot* slot = routines_.take(op);
  if (slot == nullptr) return core_.complete(op, boost::asio::error::no_memory, 0);
  OVERLAPPED* overlapped = iocp::overlapped_of(*slot);
  const ioctl_result answer = call(socket_of(object), op.work, overlapped, &on_routine);
  const bool pending = answer.error == WSA_IO_PENDING;
  const bool untouched = static_cast<unsigned long>(overlapped->Internal) == untouched_status;
  if ((answer.error != 0 && !pending) || (!pending && untouched)) {
    routines_.give(*slot);
    if (answer.error != 0) return fail(op, answer.error);
    return core_.complete(op, {}, answer.bytes);
  }
  // From here on the routine comes, also for what succeeded at once.
  op.work.returned = pending ? 0 : static_cast<std::uint32_t>(answer.bytes);
  owe(op);
}

void port::end_routine(control_op& op, int error, std::size_t bytes) noexcept {
  io_object& object = *op.object;
  assert(op.owed == 1);
  op.owed = 0;
  packet_taken(object);
  end_control(op, error, bytes);
  close_if_reaped(object);
}

// --- readiness ---

void port::start_wait(io_op& op) noexcept {
  io_object& object = *op.object;
  if (const int fault = core_.enter(testing::kernel_entry::poll).error) return fail(op, fault);
  switch (op.waiting) {
    case wait_for::write: return core_.complete(op, {}, 0);
    case wait_for::error: return;
    case wait_for::read: break;
  }
  if (object.listening) return start_accept(op);
  const begun call = receive_nothing(op, object.stream_like ? 0 : MSG_PEEK);
  if (call.over) end_wait(op, call.error);
}

void port::end_wait(io_op& op, int error) noexcept {
  if (error == WSA_OPERATION_ABORTED) {
    fail(op, error);
  } else {
    core_.complete(op, {}, 0);  // an error is something to read as well: the next read has it
  }
}

}  // namespace fairway::detail::iocp
