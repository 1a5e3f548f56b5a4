// A connected byte stream: TCP, unix-domain, or TCP carried by a faster path (loopback.hpp).
//
//   while (auto got = co_await s.async_read_some(asio::buffer(data))) { ... }
//
// A stream is a movable handle to state that the engine keeps; moving it while an operation is in
// flight is safe. It models Asio's AsyncReadStream and AsyncWriteStream, so `async_read`,
// `async_write`, Beast and `asio::ssl::stream` take it. One read-side operation (read, receive,
// wait for reading or errors) and one write-side operation (write, wait for writing) may be in
// flight at a time; a second one ends with "operation in progress".
//
// In the steady state an operation allocates nothing: its state, deadline and a handler of up to
// about 100 bytes live in the stream's state; larger handlers use recycled blocks of the port.
//
// Threads: calls on one stream must not overlap. Its port's thread is the fast way; from another
// thread each call is moved to the port (one allocation, a wake-up if the port sleeps), and what it
// did is seen by the observers once the port has taken it. Cancellation signals are emitted on the
// port's thread or while nobody runs it.
// Lifetime: destroying a stream closes it. The port should outlive it; if it does not, the stream
// is closed then and must not be used again.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/detail/handle.hpp>
#include <fairway/loopback.hpp>
#include <fairway/net/detail/at_once.hpp>
#include <fairway/net/detail/transfer.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/net/socket_options.hpp>
#include <fairway/result.hpp>

#include <boost/asio/async_result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fairway {

class listener;

enum class shutdown_kind { receive, send, both };
enum class wait_kind { read, write, error };

// How long one operation may take; zero means no limit. Measured on the port's clock from the start
// of each operation. Connected streams begin without limits.
struct timeouts {
  port_clock::duration read{};   // read_some, receive
  port_clock::duration write{};  // write_some
};

namespace detail {
result<io_object*> adopt_stream(completion_port& port, std::uintptr_t handle);
void close_native(std::uintptr_t handle) noexcept;
// For the engine: a stream over a fresh socket; closes it when memory is short.
io_object* make_stream(completion_port& port, std::uintptr_t handle);
std::uintptr_t handle_of(const io_object* object) noexcept;
completion_port* port_pointer(const io_object* object) noexcept;
result<endpoint> local_endpoint_of(const io_object* object);
result<endpoint> remote_endpoint_of(const io_object* object);
result<void> shutdown_stream(io_object* object, shutdown_kind which);
void set_stream_timeouts(io_object* object, const timeouts& limits);
result<std::uintptr_t> release_stream(io_object* object);
// Whether the option does anything on the path that carries the object's bytes.
boost::system::error_code may_set_option(const io_object* object, option_id id) noexcept;
template <class Option>
result<void> set_option_of(const io_object* object, const Option& option) {
  if (const auto ec = may_set_option(object, Option::id)) return ec;
  return fairway::set_option(handle_of(object), option);
}
path path_of(const io_object* object) noexcept;
path_reason path_reason_of(const io_object* object) noexcept;
}  // namespace detail

class stream {
 public:
  using executor_type = port_executor;
  using native_handle_type = std::uintptr_t;  // a descriptor, or a SOCKET
  using lowest_layer_type = stream;

  // An empty stream: not open; only assignment, destruction and the observers may be used.
  stream() = default;
  stream(stream&&) noexcept = default;
  stream& operator=(stream&&) noexcept = default;

  // Makes a stream of a connected socket that was made elsewhere, and owns it from then on.
  // Errors: not a socket; invalid argument for one that is not a stream. On Windows a socket that
  // belongs to a completion port already, of whatever library, is adopted without an error, but its
  // first operation ends with invalid argument (CreateIoCompletionPort page, Remarks).
  static result<stream> adopt(completion_port& port, native_handle_type handle) {
    auto made = detail::adopt_stream(port, handle);
    if (!made) return made.error();
    return stream{made.value()};
  }

  // Preconditions (all functions that start an operation): the stream is not empty.
  executor_type get_executor() const noexcept {
    return port_executor{*detail::port_pointer(state_.get())};
  }
  lowest_layer_type& lowest_layer() noexcept { return *this; }
  const lowest_layer_type& lowest_layer() const noexcept { return *this; }

  bool is_open() const noexcept { return state_ && native_handle() != ~native_handle_type{0}; }
  explicit operator bool() const noexcept { return is_open(); }
  // The socket, for what Fairway has no word for; all ones when not open. Do not read, write or
  // close it.
  native_handle_type native_handle() const noexcept { return detail::handle_of(state_.get()); }

  // Completes when at least one byte was read, or at the end.
  // Returns the number of bytes; zero only for empty buffers.
  // Errors: eof; reset; operation aborted; timed out; in progress; bad descriptor after close;
  // ring_is_held while a view is out (async_receive).
  // Cancellation: terminal, partial and total; bytes that had arrived are delivered, not lost.
  // Lifetime: the buffers stay valid until the completion; the sequence itself is copied.
  template <class Buffers, class Token = default_token>
  auto async_read_some(const Buffers& buffers, Token&& token = default_token{}) {
    if constexpr (std::is_same_v<std::decay_t<Token>, default_token>) {
      if (may_end_now(detail::wait_side::read)) {
        return detail::transfer_at_once<detail::stream_read>(state_.get(), buffers);
      }
    }
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        detail::initiation<detail::stream_read>{}, token, state_.get(), buffers);
  }

  // Completes when the kernel took at least one byte; it may take fewer than all.
  // Errors, Cancellation, Lifetime: as async_read_some; broken pipe or reset when the peer is gone.
  template <class Buffers, class Token = default_token>
  auto async_write_some(const Buffers& buffers, Token&& token = default_token{}) {
    if constexpr (std::is_same_v<std::decay_t<Token>, default_token>) {
      if (may_end_now(detail::wait_side::write)) {
        return detail::transfer_at_once<detail::stream_write>(state_.get(), buffers);
      }
    }
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        detail::initiation<detail::stream_write>{}, token, state_.get(), buffers);
  }

  // As async_read_some into a buffer of the engine: while it waits, the stream holds no buffer.
  // When the port's buffers are all out it waits for one to come back.
  // In shared memory (`path`) it takes no buffer and copies nothing: what it gives is a view of at
  // most `receive_buffer_bytes` of the port and half of the ring. See the warnings in received.hpp.
  // While a view of the stream is out, the next ones are copies as above.
  // Errors: as async_read_some. In shared memory also error::ring_is_held, of this, of
  // async_read_some and of a wait for reading: a view is out, all that came beside it has been
  // read, and the ring has no room in which more could come. Nothing has ended: give the view back,
  // then ask again.
  template <class Token = default_token>
  auto async_receive(Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, received)>(
        detail::initiation<detail::stream_receive>{}, token, state_.get());
  }

  // Completes when the stream is ready for reading or writing, or has an error, without doing it.
  template <class Token = default_token>
  auto async_wait(wait_kind kind, Token&& token = default_token{}) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
        [](auto&& handler, io_state object, wait_kind what) {
          using detail::wait_side;
          using H = decltype(handler);
          if (what == wait_kind::read) {
            detail::initiation<detail::stream_wait<wait_side::read>>{}(
                std::forward<H>(handler), object);
          } else if (what == wait_kind::write) {
            detail::initiation<detail::stream_wait<wait_side::write>>{}(
                std::forward<H>(handler), object);
          } else {
            detail::initiation<detail::stream_wait<wait_side::error>>{}(
                std::forward<H>(handler), object);
          }
        },
        token, state_.get(), kind);
  }

  // Applies to operations that start later.
  void set_timeouts(const timeouts& limits) { detail::set_stream_timeouts(state_.get(), limits); }

  // Half-close: `send` makes the peer read end of file after what was written.
  result<void> shutdown(shutdown_kind which) {
    return detail::shutdown_stream(state_.get(), which);
  }
  // Ends the operations in flight with operation aborted; the stream stays usable.
  void cancel() { state_.cancel(); }
  // Ends the operations in flight, then closes the socket: the peer reads end of file after what
  // was written (a reset when received bytes were left unread, as TCP has it).
  void close() { state_.close(); }
  // Gives the socket up, open. Errors: in progress while operations are in flight; operation not
  // supported where a socket cannot leave its completion port once it had an operation there
  // (Windows before 8.1, Wine): the stream is then as before. On Windows a released socket still
  // posts no packet for what succeeds at once (SetFileCompletionNotificationModes page: a mode that
  // is set stays), which whoever reads its packets has to know; another port of Fairway does.
  result<native_handle_type> release() { return detail::release_stream(state_.get()); }

  result<endpoint> local_endpoint() const { return detail::local_endpoint_of(state_.get()); }
  result<endpoint> remote_endpoint() const { return detail::remote_endpoint_of(state_.get()); }

  /// What carries the bytes, and why nothing faster does. Fixed when the stream is made, but for
  /// shared memory: `tcp`, `not_yet` until both ends take part. An empty stream says `tcp`,
  /// `not_asked`. Threads: any.
  fairway::path path() const noexcept { return detail::path_of(state_.get()); }
  fairway::path_reason path_reason() const noexcept {
    return detail::path_reason_of(state_.get());
  }

  /// Errors: option_off_fast_path for one without effect on the kernel's fast path, or on the
  /// stream once it is in shared memory (linger has one there); the option's.
  template <class Option>
  result<void> set_option(const Option& option) {
    return detail::set_option_of(state_.get(), option);
  }
  template <class Option>
  result<Option> get_option() const {
    return fairway::get_option<Option>(native_handle());
  }

  // For the read and write functions of io.hpp, and for framed: what is done without an operation,
  // on the port's thread. Empty: nothing was done; whether anything can be.
  detail::step read_now(const detail::buffer_list& into, std::size_t least) noexcept {
    return detail::read_now(*state_.get(), into, least);
  }
  detail::step write_now(const detail::buffer_list& from) noexcept {
    return detail::write_now(*state_.get(), from);
  }
  bool may_end_now(detail::wait_side side) const noexcept {
    return detail::may_end_now(state_.get(), side);
  }
  // For the engine: takes over a reference.
  explicit stream(detail::io_object* object) noexcept : state_{object} {}

 private:
  friend struct detail::object_access;
  using io_state = detail::io_object*;
  detail::object_handle state_;
};

}  // namespace fairway
