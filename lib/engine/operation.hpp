// One operation, one object: what every backend works on.
//
// An `io_op` is embedded in the state of the object it belongs to and used again and again. Its
// life: idle -> started (inside backend::start) -> pending (the kernel or a wait list has it) ->
// completing (in the port's ready queue) -> idle. `owed` counts the completions that the kernel
// still has to give for it; the operation and everything it points to may be touched by the kernel
// until that is zero. `generation` grows each time it becomes idle, so that a late cancel or a late
// completion of an earlier use is told apart.
//
// An `io_object` is the counted state of a stream, listener, datagram or timer. The public handle
// holds one reference, every operation that is not idle another one. A backend keeps its own notes
// on the object in `os`.
//
// Threads: everything here belongs to the thread that owns the port.
#pragma once

#include <fairway/engine/clock.hpp>
#include <fairway/engine/detail/initiate.hpp>
#include <fairway/engine/detail/posted.hpp>

#include <boost/system/error_code.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace fairway::detail {

using boost::system::error_code;
using time_point = port_clock::time_point;
using duration = port_clock::duration;
using native_handle = std::uintptr_t;  // a descriptor or a SOCKET
inline constexpr native_handle no_handle = ~native_handle{0};

enum class op_kind : std::uint8_t {
  accept,        // result: native handle of the new socket
  connect,       // address, address_bytes
  read,          // vecs: scatter; completes with bytes > 0, eof, or an error
  write,         // vecs: gather; may complete short
  receive,       // as read, into a receive_block that the completion carries in `block`
  receive_from,  // vecs, address (in: room, out: sender)
  send_to,       // vecs, address (empty: connected peer)
  wait,          // readiness, `wait_for`
  timer,         // no object handle; ends by its deadline
  control,       // a control code: a control_op
  composite      // made of other operations (connector, listener); never given to a backend
};
enum class op_state : std::uint8_t { idle, started, pending, completing };
enum class wait_for : std::uint8_t { read, write, error };

inline constexpr std::uint8_t op_cancel_requested = 1;
inline constexpr std::uint8_t op_timed_out = 2;
inline constexpr std::uint8_t op_waits_for_block = 4;  // receive: the port's buffers are all out
inline constexpr std::uint8_t op_held = 8;         // with the object's attachment, no backend's
inline constexpr std::uint8_t op_background = 16;  // the engine's own: no work that keeps `run`

// Embedded room for a handler; enough for a coroutine's and for Asio's read and write loops over
// one (measured: 32 and 80 bytes). Every connection has it twice. Beast's and TLS handlers (up to
// 376 bytes) go to a recycled block.
inline constexpr std::size_t handler_bytes = 96;
inline constexpr std::uint32_t not_in_heap = ~std::uint32_t{0};

struct deadline_node {
  time_point when{};                  // meaningful while armed
  std::uint32_t index = not_in_heap;  // place in the timer heap
  bool armed = false;
};

struct receive_block;

struct op_result {
  error_code ec;
  std::size_t bytes = 0;
};

struct io_op : operation {
  explicit io_op(op_kind k) noexcept;
  io_op(const io_op&) = delete;
  io_op& operator=(const io_op&) = delete;

  union {
    op_result result;  // see set_result
#if defined(_WIN32)
    // The kernel's OVERLAPPED (32 bytes on 64-bit Windows); the address identifies the operation.
    // There is no result before the kernel is done with it, so the two share their room.
    alignas(8) std::byte overlapped[32];
#endif
  };
  io_object* object = nullptr;        // set once by the object that embeds the operation
  handler_base* handler = nullptr;    // null while idle
  std::shared_ptr<cancel_ticket> ticket;  // null: cancelled on the port's thread only
  void (*on_cancel)(io_op&) = nullptr;  // composite: asked to end; completes later
  io_vec* vecs = nullptr;             // one or more; `one` or a block of the port
  io_vec one{};
  std::uint32_t vec_count = 0;
  std::uint32_t vec_capacity = 0;     // 0: `vecs` is `one` or unset
  deadline_node deadline;
  std::uint32_t generation = 0;
  std::uint16_t owed = 0;
  op_kind kind;
  op_state state = op_state::idle;
  std::uint8_t flags = 0;
  wait_for waiting = wait_for::read;
  std::uint16_t delay_turns = 0;      // fault seam only
  void* address = nullptr;            // connect, receive_from, send_to: sockaddr bytes
  std::uint32_t address_bytes = 0;    // in: room or length; out: length of the sender's
  std::uint32_t backend_word = 0;     // the backend's own use while the operation is not idle
  void* backend_data = nullptr;       // the backend's own use while the operation is not idle
  native_handle result_handle = no_handle;  // accept
  receive_block* block = nullptr;     // receive
  alignas(std::max_align_t) std::byte room[handler_bytes];

  // Once nothing is owed. By construction: on Windows the kernel had the memory before.
  void set_result(error_code ec, std::size_t bytes) noexcept {
    ::new (static_cast<void*>(&result)) op_result{ec, bytes};
  }
  bool idle() const noexcept { return state == op_state::idle; }
  // The backend (or a wait list) has it: it will be completed by somebody.
  bool in_backend() const noexcept {
    return state == op_state::started || state == op_state::pending;
  }
};

// A backend's notes on one object.
struct backend_notes {
  std::uint32_t bits = 0;
  std::uint32_t owed = 0;   // completions owed for the object itself (multishot accept, polls)
  void* extra = nullptr;    // accept queue and the like; the backend makes and frees it
};

// What a few objects have more of: further operations of their own, and something that carries
// their operations in the place of the backend (another path of a stream). Each function may be
// null, which leaves things as they are without it; all run on the port's owner.
struct io_attachment {
  io_op* extra[2] = {};  // null: fewer
  // As port_core::start; holds the op (op_held).
  void (*start)(io_op& op) noexcept = nullptr;
  void (*cancel)(io_op& op) noexcept = nullptr;      // a held operation is to end
  void (*block_came)(io_op& op) noexcept = nullptr;  // a held receive may ask for a buffer again
  // Once, when the object begins to close: before its operations end and its handle is closed.
  void (*on_close)(io_object& o) noexcept = nullptr;
  void (*destroy)(io_object& o) noexcept = nullptr;  // deletes the attachment, with the object
};

struct io_object {
  using destroy_fn = void (*)(io_object*) noexcept;

  io_object(port_core& c, destroy_fn d) noexcept;

  port_core* core;            // null once the port is gone
  destroy_fn destroy;         // deletes the whole state
  io_object* previous = nullptr;  // the port's list of objects
  io_object* next = nullptr;
  io_op* read_side = nullptr;   // accept, read, receive, receive_from, wait
  io_op* write_side = nullptr;  // connect, write, send_to, wait
  io_attachment* attached = nullptr;  // null for most
  io_op* control_side = nullptr;  // control codes; null until the first, see control_op.hpp
  native_handle handle = no_handle;
  std::uint16_t references = 1;   // the handle's, the operations', a backend's
  // Bytes of their own: observers on other threads read `closing` while the owner writes the first.
  bool registered = false;        // the backend knows the handle
  bool closing = false;           // close was called; the handle goes when nothing is owed
  // Set once, when the object is made.
  bool stream_like : 1 = true;    // zero bytes mean end of file (false for datagrams)
  bool listening : 1 = false;
  // The net layer's: `path` and `path_reason` of a stream, or of what a listener accepts. Any
  // thread reads them; relaxed, because they order nothing.
  std::atomic<std::uint8_t> net_path{0};
  std::atomic<std::uint8_t> net_reason{0};
  std::uint8_t net_bits = 0;      // the net layer's notes on the socket (net/objects.hpp)
  backend_notes os;
  std::array<io_op*, 5> operations() const noexcept {
    if (attached == nullptr) return {read_side, write_side, control_side};
    return {read_side, write_side, control_side, attached->extra[0], attached->extra[1]};
  }
  operation release_hop;      // lets a foreign thread give back its handle without allocating
};

}  // namespace fairway::detail
