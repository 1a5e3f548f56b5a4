// The epoll backend: readiness turned into completions.
//
// A descriptor is registered once, edge-triggered for reading and writing, when an operation on it
// first has to wait; after that no epoll_ctl is made for it until it closes. Two bits on the object
// remember readiness: set by an edge, cleared when a call would have blocked or came back short. An
// operation is tried at once when its bit is set (or nothing is known yet), else it waits in user
// space for the edge: an idle stream's read costs no system call to start. Transfers use
// MSG_DONTWAIT, so the descriptor's own flags do not matter; only listening and connecting
// descriptors are made non-blocking.
//
// Because nothing is in the kernel's hands, `owed` stays zero: a cancel completes at once and a
// close closes at once.
//
// Threads: the port's owner, but `wake`.
#pragma once

#include "engine/operation.hpp"

#include <string>

#include <sys/types.h>

struct epoll_event;
struct msghdr;

namespace fairway {
struct port_options;
}

namespace fairway::detail::epoll {

class port {
 public:
  port(port_core& core, const port_options& options);
  port(const port&) = delete;
  port& operator=(const port&) = delete;
  ~port();

  std::string reason() const { return {}; }
  void attach() noexcept {}
  error_code open(io_object& object) noexcept;
  void start(io_op& op) noexcept;
  void cancel(io_op& op) noexcept;
  void close(io_object& object) noexcept;
  native_handle release(io_object& object) noexcept;
  void close_handle(native_handle handle) noexcept;
  // A write of an idle side, without an operation. Zero: it would have to wait.
  // Negative: the system's error.
  long write_now(io_object& object, const io_vec* pieces, unsigned count) noexcept;
  void wait(time_point until) noexcept;
  void wake() noexcept;
  void shutdown() noexcept;

 private:
  // Each tries its operation once: true when it ended (and was completed), false when it waits.
  bool perform(io_op& op) noexcept;
  bool perform_accept(io_op& op) noexcept;
  bool perform_connect(io_op& op) noexcept;
  bool perform_read(io_op& op) noexcept;
  bool perform_write(io_op& op) noexcept;
  bool perform_receive(io_op& op) noexcept;
  bool perform_receive_from(io_op& op) noexcept;
  bool perform_send_to(io_op& op) noexcept;
  bool perform_wait(io_op& op) noexcept;
  bool learn_family(io_object& object) noexcept;
  long receive_message(io_object& object, msghdr& message) noexcept;
  long receive_bytes(io_object& object, void* data, std::size_t size) noexcept;
  bool finish_read(io_op& op, long got, std::size_t wanted, int error) noexcept;
  void start_connect(io_op& op) noexcept;
  void start_wait(io_op& op) noexcept;
  void start_control(io_op& op) noexcept;

  void fail(io_op& op, int error) noexcept;
  void on_event(io_object& object, unsigned events) noexcept;
  int wait_for_events(epoll_event* events, int count, time_point until) noexcept;
  void drain_wake() noexcept;
  void forget(io_object& object) noexcept;

  port_core& core_;
  int epoll_ = -1;
  int wake_ = -1;
  int batch_;
  unsigned registered_ = 0;  // objects
  bool exact_wait_ = true;  // false once the system refused epoll_pwait2(2)
  pid_t process_;  // whose the registrations are: a child made by fork shares them
};

// Notes in io_object::os.bits.
inline constexpr std::uint32_t readable = 1;
inline constexpr std::uint32_t writable = 2;
// A short read does not mean that nothing is left: the stream has ended (no further edge comes), or
// urgent data or passed descriptors made the kernel stop in front of more bytes. Until EAGAIN.
inline constexpr std::uint32_t read_on = 4;
inline constexpr std::uint32_t may_pass_descriptors = 8;  // a unix-domain stream
inline constexpr std::uint32_t family_known = 16;

inline std::uint32_t side_of(const io_op& op) noexcept {
  return &op == op.object->write_side ? writable : readable;
}

}  // namespace fairway::detail::epoll
