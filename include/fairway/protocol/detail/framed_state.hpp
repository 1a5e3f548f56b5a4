// What framed keeps on the heap: the stream, the codec, the bytes both ways and who waits.
//
// One read of the stream is in flight while a reader waits for more, and one write while bytes are
// queued; each holds a share of this state, so that moving and destroying framed are safe. A
// cancelled reader leaves the read in flight: what it brings is there for the next one.
//
// The end of the stream's execution context destroys the handlers that wait here. The state itself
// is then as it was: closing it finds nobody to tell.
//
// Threads: the stream's executor; `run_there` brings a call of another thread to it.
#pragma once

#include <fairway/engine/detail/call_keeper.hpp>
#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/detail/byte_queue.hpp>
#include <fairway/protocol/detail/completion.hpp>
#include <fairway/protocol/detail/framed_writer.hpp>
#include <fairway/protocol/detail/stream_traits.hpp>
#include <fairway/protocol/framed_options.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace fairway::detail {

template <class Stream, class Codec>
class framed_state final : public std::enable_shared_from_this<framed_state<Stream, Codec>>,
                           public call_keeper {
 public:
  using stream_type = std::remove_reference_t<Stream>;
  using executor_type = typename stream_type::executor_type;
  using message = typename Codec::message;
  using reader = completion<error_code, message>;

  framed_state(Stream&& s, Codec c, const framed_options& o)
      : stream{std::forward<Stream>(s)}, codec(std::move(c)), options{o}, out{o} {}

  executor_type executor() { return stream.get_executor(); }

  // --- reading ---

  // The next message if it is whole already; an error; or nothing.
  result<std::optional<message>> take() {
    if (closed_) return error_code{boost::asio::error::bad_descriptor};
    if (read_error_) return read_error_;
    if (in.empty() && !ended_) return std::optional<message>{};
    for (;;) {
      auto got = codec.decode(in.bytes());
      if (!got) return fail_read(got.error());
      if (got.value().message) return use(got.value(), false);
      if (auto used = use(got.value(), false); !used) return used;
      if (got.value().consumed != 0 && !in.empty()) continue;
      if (ended_) return take_at_end();
      if (in.size() >= codec.frame_bytes_max()) return fail_read(error::frame_too_large);
      need_ = got.value().need;
      return std::optional<message>{};
    }
  }

  bool reading() const noexcept { return static_cast<bool>(reader_); }
  // False: `take` gives nothing, or somebody waits.
  bool may_have_message() const noexcept {
    return !reader_ && (!in.empty() || ended_ || closed_ || read_error_);
  }

  // Preconditions: nobody waits, and `take` gave nothing.
  void wait_for_message(reader done, std::uint64_t ticket) {
    reader_ = std::move(done);
    reader_ticket_ = ticket;
    if (receive()) return;
    reader ended = std::move(reader_);
    ended(deliver::queued, read_error_, message{});
  }

  void cancel_read(std::uint64_t ticket) {
    if (!reader_ || reader_ticket_ != ticket) return;
    reader ended = std::move(reader_);
    ended(deliver::queued, boost::asio::error::operation_aborted, message{});
  }

  // --- writing ---

  // Puts what was encoded on its way: now when there is much of it, else soon.
  void kick() {
    if (sending_ || closed_ || out.queue.nothing_waits()) return;
    if (out.queue.waiting_bytes() >= options.gather_bytes) {
      send();
    } else if (!flush_posted_ && !delivering_) {
      flush_posted_ = true;
      progress_seen_ = out.progress;
      post_flush();
    }
  }
  void send_now() {
    if (!sending_ && !closed_ && !out.queue.nothing_waits()) send();
  }
  void cancel_write(std::uint64_t ticket, bool terminal) {
    if (out.cancel(ticket, terminal)) close();
  }

  void close() {
    if (closed_) return;
    closed_ = true;
    close_stream(stream);
    after_end();
  }
  // The owner is gone. A stream that it only referred to stays open, without operations.
  void abandon() {
    if (closed_) return;
    if constexpr (std::is_reference_v<Stream>) {
      closed_ = true;
      if (receiving_ || sending_) cancel_stream(stream);
      after_end();
    } else {
      close();
    }
  }
  bool closed() const noexcept { return closed_; }

  template <class Function>
  void run_there(Function&& function) {
    executor_type there = executor();
    if (runs_here(there)) {
      std::forward<Function>(function)();
    } else {
      boost::asio::post(there, std::forward<Function>(function));
    }
  }

  // Relaxed: only has to be unique.
  std::uint64_t next_ticket() noexcept {
    return tickets_.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  Stream stream;
  Codec codec;
  framed_options options;
  byte_queue in;
  writer out;
  spare_block reader_memory;

 private:
  // What is larger costs more than its operation.
  static constexpr std::size_t at_once_bytes_max = 4096;

  struct received_handler {
    std::shared_ptr<framed_state> self;
    void operator()(error_code ec, received bytes) {
      // Copied: a peer in shared memory can change a view while a codec looks at it.
      try {
        self->in.append(bytes.bytes());
      } catch (...) {
        ec = code_of_exception(boost::asio::error::no_memory);
      }
      bytes = {};
      self->on_received(ec);
    }
    void operator()(error_code ec, std::size_t bytes) {
      self->in.commit(bytes);
      self->on_received(ec);
    }
  };
  struct sent_handler {
    std::shared_ptr<framed_state> self;
    void operator()(error_code ec, std::size_t bytes) { self->on_sent(ec, bytes); }
  };

  bool discard_calls() noexcept override {
    const auto kept = this->weak_from_this().lock();  // the handlers may own the rest
    const reader ended = std::move(reader_);
    const bool writes = out.discard();
    return ended || writes;
  }

  result<std::optional<message>> use(decoded<message>& next, bool at_end) {
    assert(next.consumed <= in.size() && "a codec uses up no more than it is shown");
    // A message of no bytes would come for ever.
    if (next.consumed > in.size() || (next.message && next.consumed == 0 && !at_end)) {
      return fail_read(error::protocol_violation);
    }
    in.consume(next.consumed);
    if (next.message) ++out.progress;
    return std::move(next.message);
  }

  // `decode` has no whole frame left.
  result<std::optional<message>> take_at_end() {
    if (std::exchange(eof_told_, true) && in.empty()) return fail_read(boost::asio::error::eof);
    auto last = decode_eof(codec, in.bytes());
    if (!last) return fail_read(last.error());
    if (last.value().message) return use(last.value(), true);
    return fail_read(in.empty() ? error_code{boost::asio::error::eof}
                                : error_code{error::frame_truncated});
  }

  error_code fail_read(error_code ec) {
    read_error_ = ec;
    return ec;
  }

  // An exception of the codec would leave through the loop, past the reader that waits.
  result<std::optional<message>> take_for_reader() {
    try {
      return take();
    } catch (...) {
      return fail_read(code_of_exception(error::protocol_violation));
    }
  }

  // Sees to it that a read is in flight. False: it could not begin, which `read_error_` tells.
  bool receive() {
    // A reader that waits has nothing to answer: what it answered goes out.
    send_now();
    if (receiving_) return true;
    try {
      begin_receive();
      return true;
    } catch (...) {
      // From the loop it would leave past the reader that waits.
      receiving_ = false;
      read_error_ = code_of_exception(boost::asio::error::no_memory);
      return false;
    }
  }
  void begin_receive() {
    if (in.empty()) {
      in.shrink();
      if (out.idle()) out.queue.shrink();
    }
    if constexpr (requires { stream.waits_for_message(true); }) {
      stream.waits_for_message(in.empty());
    }
    receiving_ = true;
    if constexpr (has_receive<stream_type>) {
      stream.async_receive(received_handler{this->shared_from_this()});
    } else {
      const std::size_t room = in.empty() ? byte_queue::idle_bytes : read_size();
      auto into = in.prepare(room);
      stream.async_read_some(
          boost::asio::buffer(into.data(), std::min(into.size(), options.read_bytes)),
          received_handler{this->shared_from_this()});
    }
  }
  // Grows with what the peer really sent.
  std::size_t read_size() const noexcept {
    return std::clamp(std::min(need_, in.size() * 2), byte_queue::idle_bytes, options.read_bytes);
  }

  void on_received(error_code ec) {
    receiving_ = false;
    if (closed_) {
      after_end();
      return;
    }
    if (ec == boost::asio::error::eof) {
      ended_ = true;
    } else if (ec) {
      read_error_ = ec;
    }
    if (!reader_) return;
    auto got = take_for_reader();
    if (!got) {
      end_read(got.error(), message{});
    } else if (got.value()) {
      end_read({}, std::move(*got.value()));
    } else if (!receive()) {
      end_read(read_error_, message{});
    }
  }
  // What the reader writes leaves at once when it then waits for the next message, as most do.
  void end_read(error_code ec, message next) {
    reader ended = std::move(reader_);
    delivering_ = true;
    always_then([&] { ended(deliver::inside, ec, std::move(next)); },
                [&] {
                  delivering_ = false;
                  kick();
                });
  }

  void send() {
    if constexpr (writes_now<stream_type>) {
      if (sent_at_once()) return;
    }
    if (out.queue.leaving_bytes() == 0) out.queue.begin();
    write_more();
  }
  // All that waits has left, without an operation: it was little, and nobody waits to be told.
  bool sent_at_once() {
    const std::string_view little = out.queue.one_piece();
    if (little.empty() || little.size() > at_once_bytes_max || !out.nobody_waits()) return false;
    const boost::asio::const_buffer piece{little.data(), little.size()};
    const step now = stream.write_now(buffer_list{piece});
    if (!now) return false;
    if (!*now) {
      out.fail(now->error(), deliver::queued);
      return true;
    }
    out.queue.written_at_once(now->value());
    if (!out.idle()) return false;
    if (receiving_) out.queue.shrink();
    return true;
  }
  void write_more() {
    sending_ = true;
    try {
      stream.async_write_some(buffer_view{out.queue.next()},
                              sent_handler{this->shared_from_this()});
    } catch (...) {
      // As a write that fails: who waits for it is told, and who called waits for nothing.
      sending_ = false;
      out.fail(code_of_exception(boost::asio::error::no_memory), deliver::queued);
    }
  }

  void on_sent(error_code ec, std::size_t bytes) {
    sending_ = false;
    if (closed_) {
      after_end();
      return;
    }
    const bool left = out.queue.written(bytes);
    if (ec) {
      out.fail(ec, deliver::inside);
      return;
    }
    if (left) {
      write_more();
    } else {
      send_now();
    }
    always_then([&] { out.after_write(deliver::inside); },
                [&] {
                  if (closed_) return;
                  kick();
                  if (receiving_ && out.idle()) out.queue.shrink();
                });
  }

  void post_flush() {
    try {
      boost::asio::post(executor(), [self = this->shared_from_this()] { self->on_flush(); });
    } catch (...) {
      // No turn later, then: nobody else may come to send it.
      flush_posted_ = false;
      send();
    }
  }
  void on_flush() {
    flush_posted_ = false;
    if (sending_ || closed_ || out.queue.nothing_waits()) return;
    if (out.progress != progress_seen_) {
      kick();
    } else {
      send();
    }
  }

  // Closed: ends who waits, once the stream has let go of the buffers.
  void after_end() {
    always_then(
        [&] {
          if (receiving_ || !reader_) return;
          reader ended = std::move(reader_);
          ended(deliver::queued, boost::asio::error::operation_aborted, message{});
        },
        [&] {
          if (sending_ || out.error()) return;
          out.fail(boost::asio::error::operation_aborted, deliver::queued);
        });
  }

  reader reader_;  // empty: nobody waits
  std::uint64_t reader_ticket_ = 0;
  std::uint64_t progress_seen_ = 0;
  std::size_t need_ = 1;
  error_code read_error_;  // set: reading is over
  std::atomic<std::uint64_t> tickets_{0};
  bool receiving_ = false;
  bool sending_ = false;
  bool closed_ = false;
  bool flush_posted_ = false;
  bool delivering_ = false;  // the reader's handler runs
  bool ended_ = false;     // the stream has ended
  bool eof_told_ = false;  // and the codec knows
};

}  // namespace fairway::detail
