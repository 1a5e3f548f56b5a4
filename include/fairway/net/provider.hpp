// The seam between Fairway and the transport: the place that WSPIoctl has in Winsock.
//
//   struct refusing : fairway::transport_provider {
//     int ioctl(fairway::ioctl_call& call, int& error) override {
//       log(call.code, call.input_bytes);
//       if (call.command != fairway::control_id::loopback_fast_path) return call.system(error);
//       error = fairway::native_error(fairway::condition::access_denied);
//       return -1;
//     }
//   };
//
// A port asks the provider of its options first; without one it asks the system and pays nothing.
// A provider logs, refuses, or plays a system that this one is not. It answers as WSPIoctl does:
// zero, or -1 with an error number of the system in `error`; `io_pending` there means that the
// answer comes later, through the call's token. Once `system` was called its answer stands.
//
// Threads: asked on the thread that runs the port, or that borrows it. Lifetime: outlives the port.
// Source: Microsoft's page on WSPIoctl.
#pragma once

#include <fairway/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace fairway {

namespace detail {
struct cancel_ticket;
struct control_op;
}  // namespace detail

/// The commands that have a type (control_commands.hpp), and `raw` for all others.
enum class control_id : std::uint8_t {
  raw, address_list, address_list_change, base_handle, bytes_readable, bytes_unsent,
  connect_retries, extension_function, flush, ideal_send_backlog, ideal_send_backlog_change,
  keepalive, loopback_fast_path, routing_interface, routing_interface_change, tcp_information
};

/// The name of the command's type: "keepalive".
std::string_view to_string(control_id command) noexcept;

/// WSA_IO_PENDING, on every system: no errno has this value.
inline constexpr int io_pending = 997;

/// The number by which this system calls a condition: WSAEINVAL or EINVAL, ...
int native_error(condition what) noexcept;

/// Ends a call that a provider left pending. Copies name the same call; the first end counts.
class pending_ioctl {
 public:
  pending_ioctl() = default;
  explicit pending_ioctl(std::shared_ptr<detail::cancel_ticket> call) noexcept
      : call_{std::move(call)} {}
  explicit operator bool() const noexcept { return call_ != nullptr; }
  /// `error` zero: success, with so many bytes in the output. Ignored when the call is over.
  /// Threads: any, while the port lives.
  void complete(int error, std::uint32_t bytes) const;
  friend bool operator==(const pending_ioctl&, const pending_ioctl&) noexcept = default;

 private:
  std::shared_ptr<detail::cancel_ticket> call_;  // null: no call
};

/// The parameters of WSPIoctl. What the pointers point to lives until the call is over.
struct ioctl_call {
  std::uintptr_t socket;
  std::uint32_t code;        // as Winsock numbers it, on every system; a `raw` one as given
  control_id command;
  const std::byte* input;    // null when there is none
  std::uint32_t input_bytes;
  std::byte* output;         // null when there is none
  std::uint32_t output_bytes;
  std::uint32_t* bytes_returned;  // never null; zero when the call is made
  bool overlapped;           // false: must not answer `io_pending`
  bool routine;              // wants a completion routine, on `thread`
  std::uintptr_t thread;     // the system's number of the calling thread (WSATHREADID)

  /// What the system says to the same call; io_pending when that comes later by itself.
  int system(int& error);
  /// For a call that is left pending. One allocation.
  pending_ioctl token();

  detail::control_op* op = nullptr;                   // the engine's; null when not overlapped
  int (*go_on)(ioctl_call& call, int& error) = nullptr;  // the engine's
};

class transport_provider {
 public:
  virtual ~transport_provider() = default;

  /// A control code. Default: the system's answer.
  virtual int ioctl(ioctl_call& call, int& error) { return call.system(error); }

  /// A call that this provider left pending is to end (cancel, close, the end of the port). When
  /// this returns, the provider no longer uses the call's memory; unless it completed the call
  /// with something else, the call ends with operation aborted.
  virtual void cancel(const pending_ioctl& call) { static_cast<void>(call); }

  // Asked before the engine does it itself. Zero lets it; -1 makes it fail with `error`.
  // `address` is the system's socket address.

  virtual int bind(std::uintptr_t socket, const void* address, std::size_t bytes, int& error);
  virtual int listen(std::uintptr_t socket, int backlog, int& error);
  virtual int connect(std::uintptr_t socket, const void* address, std::size_t bytes, int& error);
  /// After a connection has been accepted; refusing closes it and fails the accept.
  virtual int accept(std::uintptr_t listener, std::uintptr_t accepted, int& error);
};

}  // namespace fairway
