// Typed messages over any Asio stream.
//
//   fairway::framed lines{std::move(stream), fairway::line_codec<>{}};
//   while (auto line = co_await lines.async_read()) {
//     if (!co_await lines.async_write("you said " + line.value())) break;
//   }
//
// The stream is anything with `async_read_some` and `async_write_some`: Fairway's, TLS, a test
// stream. Given as an lvalue it is referred to and stays the caller's. While it waits, a Fairway
// stream holds no receive buffer; an idle framed stream keeps less than 1 KiB.
//
// `async_write` completes when its message is queued; it waits while `write_high_bytes` are queued,
// until they are down to `write_low_bytes`. What gathers leaves in one write. A message that the
// codec lends (gather.hpp) is not copied, and its write completes when it has left.
//
// Errors: after an error of the codec or the stream, reading gives that error for ever; so does
// writing after an error of the stream. An end of the stream between frames is eof, inside one
// `error::frame_truncated` unless the codec knows better. Closed: bad descriptor.
// Cancellation and lifetime: see the class. In flight: one read, any number of writes (sent in the
// order of the calls) and flushes.
// A coroutine's call without a token goes on at once where nothing has to wait, so often a handler;
// every other handler comes through the port's queue.
// Threads: the stream's executor; asynchronous calls also from elsewhere (a post each) when the
// stream is Fairway's or on an `io_context`. Calls must not overlap.
#pragma once

#include <fairway/io.hpp>
#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/detail/framed_at_once.hpp>
#include <fairway/protocol/detail/framed_initiate.hpp>
#include <fairway/protocol/detail/framed_state.hpp>
#include <fairway/protocol/framed_options.hpp>

#include <boost/asio/async_result.hpp>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace fairway {

/// Cancellation (terminal, partial, total) of a read, of a flush or of a write that waits for room
/// undoes the call: no byte and no message is lost or half sent. A write that lends and has begun
/// to leave ends when its bytes have left; cancelled with type terminal it closes the stream.
/// What a codec throws goes to who calls, with nothing of the message queued; a call that waits,
/// and every async_write_all, ends with a code instead: that of a boost::system::system_error, no
/// memory for a std::bad_alloc, else `error::protocol_violation` (reading, for ever) or invalid
/// argument (writing). Where the stream throws instead of beginning, reading or writing is over for
/// ever with such a code, else no memory. What a handler throws leaves through the loop.
/// Lifetime: move-only; may be destroyed with operations in flight. That closes (a stream that is
/// referred to: cancels), drops what was queued and has not left - flush before - and ends the
/// operations with operation aborted. The end of the stream's port or context destroys the handlers
/// that wait; the object may outlive it, and then be closed and destroyed.
template <class Stream, codec Codec>
class framed {
  using state = detail::framed_state<Stream, Codec>;

 public:
  using stream_type = std::remove_reference_t<Stream>;
  using executor_type = typename stream_type::executor_type;
  using message = typename Codec::message;
  using token = detail::token_for<stream_type>;

  framed(Stream&& over, Codec codec, const framed_options& options = {})
      : state_{std::make_shared<state>(std::forward<Stream>(over), std::move(codec), options)} {}
  framed(framed&&) noexcept = default;
  framed& operator=(framed&& other) noexcept {
    if (this != &other) {
      if (state_) state_->abandon();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~framed() {
    if (state_) state_->abandon();
  }

  executor_type get_executor() const { return state_->executor(); }
  stream_type& stream() noexcept { return state_->stream; }
  Codec& codec() noexcept { return state_->codec; }
  bool is_open() const noexcept { return state_ && !state_->closed(); }
  /// Bytes that are encoded and have not left yet.
  std::size_t queued_bytes() const noexcept { return state_->out.queue.bytes(); }

  /// Memory that this object keeps now, without the stream's and the codec's own.
  std::size_t held_bytes() const noexcept {
    return sizeof(state) + state_->in.capacity() + state_->out.queue.capacity() +
           state_->reader_memory.capacity();
  }

  /// Completes with the next message: `void(error_code, message)`.
  /// Errors: eof; the codec's; the stream's; in progress (a second read); operation aborted.
  /// Lifetime: what the message refers to is valid until the next read begins.
  template <class Token = token>
  auto async_read(Token&& t = token{}) {
    if constexpr (at_once<Token>) {
      if (detail::answers_read(*state_)) return detail::read_at_once(state_);
    }
    return boost::asio::async_initiate<Token, void(boost::system::error_code, message)>(
        detail::initiate_read<state>{state_}, t);
  }

  /// The next message if it has arrived whole: saves a turn through the port's queue for each of
  /// many pipelined messages. Empty: it has not.
  /// Errors: as async_read.
  result<std::optional<message>> try_read() {
    if (state_->reading()) return boost::system::error_code{boost::asio::error::in_progress};
    return state_->take();
  }

  /// Completes when the message is queued, or has left if the codec lends it.
  /// Errors: the codec's, after which nothing of the message is sent; the stream's; operation
  /// aborted.
  /// Lifetime: an lvalue stays valid and unchanged until completion; a temporary is kept.
  template <class Message, class Token = token>
    requires encodes<Codec, std::remove_cvref_t<Message>>
  auto async_write(Message&& m, Token&& t = token{}) {
    return start_write(detail::one_message_of<Codec>(state_->codec, std::forward<Message>(m)), t);
  }

  /// Queues a message without waiting; always copied.
  /// Errors: would block past the high mark or while other writes wait; as async_write.
  template <class Message>
    requires encodes<Codec, std::remove_cvref_t<Message>>
  result<void> try_write(const Message& m) {
    return detail::write_now(*state_, m);
  }

  /// Writes every message of a range, waiting for room in between: `void(error_code)`.
  /// Errors: as async_write; what the codec throws, as a code. The messages before the one that
  /// failed are sent.
  /// Lifetime: as async_write, for the range and its elements.
  template <class Range, class Token = token>
  auto async_write_all(Range&& messages, Token&& t = token{}) {
    return start_write(
        detail::many_messages_of<Codec>(state_->codec, std::forward<Range>(messages)), t);
  }

  /// Completes when everything that was queued before has been taken by the stream.
  template <class Token = token>
  auto async_flush(Token&& t = token{}) {
    return start_write(detail::no_message{}, t);
  }

  /// Closes the stream. Operations in flight end with operation aborted; what was queued and not
  /// flushed is dropped. Threads: the stream's executor.
  void close() { state_->close(); }

 private:
  template <class Token>
  static constexpr bool at_once =
      detail::goes_on_at_once<state> && std::is_same_v<std::decay_t<Token>, token>;

  template <class Source, class Token>
  auto start_write(Source source, Token& t) {
    if constexpr (at_once<Token>) {
      if (detail::answers_write(*state_)) {
        return detail::write_at_once(state_, std::move(source));
      }
    }
    return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
        detail::initiate_write<state>{state_}, t, detail::call_of(std::move(source)));
  }

  std::shared_ptr<state> state_;  // null: moved from
};

template <class Stream, class Codec>
framed(Stream&&, Codec) -> framed<Stream, Codec>;
template <class Stream, class Codec>
framed(Stream&&, Codec, framed_options) -> framed<Stream, Codec>;

}  // namespace fairway
