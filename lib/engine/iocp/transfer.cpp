#include "engine/iocp/port.hpp"

#include "engine/iocp/winsock.hpp"
#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cassert>

namespace fairway::detail::iocp {

namespace {

using testing::kernel_entry;

constexpr std::uint32_t pieces_max = 64;
constexpr std::size_t bytes_max = std::size_t{1} << 30;  // Winsock counts in 32 bits

// Of one write to a stream: an overlapped send ends when all of it has been taken, and until then
// nobody can tell a slow reader from one that reads nothing.
constexpr std::size_t send_bytes_max = 256 * 1024;

// The buffers of an operation as Winsock wants them; longer lists are transferred in part, which
// both a read and a write may do.
struct pieces {
  pieces(const io_op& op, std::size_t limit) noexcept {
    std::size_t left = std::min(limit, bytes_max);
    for (std::uint32_t i = 0; i < op.vec_count && count < pieces_max && left != 0; ++i) {
      const std::size_t size = std::min(op.vecs[i].size, left);
      if (size == 0) continue;
      list[count].buf = static_cast<char*>(op.vecs[i].data);
      list[count].len = static_cast<ULONG>(size);
      ++count;
      left -= size;
    }
    if (count == 0) {
      list[0] = WSABUF{};  // an empty datagram still needs a list
      count = 1;
      empty = true;
    }
  }
  WSABUF list[pieces_max];
  DWORD count = 0;
  bool empty = false;
};

// Outlives the call, as the provider may write it when the operation ends.
DWORD* flags_of(io_op& op, std::uint32_t flags) noexcept {
  static_assert(sizeof(DWORD) == sizeof op.backend_word);
  op.backend_word = flags;
  return reinterpret_cast<DWORD*>(&op.backend_word);
}

// A datagram of ours met a closed port.
bool tells_of_a_closed_port(int error) noexcept {
  switch (error) {
    case WSAECONNRESET:
    case WSAENETRESET:
    case WSAECONNREFUSED:
    case ERROR_PORT_UNREACHABLE: return true;
    default: return false;
  }
}

bool has_peer(const io_object& object) noexcept {
  sockaddr_storage peer;
  int size = sizeof peer;
  return ::getpeername(socket_of(object), reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

}  // namespace

// "Interrupted" and "not now" mean to call again.
testing::entry_fault port::enter_transfer(kernel_entry where) noexcept {
  for (;;) {
    const auto fault = core_.enter(where);
    if (fault.error != WSAEINTR && fault.error != WSAEWOULDBLOCK) return fault;
  }
}

void port::start_read(io_op& op) noexcept {
  const auto fault = enter_transfer(kernel_entry::receive);
  if (fault.error != 0) return fail(op, fault.error);
  pieces buffers{op, fault.bytes_max};
  // Winsock would wait for data.
  if (buffers.empty) return core_.complete(op, {}, 0);
  DWORD bytes = 0;
  const int status = ::WSARecv(socket_of(*op.object), buffers.list, buffers.count, &bytes,
                               flags_of(op, 0), prepare(op), nullptr);
  const begun call = note_call(op, status == 0, bytes);
  if (call.over) end_read(op, call.error, call.bytes);
}

void port::end_read(io_op& op, int error, std::size_t bytes) noexcept {
  if (error != 0) {
    fail(op, error);
  } else if (bytes == 0 && op.object->stream_like) {
    core_.complete(op, boost::asio::error::eof, 0);
  } else {
    core_.complete(op, {}, bytes);
  }
}

void port::start_write(io_op& op) noexcept {
  const auto fault = enter_transfer(kernel_entry::send);
  if (fault.error != 0) return fail(op, fault.error);
  const std::size_t most = op.object->stream_like ? send_bytes_max : bytes_max;
  pieces buffers{op, std::min(fault.bytes_max, most)};
  if (buffers.empty && op.object->stream_like) return core_.complete(op, {}, 0);
  DWORD bytes = 0;
  const int status = ::WSASend(socket_of(*op.object), buffers.list, buffers.count, &bytes, 0,
                               prepare(op), nullptr);
  const begun call = note_call(op, status == 0, bytes);
  if (call.over) end_write(op, call.error, call.bytes);
}

// An overlapped send ends when all of it is taken, so one that is cancelled or reset may have moved
// a part. That part counts: as a short write, whose successor meets what lasts of the error; or
// beside "timed out", because for the limit of the whole write it took too long.
void port::end_write(io_op& op, int error, std::size_t bytes) noexcept {
  if (error == 0 || (bytes != 0 && (op.flags & op_timed_out) == 0)) {
    core_.complete(op, {}, bytes);
  } else if (bytes != 0 && error == WSA_OPERATION_ABORTED) {
    core_.complete(op, boost::asio::error::operation_aborted, bytes);
  } else {
    fail(op, error);
  }
}

// A receive of no bytes ends when there is something to read, the end of the stream included, and
// takes nothing: so an idle stream holds no buffer. A zero-length list would be refused.
port::begun port::receive_nothing(io_op& op, std::uint32_t flags) noexcept {
  WSABUF nothing{};
  DWORD bytes = 0;
  const int status = ::WSARecv(socket_of(*op.object), &nothing, 1, &bytes, flags_of(op, flags),
                               prepare(op), nullptr);
  return note_call(op, status == 0, bytes);
}

void port::start_receive(io_op& op) noexcept {
  op.backend_data = nullptr;
  // A datagram would be taken, or called too large, by a receive of no bytes.
  if (!op.object->stream_like) return receive_into_block(op);
  core_.counts().kernel_entries.add();
  const begun call = receive_nothing(op, 0);
  if (call.over) end_receive(op, call.error, call.bytes);
}

void port::receive_into_block(io_op& op) noexcept {
  const auto fault = enter_transfer(kernel_entry::receive);
  if (fault.error != 0) return fail(op, fault.error);
  receive_block* block = core_.take_block(op);
  if (block == nullptr) return;  // started again when a buffer comes back, unless none will
  op.backend_data = block;
  WSABUF whole;
  whole.buf = reinterpret_cast<char*>(block->data());
  whole.len = static_cast<ULONG>(std::min(core_.buffers().block_bytes(), fault.bytes_max));
  DWORD bytes = 0;
  const int status = ::WSARecv(socket_of(*op.object), &whole, 1, &bytes, flags_of(op, 0),
                               prepare(op), nullptr);
  const begun call = note_call(op, status == 0, bytes);
  if (call.over) end_receive(op, call.error, call.bytes);
}

void port::end_receive(io_op& op, int error, std::size_t bytes) noexcept {
  auto* block = static_cast<receive_block*>(op.backend_data);
  if (block == nullptr) {
    // Between the two halves nothing has been taken yet, so a cancel loses nothing; after this
    // point it would find nothing to cancel.
    if (error == 0 && (op.flags & op_cancel_requested) != 0) error = WSA_OPERATION_ABORTED;
    if (error != 0) return fail(op, error);
    return receive_into_block(op);
  }
  op.backend_data = nullptr;
  if (error == 0 && bytes != 0) {
    op.block = block;
    core_.complete(op, {}, bytes);
    return;
  }
  core_.give_block(*block);
  end_read(op, error, 0);
}

void port::start_receive_from(io_op& op) noexcept {
  // The room for the address, as a call overwrites the length and another may follow.
  op.backend_data = reinterpret_cast<void*>(static_cast<std::uintptr_t>(op.address_bytes));
  const auto fault = enter_transfer(kernel_entry::receive);
  if (fault.error != 0) return fail(op, fault.error);
  const begun call = receive_datagram(op);
  if (call.over) end_receive_from(op, call.error, call.bytes);
}

port::begun port::receive_datagram(io_op& op) noexcept {
  pieces buffers{op, bytes_max};
  op.address_bytes =
      static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(op.backend_data));
  // Written when the datagram comes, so it lives in the operation.
  auto* address_bytes = op.address == nullptr ? nullptr : reinterpret_cast<INT*>(&op.address_bytes);
  DWORD bytes = 0;
  const int status = ::WSARecvFrom(socket_of(*op.object), buffers.list, buffers.count, &bytes,
                                   flags_of(op, 0), static_cast<sockaddr*>(op.address),
                                   address_bytes, prepare(op), nullptr);
  return note_call(op, status == 0, bytes);
}

// Without a peer a refusal belongs to some datagram sent before, not to the one to be received.
bool port::is_about_others(const io_op& op, int error) const noexcept {
  return tells_of_a_closed_port(error) && (op.flags & op_cancel_requested) == 0 &&
         !has_peer(*op.object);
}

void port::end_receive_from(io_op& op, int error, std::size_t bytes) noexcept {
  while (is_about_others(op, error)) {
    const begun call = receive_datagram(op);
    if (!call.over) return;
    error = call.error;
    bytes = call.bytes;
  }
  if (error == 0) {
    core_.complete(op, {}, bytes);
  } else if (error == WSAEMSGSIZE || error == ERROR_MORE_DATA) {
    core_.complete(op, boost::asio::error::message_size, bytes);
  } else {
    // From the peer of a connected socket it is what other systems call refused.
    fail(op, tells_of_a_closed_port(error) ? WSAECONNREFUSED : error);
  }
}

void port::start_send_to(io_op& op) noexcept {
  const auto fault = enter_transfer(kernel_entry::send);
  if (fault.error != 0) return fail(op, fault.error);
  pieces buffers{op, bytes_max};
  const bool addressed = op.address != nullptr && op.address_bytes != 0;
  DWORD bytes = 0;
  const int status = ::WSASendTo(
      socket_of(*op.object), buffers.list, buffers.count, &bytes, 0,
      addressed ? static_cast<const sockaddr*>(op.address) : nullptr,
      addressed ? static_cast<int>(op.address_bytes) : 0, prepare(op), nullptr);
  const begun call = note_call(op, status == 0, bytes);
  if (call.over) end(op, call.error, call.bytes);
}

}  // namespace fairway::detail::iocp
