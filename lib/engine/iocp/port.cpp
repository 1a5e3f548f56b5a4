#include "engine/iocp/port.hpp"

#include "engine/iocp/winsock.hpp"
#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

namespace fairway::detail::iocp {

namespace {

using testing::kernel_entry;

constexpr std::uint32_t batch_max = 128;
constexpr std::uint32_t no_limit = INFINITE;

static_assert(sizeof(OVERLAPPED) == sizeof(io_op::overlapped));
static_assert(alignof(OVERLAPPED) <= 8);

// io_op has a base class, so the language leaves offsetof to the compiler; all of ours have it.
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
#endif
constexpr std::size_t overlapped_offset = offsetof(io_op, overlapped);
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

// Rounded up: a wait may end early for other reasons, but never because of a lost fraction.
std::uint32_t milliseconds_until(time_point until) noexcept {
  if (until == time_point::max()) return no_limit;
  if (until == time_point::min()) return 0;
  const auto now = std::chrono::steady_clock::now();
  const auto left = until > now ? until - now : duration::zero();
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<std::uint32_t>(std::min<long long>(ms, no_limit - 1));
}

// The Winsock code of a packet that does not tell of success. `Internal` is an NTSTATUS, of which
// only the lower half is sure to be written.
int error_of(SOCKET socket, OVERLAPPED* overlapped) noexcept {
  constexpr unsigned long cancelled = 0xC0000120;  // STATUS_CANCELLED, the everyday one
  if (static_cast<unsigned long>(overlapped->Internal) == cancelled) return WSA_OPERATION_ABORTED;
  DWORD bytes = 0;
  DWORD flags = 0;
  if (::WSAGetOverlappedResult(socket, overlapped, &bytes, FALSE, &flags) != FALSE) return 0;
  return ::WSAGetLastError();
}

// Winsock answers in its own codes, the I/O manager in Win32's.
int winsock_code(int error) noexcept {
  switch (error) {
    case ERROR_NETNAME_DELETED: return WSAECONNRESET;
    case ERROR_CONNECTION_ABORTED: return WSAECONNABORTED;
    case ERROR_CONNECTION_REFUSED: return WSAECONNREFUSED;
    case ERROR_PORT_UNREACHABLE: return WSAECONNREFUSED;
    case ERROR_NETWORK_UNREACHABLE: return WSAENETUNREACH;
    case ERROR_HOST_UNREACHABLE: return WSAEHOSTUNREACH;
    case ERROR_SEM_TIMEOUT: return WSAETIMEDOUT;
    default: return error;
  }
}

// What a socket gives when its own side ends it.
bool of_our_own_doing(int error) noexcept {
  switch (error) {
    case WSA_OPERATION_ABORTED:
    case ERROR_NETNAME_DELETED:  // also what a peer's reset looks like
    case ERROR_CONNECTION_ABORTED:
    case WSAECONNABORTED:
    case WSAEINTR:
    case WSAENOTSOCK: return true;
    default: return false;
  }
}

// Without this a datagram that nobody took fails the next receive (WSAIoctl page,
// SIO_UDP_CONNRESET). A connected socket keeps it: there the refusal is the peer's.
void ignore_datagram_resets(SOCKET socket) noexcept {
  sockaddr_storage peer;
  int size = sizeof peer;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) == 0) return;
  BOOL report = FALSE;
  DWORD bytes = 0;
  ::WSAIoctl(socket, SIO_UDP_CONNRESET, &report, sizeof report, nullptr, 0, &bytes, nullptr,
             nullptr);  // refused where it does not exist: such resets are skipped when they come
}

// Takes the file from its completion port, so that it can join another: Windows 8.1 and later
// (FILE_INFORMATION_CLASS page, FileReplaceCompletionInformation). Wine 8 does not know it.
bool leave_port(HANDLE file) noexcept {
  struct {
    HANDLE port;
    void* key;
  } none{};
  struct {
    ULONG_PTR status, information;
  } io{};
  using set_information = LONG(WINAPI*)(HANDLE, void*, void*, ULONG, int);
  constexpr int file_replace_completion_information = 61;
  const HMODULE ntdll = ::GetModuleHandleW(L"ntdll.dll");
  if (ntdll == nullptr) return false;
  auto* found = reinterpret_cast<void*>(::GetProcAddress(ntdll, "NtSetInformationFile"));
  if (found == nullptr) return false;
  return reinterpret_cast<set_information>(found)(file, &io, &none, sizeof none,
                                                  file_replace_completion_information) == 0;
}

winsock start_winsock() noexcept {
  winsock started;
  WSADATA data;
  started.error = ::WSAStartup(MAKEWORD(2, 2), &data);
  if (started.error != 0) return started;
  started.usable_handles = true;
  for (const int family : {AF_INET, AF_INET6}) {
    const SOCKET probe = make_socket(family, SOCK_STREAM, IPPROTO_TCP);
    if (probe == INVALID_SOCKET) continue;
    (family == AF_INET ? started.connect_v4 : started.connect_v6) =
        extension<LPFN_CONNECTEX>(probe, WSAID_CONNECTEX);
    WSAPROTOCOL_INFOW info{};
    int size = sizeof info;
    if (::getsockopt(probe, SOL_SOCKET, SO_PROTOCOL_INFOW, reinterpret_cast<char*>(&info),
                     &size) != 0 ||
        (info.dwServiceFlags1 & XP1_IFS_HANDLES) == 0) {
      started.usable_handles = false;
    }
    ::closesocket(probe);
  }
  return started;
}

}  // namespace

io_op& operation_of(OVERLAPPED* overlapped) noexcept {
  return *reinterpret_cast<io_op*>(reinterpret_cast<std::byte*>(overlapped) - overlapped_offset);
}

const winsock& use_winsock() noexcept {
  static const winsock started = start_winsock();
  return started;
}

port::port(port_core& core, const port_options& options)
    : core_{core},
      routines_{*this},
      batch_{std::min<std::uint32_t>(options.queue_entries, batch_max)} {
  if (const int error = use_winsock().error; error != 0) {
    throw boost::system::system_error(system_error_code(error), "Winsock");
  }
  // One thread at a time runs a port, so the concurrency limit is one.
  port_ = ::CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1);
  if (port_ == nullptr) {
    throw boost::system::system_error(system_error_code(static_cast<int>(::GetLastError())),
                                      "completion port");
  }
}

port::~port() {
  assert(owed_ == 0);
  ::CloseHandle(port_);
}

error_code port::open(io_object& object) noexcept {
  if (object.registered) return {};
  core_.counts().kernel_entries.add();
  const HANDLE file = file_of(object.handle);
  const auto key = object.listening ? accept_key : operation_key;
  if (::CreateIoCompletionPort(file, port_, key, 0) == nullptr) {
    return system_error_code(static_cast<int>(::GetLastError()));
  }
  object.registered = true;
  object.os.bits &= ~skips_packets;
  if (object.listening) return {};
  if (!object.stream_like) {
    ignore_datagram_resets(socket_of(object));
  } else if (use_winsock().usable_handles) {
    core_.counts().kernel_entries.add();
    if (::SetFileCompletionNotificationModes(
            file, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE) != FALSE) {
      object.os.bits |= skips_packets;
    }
  }
  return {};
}

void port::start(io_op& op) noexcept {
  if (op.kind == op_kind::control) return start_control(op);
  if (const error_code ec = open(*op.object)) {
    core_.complete(op, ec, 0);
    return;
  }
  switch (op.kind) {
    case op_kind::accept: return start_accept(op);
    case op_kind::connect: return start_connect(op);
    case op_kind::read: return start_read(op);
    case op_kind::write: return start_write(op);
    case op_kind::receive: return start_receive(op);
    case op_kind::receive_from: return start_receive_from(op);
    case op_kind::send_to: return start_send_to(op);
    case op_kind::wait: return start_wait(op);
    case op_kind::control:
    case op_kind::timer:
    case op_kind::composite: break;
  }
  assert(false && "not an operation of a backend");
}

_OVERLAPPED* port::prepare(io_op& op) noexcept {
  assert(op.owed == 0);
  return ::new (static_cast<void*>(op.overlapped)) OVERLAPPED{};
}

port::begun port::note_call(io_op& op, bool succeeded, std::size_t bytes) noexcept {
  const bool skips = (op.object->os.bits & skips_packets) != 0;
  if (succeeded) {
    if (skips) return {true, 0, bytes};
  } else {
    const int error = ::WSAGetLastError();
    // "More data" is a warning to the I/O manager: it posts, unless posting is skipped.
    if (error != WSA_IO_PENDING && (error != WSAEMSGSIZE || skips)) return {true, error, 0};
  }
  op.owed = 1;
  ++op.object->os.owed;
  ++owed_;
  return {};
}

void port::end(io_op& op, int error, std::size_t bytes) noexcept {
  switch (op.kind) {
    case op_kind::connect: return end_connect(op, error);
    case op_kind::read: return end_read(op, error, bytes);
    case op_kind::write: return end_write(op, error, bytes);
    case op_kind::receive: return end_receive(op, error, bytes);
    case op_kind::receive_from: return end_receive_from(op, error, bytes);
    case op_kind::wait: return end_wait(op, error);
    case op_kind::control: return end_control(op, error, bytes);
    default: break;
  }
  if (error != 0) {
    fail(op, error);
  } else {
    core_.complete(op, {}, bytes);
  }
}

void port::fail(io_op& op, int error) noexcept {
  const bool ours = op.object->closing || (op.flags & op_cancel_requested) != 0;
  if (error == WSA_OPERATION_ABORTED || (ours && of_our_own_doing(error))) {
    core_.complete(op, boost::asio::error::operation_aborted, 0);
  } else {
    core_.complete(op, system_error_code(winsock_code(error)), 0);
  }
}

void port::cancel(io_op& op) noexcept {
  if (op.object->closing && op.object->os.owed != 0) {
    return;  // `close` follows, cancels all with one call, and ends what the kernel does not have
  }
  if (op.owed == 0) {
    // Nothing of it is in the kernel: an accept waits for the pool, a wait for nothing.
    core_.complete(op, boost::asio::error::operation_aborted, 0);
    return;
  }
  core_.counts().kernel_entries.add();
  // ERROR_NOT_FOUND is a normal answer: its packet is on the way.
  ::CancelIoEx(file_of(op.object->handle), overlapped_of(op));
}

void port::close(io_object& object) noexcept {
  if (object.os.owed == 0) {
    close_now(object);
    return;
  }
  core_.counts().kernel_entries.add();
  ::CancelIoEx(file_of(object.handle), nullptr);
  object.os.bits |= held;
  core_.hold(object);
  if (shutting_down_ || (!object.listening && core_.running_here())) return;
  // A listener's endpoint is to be free when close returns; and while nobody runs the port the next
  // run may never come, and the peer waits for the end. What is cancelled posts at once, so the
  // first look finds it; if not, it is reaped later like others.
  for (int looks = 0; object.os.owed != 0 && looks < 4; ++looks) {
    core_.counts().kernel_entries.add();
    reap(1);
  }
}

void port::close_now(io_object& object) noexcept {
  close_pool(object);
  core_.counts().kernel_entries.add();
  ::closesocket(socket_of(object));
  object.handle = no_handle;
  object.registered = false;
}

// What the kernel did not have ends with the socket. Of a listener's accept that tells that the
// endpoint is free again.
void port::end_rest(io_object& object) noexcept {
  for (io_op* op : object.operations()) {
    if (op == nullptr || !op->in_backend()) continue;
    if (op->kind == op_kind::timer || op->kind == op_kind::composite) continue;
    core_.complete(*op, boost::asio::error::operation_aborted, 0);
  }
}

void port::packet_taken(io_object& object) noexcept {
  assert(object.os.owed > 0 && owed_ > 0);
  --object.os.owed;
  --owed_;
}

native_handle port::release(io_object& object) noexcept {
  if (object.os.owed != 0) {
    // Only a listener's pool: its operations must be over before the socket changes hands.
    object.closing = true;
    ::CancelIoEx(file_of(object.handle), nullptr);
    while (object.os.owed != 0) reap(no_limit);
    object.closing = false;
  }
  if (object.registered && !leave_port(file_of(object.handle))) return no_handle;
  close_pool(object);
  object.registered = false;
  return std::exchange(object.handle, no_handle);
}

void port::close_handle(native_handle handle) noexcept { ::closesocket(socket_of(handle)); }

void port::wait(time_point until) noexcept {
  // With no packet to come a look at the queue finds at most a wake that nobody needs.
  if (until == time_point::min() && owed_ == 0) return;
  if (core_.enter(kernel_entry::wait).error != 0) return;
  std::uint32_t time = milliseconds_until(until);
  if (routines_.look_around()) time = std::min(time, routines::look_again);
  if (!core_.ready.empty()) time = 0;  // the look ended something
  reap(time);
}

unsigned port::reap(std::uint32_t milliseconds) noexcept {
  OVERLAPPED_ENTRY packets[batch_max];
  ULONG count = 0;
  // Alertable: completion routines run here, and end the wait early.
  const routines::waiting here{routines_};
  if (::GetQueuedCompletionStatusEx(port_, packets, batch_, &count, milliseconds, TRUE) == FALSE) {
    return 0;  // a time-out or a routine; `count` says nothing then
  }
  // No handler runs in this loop, so the object of a later packet stays.
  for (ULONG i = 0; i < count; ++i) on_packet(packets[i]);
  return static_cast<unsigned>(count);
}

void port::on_packet(const _OVERLAPPED_ENTRY& packet) noexcept {
  if (packet.lpCompletionKey == wake_key) {
    core_.counts().wakeups_received.add();
    return;
  }
  OVERLAPPED* overlapped = packet.lpOverlapped;
  io_object* object = nullptr;
  const bool succeeded = static_cast<long>(overlapped->Internal) == 0;
  if (packet.lpCompletionKey == accept_key && !is_listeners_control(overlapped)) {
    accept_slot& slot = slot_of(overlapped, object);
    packet_taken(*object);
    end_accept(slot, succeeded ? 0 : error_of(socket_of(*object), overlapped));
  } else {
    io_op& op = operation_of(overlapped);
    object = op.object;
    assert(op.owed == 1);
    op.owed = 0;
    packet_taken(*object);
    const std::size_t bytes = packet.dwNumberOfBytesTransferred;
    end(op, succeeded ? 0 : error_of(socket_of(*object), overlapped), bytes);
  }
  close_if_reaped(*object);
}

void port::close_if_reaped(io_object& object) noexcept {
  if ((object.os.bits & held) == 0 || object.os.owed != 0) return;
  object.os.bits &= ~held;
  close_now(object);
  end_rest(object);
  core_.let_go(object);
}

void port::wake() noexcept {
  // Posting fails only while the kernel is short of memory; a lost wake would stop the port.
  while (::PostQueuedCompletionStatus(port_, 0, wake_key, nullptr) == FALSE) {
    ::SwitchToThread();
  }
}

void port::shutdown() noexcept {
  shutting_down_ = true;
  core_.for_each_object([this](io_object& object) { core_.close(object); });
  // Every cancelled operation posts its packet; asking again each second costs nothing.
  while (owed_ != 0) {
    const bool elsewhere = routines_.look_around();
    if (owed_ == 0 || reap(elsewhere ? routines::look_again : 1000) != 0) continue;
    core_.for_each_object([](io_object& object) {
      if (object.os.owed != 0) ::CancelIoEx(file_of(object.handle), nullptr);
    });
  }
}

}  // namespace fairway::detail::iocp
