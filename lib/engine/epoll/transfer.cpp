#include "engine/epoll/port.hpp"

#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cerrno>

#include <sys/socket.h>
#include <sys/uio.h>

namespace fairway::detail::epoll {

namespace {

using testing::kernel_entry;

static_assert(sizeof(io_vec) == sizeof(iovec));
static_assert(offsetof(io_vec, size) == offsetof(iovec, iov_len));

std::size_t total(const io_op& op) noexcept {
  std::size_t sum = 0;
  for (std::uint32_t i = 0; i < op.vec_count; ++i) sum += op.vecs[i].size;
  return sum;
}

// The schedule's answer for one transfer. "Interrupted" and "not now" mean to call again.
testing::entry_fault enter_with_faults(port_core& core, kernel_entry where) noexcept {
  for (;;) {
    const auto fault = core.enter(where);
    if (fault.error != EINTR && fault.error != EAGAIN) return fault;
  }
}

inline testing::entry_fault enter_transfer(port_core& core, kernel_entry where) noexcept {
  if (core.options().faults != nullptr) [[unlikely]] return enter_with_faults(core, where);
  core.counts().kernel_entries.add();
  return {};
}

msghdr message_of(io_op& op) noexcept {
  msghdr message{};
  message.msg_iov = reinterpret_cast<iovec*>(op.vecs);
  message.msg_iovlen = op.vec_count;
  if (op.address != nullptr && op.address_bytes != 0) {
    message.msg_name = op.address;
    message.msg_namelen = static_cast<socklen_t>(op.address_bytes);
  }
  return message;
}

}  // namespace

// True for a unix-domain stream.
bool port::learn_family(io_object& object) noexcept {
  int family = AF_UNSPEC;
  socklen_t size = sizeof family;
  core_.counts().kernel_entries.add();
  ::getsockopt(static_cast<int>(object.handle), SOL_SOCKET, SO_DOMAIN, &family, &size);
  object.os.bits |= family == AF_UNIX ? family_known | may_pass_descriptors : family_known;
  return family == AF_UNIX;
}

// What a peer passes along with its bytes is dropped; that it was there is told by a flag.
long port::receive_message(io_object& object, msghdr& message) noexcept {
  const auto got = ::recvmsg(static_cast<int>(object.handle), &message, MSG_DONTWAIT);
  if (got > 0 && (message.msg_flags & MSG_CTRUNC) != 0) object.os.bits |= read_on;
  return got;
}

long port::receive_bytes(io_object& object, void* data, std::size_t size) noexcept {
  if ((object.os.bits & may_pass_descriptors) == 0) {
    return ::recv(static_cast<int>(object.handle), data, size, MSG_DONTWAIT);
  }
  iovec one{data, size};
  msghdr message{};
  message.msg_iov = &one;
  message.msg_iovlen = 1;
  return receive_message(object, message);
}

bool port::finish_read(io_op& op, long got, std::size_t wanted, int error) noexcept {
  std::uint32_t& bits = op.object->os.bits;
  if (got < 0) {
    if (error == EAGAIN) {
      bits &= ~(readable | read_on);
      return false;
    }
    fail(op, error);
    return true;
  }
  const auto bytes = static_cast<std::size_t>(got);
  // A short read emptied the socket (epoll(7)); what comes next brings a new edge. The bit stays
  // where that is not so: see `read_on`.
  if (bytes < wanted && bytes != 0 && (bits & read_on) == 0) {
    // A unix-domain stream is told by its first short read, which may be of the other kind.
    if ((bits & family_known) != 0 || !learn_family(*op.object)) bits &= ~readable;
  }
  if (bytes == 0 && wanted != 0 && op.object->stream_like) {
    core_.complete(op, boost::asio::error::eof, 0);
  } else {
    core_.complete(op, {}, bytes);
  }
  return true;
}

bool port::perform_read(io_op& op) noexcept {
  const auto fault = enter_transfer(core_, kernel_entry::receive);
  if (fault.error != 0) return finish_read(op, -1, 0, fault.error);
  const std::size_t wanted = total(op);
  ssize_t got = 0;
  do {
    if (op.vec_count <= 1 || fault.bytes_max < op.vecs[0].size) {
      const std::size_t size = std::min(op.vecs[0].size, fault.bytes_max);
      got = receive_bytes(*op.object, op.vecs[0].data, size);
      if (size < wanted && got == static_cast<ssize_t>(size)) {
        core_.complete(op, {}, size);  // cut short by a fault: more may be there
        return true;
      }
    } else {
      msghdr message = message_of(op);
      message.msg_name = nullptr;
      message.msg_namelen = 0;
      got = receive_message(*op.object, message);
    }
  } while (got < 0 && errno == EINTR);
  return finish_read(op, got, wanted, errno);
}

bool port::perform_receive(io_op& op) noexcept {
  receive_block* block = core_.take_block(op);
  // Started again when a buffer comes back, unless none will.
  if (block == nullptr) return (op.flags & op_waits_for_block) == 0;
  const auto fault = enter_transfer(core_, kernel_entry::receive);
  const std::size_t wanted = core_.buffers().block_bytes();
  ssize_t got = -1;
  int error = fault.error;
  if (error == 0) {
    do {
      got = receive_bytes(*op.object, block->data(), std::min(wanted, fault.bytes_max));
      error = errno;
    } while (got < 0 && error == EINTR);
  }
  if (got > 0) {
    op.block = block;
  } else {
    core_.give_block(*block);
  }
  if (got > 0 && fault.bytes_max < wanted) {
    core_.complete(op, {}, static_cast<std::size_t>(got));
    return true;
  }
  return finish_read(op, got, wanted, error);
}

bool port::perform_write(io_op& op) noexcept {
  const int fd = static_cast<int>(op.object->handle);
  const auto fault = enter_transfer(core_, kernel_entry::send);
  ssize_t sent = -1;
  int error = fault.error;
  if (error == 0) {
    do {
      if (op.vec_count <= 1 || fault.bytes_max < op.vecs[0].size) {
        sent = ::send(fd, op.vecs[0].data, std::min(op.vecs[0].size, fault.bytes_max),
                      MSG_DONTWAIT | MSG_NOSIGNAL);
      } else {
        const msghdr message = message_of(op);
        sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      }
      error = errno;
    } while (sent < 0 && error == EINTR);
  }
  if (sent >= 0) {
    core_.complete(op, {}, static_cast<std::size_t>(sent));
    return true;
  }
  if (error == EAGAIN) {
    op.object->os.bits &= ~writable;
    return false;
  }
  fail(op, error);
  return true;
}

std::optional<result<std::size_t>> port::write_now(io_object& object,
                                                   const io_vec& piece) noexcept {
  const bool full = object.registered && (object.os.bits & writable) == 0;
  if (full || core_.options().faults != nullptr) return {};
  core_.counts().kernel_entries.add();
  ssize_t sent = -1;
  do {
    sent = ::send(static_cast<int>(object.handle), piece.data, piece.size,
                  MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno != EAGAIN) return error_code{errno, boost::asio::error::get_system_category()};
  object.os.bits &= ~writable;
  return {};
}

bool port::perform_receive_from(io_op& op) noexcept {
  const auto fault = enter_transfer(core_, kernel_entry::receive);
  msghdr message = message_of(op);
  ssize_t got = -1;
  int error = fault.error;
  if (error == 0) {
    do {
      got = ::recvmsg(static_cast<int>(op.object->handle), &message, MSG_DONTWAIT);
      error = errno;
    } while (got < 0 && error == EINTR);
  }
  if (got < 0) {
    if (error == EAGAIN) {
      op.object->os.bits &= ~readable;
      return false;
    }
    fail(op, error);
    return true;
  }
  op.address_bytes = static_cast<std::uint32_t>(message.msg_namelen);
  const bool cut = (message.msg_flags & MSG_TRUNC) != 0;
  core_.complete(op, cut ? error_code{boost::asio::error::message_size} : error_code{},
                 static_cast<std::size_t>(got));
  return true;
}

bool port::perform_send_to(io_op& op) noexcept {
  // A datagram leaves as a whole or not at all: the same call as for streams, with an address.
  const auto fault = enter_transfer(core_, kernel_entry::send);
  const msghdr message = message_of(op);
  ssize_t sent = -1;
  int error = fault.error;
  if (error == 0) {
    do {
      sent = ::sendmsg(static_cast<int>(op.object->handle), &message,
                       MSG_DONTWAIT | MSG_NOSIGNAL);
      error = errno;
    } while (sent < 0 && error == EINTR);
  }
  if (sent < 0 && error == EAGAIN) {
    op.object->os.bits &= ~writable;
    return false;
  }
  if (sent < 0) {
    fail(op, error);
  } else {
    core_.complete(op, {}, static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace fairway::detail::epoll
