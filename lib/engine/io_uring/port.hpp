// The io_uring backend: operations are requests in a ring, a turn of the loop is one entry.
//
// An operation has at most one request in the kernel; its address and generation are the request's
// user data. Starting one only fills a submission entry; `wait` submits all of them, runs deferred
// work and waits, in one io_uring_enter. An operation is completed when its own completion was
// taken from the queue and never before, so its buffers are free then, whatever a cancel answered.
// A descriptor is closed when nothing is owed for its object: closing it earlier would neither
// cancel its requests nor send a FIN.
//
// A listener has one multishot accept and a short queue of connections nobody has asked for yet.
// `async_receive` lets the kernel choose a buffer when data has come (ring/buffer_group.hpp).
//
// The ring belongs to the thread that runs the port (ring/ring.hpp). A thread that borrows the port
// cannot enter it: what it starts or cancels is put on a list that `wait` works off. When another
// thread runs the port, the old ring is ended, everything the kernel had not done comes back, and
// is started again on a new ring (ring/move.cpp).
//
// Threads: the port's owner, but `wake`.
#pragma once

#include "engine/io_uring/ring/buffer_group.hpp"
#include "engine/io_uring/ring/ring.hpp"
#include "engine/operation.hpp"

#include <fairway/testing/fault_schedule.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace fairway {
struct port_options;
}

namespace fairway::detail::io_uring {

struct accept_queue;

class port {
 public:
  port(port_core& core, const port_options& options);
  port(const port&) = delete;
  port& operator=(const port&) = delete;
  ~port();

  std::string reason() const;
  void attach();
  void flush() noexcept;
  error_code open(io_object&) noexcept { return {}; }
  void start(io_op& op) noexcept;
  void cancel(io_op& op) noexcept;
  void close(io_object& object) noexcept;
  native_handle release(io_object& object) noexcept;
  void close_handle(native_handle handle) noexcept;
  void wait(time_point until) noexcept;
  void wake() noexcept;
  void shutdown() noexcept;
  // Looks at the queues alone: there is something to submit, to take or to run.
  bool has_news() const noexcept;

 private:
  // port.cpp: the queues
  bool ring_is_mine() const noexcept;
  int enter(unsigned count, time_point until) noexcept;
  io_uring_sqe* next_entry() noexcept;
  void reap() noexcept;
  void flush_overflow() noexcept;
  void on_completion(const io_uring_cqe& cqe) noexcept;
  void on_operation(io_op& op, int result, unsigned flags) noexcept;
  void on_wake(int result, unsigned flags) noexcept;
  void arm_wake() noexcept;
  bool drain_wake() noexcept;
  void defer(io_op& op) noexcept;
  void undefer(io_op& op) noexcept;
  void start_deferred() noexcept;
  void submit(io_op& op) noexcept;
  void push(io_op& op, const io_uring_sqe& request) noexcept;
  void try_again(io_op& op, int why) noexcept;
  void request_cancel(io_op& op) noexcept;
  bool push_cancel(std::uint64_t user_data) noexcept;
  void settle_one(io_object& object) noexcept;
  void close_if_settled(io_object& object) noexcept;
  void close_now(io_object& object) noexcept;
  void complete(io_op& op, error_code ec, std::size_t bytes) noexcept;
  void fail(io_op& op, int error) noexcept;

  // Fills a request; false: the operation was completed instead.
  bool prepare(io_op& op, io_uring_sqe& request, std::size_t bytes_max) noexcept;
  bool prepare_transfer(io_op& op, io_uring_sqe& request, std::size_t bytes_max) noexcept;
  void hint_dry(const io_op& op, io_uring_sqe& request) const noexcept;
  bool prepare_message(io_op& op, io_uring_sqe& request) noexcept;
  bool prepare_receive(io_op& op, io_uring_sqe& request, std::size_t bytes_max) noexcept;
  void prepare_connect(const io_op& op, io_uring_sqe& request) noexcept;
  void prepare_wait(const io_op& op, io_uring_sqe& request) noexcept;
  void submit_readiness(io_op& op) noexcept;
  void start_control(io_op& op) noexcept;
  void take_step(io_op& op) noexcept;
  void prepare_step(const io_op& op, io_uring_sqe& request) noexcept;
  void finish_step(io_op& op, int result) noexcept;

  // The request ended with `result`, for good.
  void finish(io_op& op, int result) noexcept;
  void finish_read(io_op& op, int result) noexcept;
  void finish_receive(io_op& op, int result) noexcept;
  void finish_receive_from(io_op& op, int result) noexcept;
  void finish_connect(io_op& op, int result) noexcept;
  void finish_wait(io_op& op, int result) noexcept;
  void wait_exactly(io_op& op) noexcept;
  bool take_chosen_block(io_op& op, int result, unsigned flags) noexcept;
  void buffers_ran_out(io_op& op) noexcept;
  void receive_into_own_block(io_op& op) noexcept;

  // accept.cpp
  void start_accept(io_op& op) noexcept;
  void cancel_accept(io_op& op) noexcept;
  void arm_accept(accept_queue& queue) noexcept;
  void disarm_accept(accept_queue& queue) noexcept;
  void on_accept(accept_queue& queue, int result, unsigned flags) noexcept;
  void on_accept_error(accept_queue& queue, int error) noexcept;
  void close_accept(accept_queue& queue) noexcept;
  void disarm_wanted() noexcept;

  // move.cpp
  void move_here();
  struct outstanding;
  outstanding collect_outstanding() noexcept;
  void take_back(outstanding all) noexcept;
  bool drain() noexcept;

  port_core& core_;
  unsigned entries_;
  int wake_ = -1;
  std::unique_ptr<ring> ring_;     // null after shutdown
  buffer_group buffers_;
  std::uint64_t thread_ = 0;       // whose the ring is; 0: nobody's yet
  unsigned process_;               // who made it: a child made by fork must not touch it
  unsigned costly_moves_ = 0;
  std::uint64_t owed_ = 0;         // completions owed for operations and listeners
  io_op* deferred_ = nullptr;      // to be started or cancelled by `wait`, oldest first
  io_op* deferred_last_ = nullptr;
  bool disarm_wanted_ = false;     // some listener's accept is to be cancelled by `wait`
  bool wake_armed_ = false;
  bool progress_ = false;          // something ended, or a wake came, since `wait` began
  bool reaping_ = false;
  bool poll_first_;                // the kernel (5.19) tells what is left and takes the hint
  bool multishot_accept_ = true;   // false once the kernel refused it
  bool socket_commands_ = true;    // false once the kernel (before 6.7) refused one
  bool shutting_down_ = false;
};

// What user data points to: the low bits of an address that is a multiple of 16.
inline constexpr std::uint64_t tag_operation = 0;
inline constexpr std::uint64_t tag_accept = 1;
inline constexpr std::uint64_t tag_wake = 2;
inline constexpr std::uint64_t tag_ignored = 3;

// Notes in io_op::backend_word.
inline constexpr std::uint32_t op_deferred = 1;       // on the list
inline constexpr std::uint32_t op_cancel_pushed = 2;  // a cancel is submitted, or on the list
inline constexpr std::uint32_t op_readiness = 4;      // the request is a poll before another try
inline constexpr std::uint32_t op_began = 8;          // connect: an earlier request began it
inline constexpr std::uint32_t op_bad_address = 16;   // EFAULT was answered once

inline constexpr std::uint32_t op_own_block = 32;     // receive: not from the group of buffers

// Notes in io_object::os.bits.
inline constexpr std::uint32_t close_when_settled = 1;
inline constexpr std::uint32_t read_dry = 2;  // the last receive left nothing behind

inline accept_queue* queue_of(const io_object& object) noexcept {
  return static_cast<accept_queue*>(object.os.extra);
}

}  // namespace fairway::detail::io_uring
