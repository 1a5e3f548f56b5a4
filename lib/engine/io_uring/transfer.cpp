#include "engine/io_uring/port.hpp"
#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstddef>
#include <new>

#include <sys/socket.h>
#include <sys/uio.h>

namespace fairway::detail::io_uring {

namespace {

static_assert(sizeof(io_vec) == sizeof(iovec));
static_assert(offsetof(io_vec, size) == offsetof(iovec, iov_len));

// A request has 32 bits for a length; the kernel moves no more than this at once (read(2)).
constexpr std::size_t transfer_max = 0x7fff'f000;

bool empty(const io_op& op) noexcept {
  return std::all_of(op.vecs, op.vecs + op.vec_count,
                     [](const io_vec& vec) { return vec.size == 0; });
}

}  // namespace

bool port::prepare_transfer(io_op& op, io_uring_sqe& request, std::size_t bytes_max) noexcept {
  const bool datagram = op.kind == op_kind::receive_from || op.kind == op_kind::send_to;
  // A limited transfer is made of the first buffer alone; a datagram cannot be limited.
  const bool one = op.vec_count <= 1 || bytes_max < op.vecs[0].size;
  if (datagram || !one) return prepare_message(op, request);
  const int fd = static_cast<int>(op.object->handle);
  const std::size_t size = std::min({op.vecs[0].size, bytes_max, transfer_max});
  if (op.kind == op_kind::write) {
    io_uring_prep_send(&request, fd, op.vecs[0].data, size, MSG_NOSIGNAL);
  } else {
    io_uring_prep_recv(&request, fd, op.vecs[0].data, size, 0);
    hint_dry(op, request);
  }
  return true;
}

// Nothing was left after the last receive: the kernel need not look before it waits. Only a hint;
// what has come since is found by the poll.
void port::hint_dry(const io_op& op, io_uring_sqe& request) const noexcept {
  if (poll_first_ && (op.object->os.bits & read_dry) != 0) {
    request.ioprio |= IORING_RECVSEND_POLL_FIRST;
  }
}

// The header stays until the completion; the kernel writes the sender's address length there.
bool port::prepare_message(io_op& op, io_uring_sqe& request) noexcept {
  if (op.backend_data == nullptr) {
    try {
      op.backend_data = core_.blocks.allocate(sizeof(msghdr));
    } catch (const std::bad_alloc&) {
      fail(op, ENOMEM);
      return false;
    }
  }
  auto* message = ::new (op.backend_data) msghdr{};
  message->msg_iov = reinterpret_cast<iovec*>(op.vecs);
  message->msg_iovlen = op.vec_count;
  const bool datagram = op.kind == op_kind::receive_from || op.kind == op_kind::send_to;
  if (datagram && op.address != nullptr && op.address_bytes != 0) {
    message->msg_name = op.address;
    message->msg_namelen = static_cast<socklen_t>(op.address_bytes);
  }
  const int fd = static_cast<int>(op.object->handle);
  if (op.kind == op_kind::write || op.kind == op_kind::send_to) {
    io_uring_prep_sendmsg(&request, fd, message, MSG_NOSIGNAL);
  } else {
    io_uring_prep_recvmsg(&request, fd, message, 0);
  }
  return true;
}

void port::finish_read(io_op& op, int result) noexcept {
  if (result < 0) return fail(op, -result);
  if (result == 0 && op.object->stream_like && !empty(op)) {
    complete(op, boost::asio::error::eof, 0);
  } else {
    complete(op, {}, static_cast<std::size_t>(result));
  }
}

void port::finish_receive_from(io_op& op, int result) noexcept {
  if (result < 0) return fail(op, -result);
  const auto& message = *static_cast<const msghdr*>(op.backend_data);
  op.address_bytes = static_cast<std::uint32_t>(message.msg_namelen);
  const bool cut = (message.msg_flags & MSG_TRUNC) != 0;
  complete(op, cut ? error_code{boost::asio::error::message_size} : error_code{},
           static_cast<std::size_t>(result));
}

// --- receive: into a buffer of the port ---

bool port::prepare_receive(io_op& op, io_uring_sqe& request, std::size_t bytes_max) noexcept {
  const int fd = static_cast<int>(op.object->handle);
  const std::size_t size = std::min({core_.buffers().block_bytes(), bytes_max, transfer_max});
  if ((op.backend_word & op_own_block) != 0) {
    if (op.block == nullptr) op.block = core_.take_block(op);
    if (op.block == nullptr) {
      // Started again when one comes back. Or it has ended, and who is about to sleep must not.
      if ((op.flags & op_waits_for_block) == 0) progress_ = true;
      return false;
    }
    io_uring_prep_recv(&request, fd, op.block->data(), size, 0);
    return true;
  }
  if (!buffers_.usable()) {
    receive_into_own_block(op);
    return false;
  }
  buffers_.top_up();
  io_uring_prep_recv(&request, fd, nullptr, size, 0);
  request.flags |= IOSQE_BUFFER_SELECT;
  request.buf_group = buffer_group::id;
  hint_dry(op, request);
  return true;
}

// Waits until there is something to receive and only then for a block of its own: a block that
// went to an idle stream would be missed by one that has data.
void port::receive_into_own_block(io_op& op) noexcept {
  op.backend_word |= op_own_block;
  if (ring_is_mine()) return submit_readiness(op);
  defer(op);
}

bool port::take_chosen_block(io_op& op, int result, unsigned flags) noexcept {
  receive_block& block = buffers_.took(flags >> IORING_CQE_BUFFER_SHIFT);
  if (result > 0) {
    op.block = &block;
  } else {
    buffers_.add(block);
  }
  return result > 0;
}

void port::finish_receive(io_op& op, int result) noexcept {
  if (result == -ENOBUFS && buffers_.usable()) return buffers_ran_out(op);
  if (result < 0) return fail(op, -result);
  if (result == 0) return complete(op, boost::asio::error::eof, 0);
  complete(op, {}, static_cast<std::size_t>(result));
}

void port::buffers_ran_out(io_op& op) noexcept {
  if ((op.flags & op_cancel_requested) != 0 || shutting_down_) {
    complete(op, boost::asio::error::operation_aborted, 0);
    return;
  }
  core_.counts().overflows.add();
  if (buffers_.inside() == 0) {
    buffers_.want_more();
    buffers_.top_up();
  }
  if (buffers_.inside() == 0) return receive_into_own_block(op);
  if (ring_is_mine()) {
    submit(op);
  } else {
    defer(op);
  }
}

}  // namespace fairway::detail::io_uring
