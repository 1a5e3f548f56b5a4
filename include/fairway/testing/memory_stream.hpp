// Two ends of a byte stream in memory, on a completion port: a stream for tests without sockets.
//
//   auto [ours, theirs] = fairway::testing::memory_stream::pair(port, {.read_bytes_max = 1});
//
// Each end models Asio's AsyncReadStream and AsyncWriteStream. What the options limit, the peer
// gets in pieces; what they let fail, fails at the given call and ever after. Completions come
// through the port's queue, in a fixed order: a test that uses nothing else is deterministic.
//
// Closing an end (or destroying it) gives the peer end of file after what was written; `reset`
// gives it a reset and takes away what it has not read.
// Threads: the port's, or any while nobody runs it. Lifetime: once the port has gone, an end may be
// closed and destroyed, and nothing else. The port destroys the handlers that wait.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/engine/completion_port.hpp>
#include <fairway/protocol/detail/completion.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace fairway::testing {

struct memory_options {
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

  std::size_t read_bytes_max = unlimited;   // of one read
  std::size_t write_bytes_max = unlimited;  // of one write
  std::size_t capacity = 64 * 1024;         // written and not yet read: then writes wait
  std::size_t reads_until_failure = unlimited;
  std::size_t writes_until_failure = unlimited;
  boost::system::error_code failure = boost::asio::error::connection_reset;
};

namespace detail {

using transfer_done = fairway::detail::completion<boost::system::error_code, std::size_t>;
struct memory_link;

struct memory_end {
  std::shared_ptr<memory_link> link;
  int side = 0;

  void read(std::vector<boost::asio::mutable_buffer> into, transfer_done done);
  void write(std::vector<boost::asio::const_buffer> from, transfer_done done);
  void cancel(bool reads, bool writes);
  void shutdown_send();
  void close(bool reset);
  bool is_open() const noexcept;
  completion_port& port() const noexcept;
  std::size_t writes() const noexcept;
};

std::pair<memory_end, memory_end> make_memory_pair(completion_port& port,
                                                   const memory_options& first,
                                                   const memory_options& second);

struct cancel_memory {
  std::weak_ptr<memory_link> link;
  int side;
  bool read;
  void operator()(boost::asio::cancellation_type_t) const {
    if (auto held = link.lock()) memory_end{held, side}.cancel(read, !read);
  }
};

}  // namespace detail

class memory_stream {
 public:
  using executor_type = port_executor;
  using lowest_layer_type = memory_stream;

  static std::pair<memory_stream, memory_stream> pair(completion_port& port,
                                                      const memory_options& first = {},
                                                      const memory_options& second = {}) {
    auto [a, b] = detail::make_memory_pair(port, first, second);
    return {memory_stream{std::move(a)}, memory_stream{std::move(b)}};
  }

  memory_stream(memory_stream&& other) noexcept = default;
  memory_stream& operator=(memory_stream&& other) noexcept {
    if (this != &other) {
      if (end_.link) end_.close(false);
      end_ = std::move(other.end_);
    }
    return *this;
  }
  ~memory_stream() {
    if (end_.link) end_.close(false);
  }

  executor_type get_executor() const noexcept { return end_.port().get_executor(); }
  lowest_layer_type& lowest_layer() noexcept { return *this; }
  const lowest_layer_type& lowest_layer() const noexcept { return *this; }

  /// Errors: eof; reset; the failure asked for; operation aborted; in progress; bad descriptor.
  /// Cancellation: terminal, partial and total.
  template <class Buffers, class Token = default_token>
  auto async_read_some(const Buffers& buffers, Token&& token = default_token{}) {
    return initiate<boost::asio::mutable_buffer, true>(buffers, token);
  }
  template <class Buffers, class Token = default_token>
  auto async_write_some(const Buffers& buffers, Token&& token = default_token{}) {
    return initiate<boost::asio::const_buffer, false>(buffers, token);
  }

  void shutdown_send() { end_.shutdown_send(); }
  void cancel() { end_.cancel(true, true); }
  void close() { end_.close(false); }
  void reset() { end_.close(true); }
  bool is_open() const noexcept { return end_.link && end_.is_open(); }
  /// How many writes this end has begun.
  std::size_t writes() const noexcept { return end_.writes(); }

 private:
  explicit memory_stream(detail::memory_end end) noexcept : end_{std::move(end)} {}

  template <class Buffer, bool Read, class Buffers, class Token>
  auto initiate(const Buffers& buffers, Token& token) {
    std::vector<Buffer> list(boost::asio::buffer_sequence_begin(buffers),
                             boost::asio::buffer_sequence_end(buffers));
    return boost::asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [](auto&& handler, detail::memory_end end, std::vector<Buffer> pieces) {
          auto slot = boost::asio::get_associated_cancellation_slot(handler);
          if (slot.is_connected()) {
            slot.template emplace<detail::cancel_memory>(
                detail::cancel_memory{end.link, end.side, Read});
          }
          auto done = detail::transfer_done::make(
              end.port().get_executor(), std::forward<decltype(handler)>(handler), true);
          if constexpr (Read) {
            end.read(std::move(pieces), std::move(done));
          } else {
            end.write(std::move(pieces), std::move(done));
          }
        },
        token, end_, std::move(list));
  }

  detail::memory_end end_;
};

}  // namespace fairway::testing
