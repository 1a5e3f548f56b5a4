// The operations of streams and datagrams, as `detail::initiation` wants them.
//
// A buffer sequence is flattened on the stack, at most 64 pieces an operation (the rest is left to
// the next call, as in Asio), and copied into the operation when it has more than one.
#pragma once

#include <fairway/engine/detail/initiate.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/net/received.hpp>
#include <fairway/result.hpp>

#include <boost/asio/buffer.hpp>

#include <cstddef>
#include <optional>
#include <tuple>

namespace fairway::detail {

enum class wait_side { read, write, error };

class buffer_list {
 public:
  static constexpr unsigned pieces_max = 64;

  template <class Buffers>
  explicit buffer_list(const Buffers& buffers) noexcept {
    auto it = boost::asio::buffer_sequence_begin(buffers);
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (; it != end && count_ < pieces_max; ++it) {
      const boost::asio::const_buffer piece{*it};
      if (piece.size() == 0) continue;
      pieces_[count_++] = {const_cast<void*>(piece.data()), piece.size()};
    }
  }
  const io_vec* data() const noexcept { return pieces_; }
  unsigned size() const noexcept { return count_; }
  bool full() const noexcept { return count_ == pieces_max; }  // the sequence may have more

 private:
  unsigned count_ = 0;
  io_vec pieces_[pieces_max];
};

using transfer_values = std::tuple<boost::system::error_code, std::size_t>;

io_op* claim_read(io_object& object) noexcept;
io_op* claim_write(io_object& object) noexcept;
void start_read(io_object& object, io_op& op, const buffer_list& buffers);
void start_write(io_object& object, io_op& op, const buffer_list& buffers);
void start_receive(io_object& object, io_op& op);
void start_wait(io_object& object, io_op& op, wait_side side);
void start_receive_from(io_object& object, io_op& op, const buffer_list& buffers, endpoint* sender);
void start_send_to(io_object& object, io_op& op, const buffer_list& buffers, const endpoint* to);
// Without an operation, where one would end at once and this thread runs the port, so many a
// handler: small transfers of a stream in shared memory, and what the kernel takes of a write of
// one piece where the engine asks it directly (epoll). `least`: read_now's fewest bytes. Empty:
// nothing was done, begin an operation.
using step = std::optional<result<std::size_t>>;
step write_now(io_object& object, const buffer_list& from) noexcept;
step read_now(io_object& object, const buffer_list& into, std::size_t least) noexcept;
// Whether they can give anything, as things are; false on another thread than the port's too.
bool may_end_now(const io_object* object, wait_side side) noexcept;
transfer_values take_transfer(io_op& op) noexcept;
transfer_values take_received_from(io_op& op) noexcept;  // stores the sender
received take_received(io_op& op) noexcept;

struct transfer_results {
  static transfer_values take(io_op& op) noexcept { return take_transfer(op); }
  static transfer_values failure(boost::system::error_code ec) noexcept { return {ec, 0}; }
};

struct stream_read : transfer_results {
  static io_op* claim(io_object& object) noexcept { return claim_read(object); }
  template <class Buffers>
  static void start(io_object& object, io_op& op, const Buffers& buffers) {
    start_read(object, op, buffer_list{buffers});
  }
  static step now(io_object& object, const buffer_list& buffers) noexcept {
    return read_now(object, buffers, 1);
  }
};

struct stream_write : transfer_results {
  static io_op* claim(io_object& object) noexcept { return claim_write(object); }
  template <class Buffers>
  static void start(io_object& object, io_op& op, const Buffers& buffers) {
    start_write(object, op, buffer_list{buffers});
  }
  static step now(io_object& object, const buffer_list& buffers) noexcept {
    return write_now(object, buffers);
  }
};

struct stream_receive {
  using values = std::tuple<boost::system::error_code, received>;
  static io_op* claim(io_object& object) noexcept { return claim_read(object); }
  static void start(io_object& object, io_op& op) { start_receive(object, op); }
  static values take(io_op& op) noexcept {
    auto [ec, bytes] = take_transfer(op);
    return {ec, take_received(op)};
  }
  static values failure(boost::system::error_code ec) noexcept { return {ec, received{}}; }
};

template <wait_side Side>
struct stream_wait {
  using values = std::tuple<boost::system::error_code>;
  static io_op* claim(io_object& object) noexcept {
    return Side == wait_side::write ? claim_write(object) : claim_read(object);
  }
  static void start(io_object& object, io_op& op) { start_wait(object, op, Side); }
  static values take(io_op& op) noexcept { return {std::get<0>(take_transfer(op))}; }
  static values failure(boost::system::error_code ec) noexcept { return {ec}; }
};

struct datagram_receive : transfer_results {
  static io_op* claim(io_object& object) noexcept { return claim_read(object); }
  static transfer_values take(io_op& op) noexcept { return take_received_from(op); }
  template <class Buffers>
  static void start(io_object& object, io_op& op, const Buffers& buffers, endpoint* sender) {
    start_receive_from(object, op, buffer_list{buffers}, sender);
  }
};

struct datagram_send : transfer_results {
  static io_op* claim(io_object& object) noexcept { return claim_write(object); }
  template <class Buffers>
  static void start(io_object& object, io_op& op, const Buffers& buffers, const endpoint& to) {
    start_send_to(object, op, buffer_list{buffers}, &to);
  }
  template <class Buffers>
  static void start(io_object& object, io_op& op, const Buffers& buffers) {
    start_send_to(object, op, buffer_list{buffers}, nullptr);
  }
};

}  // namespace fairway::detail
