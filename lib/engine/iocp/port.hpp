// The IOCP backend: overlapped operations and one completion queue.
//
// The kernel's OVERLAPPED is a part of the operation, so a packet leads to its operation without a
// look-up; accepting has OVERLAPPEDs of its own, in a small pool that a listener keeps. A socket
// joins the port with its first operation. Stream sockets then post no packet for what succeeds at
// once (FILE_SKIP_COMPLETION_PORT_ON_SUCCESS), where the provider allows it; datagram sockets and
// listeners always post one, because there the answers to "succeeded at once" differ: a truncated
// datagram fails *and* posts.
//
// `owed` of an operation is 1 while its packet is to come; `os.owed` of an object counts all its
// packets. Closing cancels, reaps every packet and closes the socket last: closing first would
// leave a pending send to whoever gets the same socket number.
//
// Threads: the port's owner, but `wake`. A thread that begins an operation may end before it does:
// operations on a port survive their thread (CancelIoEx page, Remarks).
#pragma once

#include "engine/iocp/routines/routine.hpp"
#include "engine/operation.hpp"

#include <string>

struct _OVERLAPPED;
struct _OVERLAPPED_ENTRY;

namespace fairway {
struct port_options;
namespace testing {
enum class kernel_entry : std::uint8_t;
struct entry_fault;
}  // namespace testing
}  // namespace fairway

namespace fairway::detail {
struct control_op;
}

namespace fairway::detail::iocp {

struct accept_pool;
struct accept_slot;

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
  void wait(time_point until) noexcept;
  void wake() noexcept;
  void shutdown() noexcept;

 private:
  // How an overlapped call began: a packet is to come, or it is over already.
  struct begun {
    bool over = false;
    int error = 0;          // meaningful when over
    std::size_t bytes = 0;  // meaningful when over without an error
  };
  _OVERLAPPED* prepare(io_op& op) noexcept;
  begun note_call(io_op& op, bool succeeded, std::size_t bytes) noexcept;

  void start_accept(io_op& op) noexcept;
  void start_connect(io_op& op) noexcept;
  void start_read(io_op& op) noexcept;
  void start_write(io_op& op) noexcept;
  void start_receive(io_op& op) noexcept;
  void start_receive_from(io_op& op) noexcept;
  void start_send_to(io_op& op) noexcept;
  void start_wait(io_op& op) noexcept;
  void start_control(io_op& op) noexcept;
  void start_routine(control_op& op) noexcept;

  // The kernel is done with it, with a packet or at once.
  void end(io_op& op, int error, std::size_t bytes) noexcept;
  void end_accept(accept_slot& slot, int error) noexcept;
  void end_connect(io_op& op, int error) noexcept;
  void end_read(io_op& op, int error, std::size_t bytes) noexcept;
  void end_write(io_op& op, int error, std::size_t bytes) noexcept;
  void end_receive(io_op& op, int error, std::size_t bytes) noexcept;
  void end_receive_from(io_op& op, int error, std::size_t bytes) noexcept;
  void end_wait(io_op& op, int error) noexcept;
  void end_control(io_op& op, int error, std::size_t bytes) noexcept;
  void end_routine(control_op& op, int error, std::size_t bytes) noexcept;
  void owe(io_op& op) noexcept;
  _OVERLAPPED* overlapped_of(io_op& op) noexcept;
  bool is_listeners_control(_OVERLAPPED* overlapped) noexcept;

  testing::entry_fault enter_transfer(testing::kernel_entry where) noexcept;
  begun receive_nothing(io_op& op, std::uint32_t flags) noexcept;
  void receive_into_block(io_op& op) noexcept;
  begun receive_datagram(io_op& op) noexcept;
  bool is_about_others(const io_op& op, int error) const noexcept;

  int make_pool(io_object& object) noexcept;
  int post_accept(accept_slot& slot) noexcept;
  int fill_pool(accept_pool& pool) noexcept;
  void hand_over(accept_pool& pool) noexcept;
  void close_pool(io_object& object) noexcept;

  void fail(io_op& op, int error) noexcept;
  unsigned reap(std::uint32_t milliseconds) noexcept;
  void on_packet(const _OVERLAPPED_ENTRY& packet) noexcept;
  void packet_taken(io_object& object) noexcept;
  void close_if_reaped(io_object& object) noexcept;
  void close_now(io_object& object) noexcept;
  void end_rest(io_object& object) noexcept;

  friend class routines;

  port_core& core_;
  routines routines_;
  void* port_ = nullptr;
  std::uint32_t batch_;
  std::uint64_t owed_ = 0;  // packets and routines of all objects
  io_op* listeners_controls_ = nullptr;  // overlapped codes of listeners: packets like accepts'
  bool shutting_down_ = false;
};

// The operation whose OVERLAPPED this is.
io_op& operation_of(_OVERLAPPED* overlapped) noexcept;
// The slot whose OVERLAPPED this is, and the listener it belongs to.
accept_slot& slot_of(_OVERLAPPED* overlapped, io_object*& object) noexcept;

// Notes in io_object::os.bits.
inline constexpr std::uint32_t skips_packets = 1;  // success at once posts no packet
inline constexpr std::uint32_t held = 2;           // the port has a reference until all is reaped

// Completion keys: what the OVERLAPPED of a packet is a part of.
inline constexpr std::uintptr_t wake_key = 0;
inline constexpr std::uintptr_t operation_key = 1;
inline constexpr std::uintptr_t accept_key = 2;

}  // namespace fairway::detail::iocp
