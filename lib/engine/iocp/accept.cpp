#include "engine/iocp/accept_pool.hpp"
#include "engine/iocp/port.hpp"
#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <new>
#include <utility>

namespace fairway::detail::iocp {

namespace {

// Errors of the one connection that was to be accepted, not of the listener: its peer gave up
// before or while it was accepted.
bool of_one_connection(int error) noexcept {
  switch (error) {
    case ERROR_NETNAME_DELETED:
    case ERROR_CONNECTION_ABORTED:
    case ERROR_SEM_TIMEOUT:
    case WSAECONNRESET:
    case WSAECONNABORTED:
    case WSAENOTCONN:
    case WSAENETDOWN:
    case WSAENETUNREACH:
    case WSAEHOSTUNREACH:
    case WSAETIMEDOUT:
    case WSAEINTR:
    case WSAEWOULDBLOCK: return true;
    default: return false;
  }
}

// The operation that waits for a connection; null when nobody does.
io_op* waiting_on(const io_object& object) noexcept {
  io_op* op = object.read_side;
  if (op == nullptr || !op->in_backend()) return nullptr;
  return op->kind == op_kind::accept || op->waiting == wait_for::read ? op : nullptr;
}

void drop_socket(accept_slot& slot) noexcept {
  ::closesocket(std::exchange(slot.socket, INVALID_SOCKET));
}

}  // namespace

accept_slot& slot_of(OVERLAPPED* overlapped, io_object*& object) noexcept {
  static_assert(offsetof(accept_slot, overlapped) == 0);
  auto& slot = *reinterpret_cast<accept_slot*>(overlapped);
  object = slot.pool->object;
  return slot;
}

int port::make_pool(io_object& object) noexcept {
  WSAPROTOCOL_INFOW info{};
  int size = sizeof info;
  core_.counts().kernel_entries.add(2);
  if (::getsockopt(socket_of(object), SOL_SOCKET, SO_PROTOCOL_INFOW,
                   reinterpret_cast<char*>(&info), &size) != 0) {
    return ::WSAGetLastError();
  }
  const auto accept_ex = extension<LPFN_ACCEPTEX>(socket_of(object), WSAID_ACCEPTEX);
  if (accept_ex == nullptr) return WSAEOPNOTSUPP;
  auto* pool = new (std::nothrow) accept_pool;
  if (pool == nullptr) return WSA_NOT_ENOUGH_MEMORY;
  pool->object = &object;
  pool->accept_ex = accept_ex;
  pool->family = info.iAddressFamily;
  pool->type = info.iSocketType;
  pool->protocol = info.iProtocol;
  for (accept_slot& slot : pool->slots) slot.pool = pool;
  object.os.extra = pool;
  return 0;
}

void port::start_accept(io_op& op) noexcept {
  io_object& object = *op.object;
  if (!object.listening) return fail(op, WSAEINVAL);
  if (object.os.extra == nullptr) {
    if (const int error = make_pool(object)) return fail(op, error);
  }
  accept_pool& pool = *pool_of(object);
  if (pool.first != nullptr) hand_over(pool);
  const int error = fill_pool(pool);
  // What is posted already can still bring a connection.
  if (error != 0 && pool.posted == 0 && op.in_backend()) fail(op, error);
}

// The error of the first that could not be posted.
int port::fill_pool(accept_pool& pool) noexcept {
  for (accept_slot& slot : pool.slots) {
    if (slot.socket != INVALID_SOCKET) continue;
    int error = 0;
    do {
      error = post_accept(slot);
    } while (error != 0 && of_one_connection(error));
    if (error != 0) return error;
  }
  return 0;
}

int port::post_accept(accept_slot& slot) noexcept {
  accept_pool& pool = *slot.pool;
  if (const int fault = core_.enter(testing::kernel_entry::accept).error) return fault;
  core_.counts().kernel_entries.add();
  slot.socket = make_socket(pool.family, pool.type, pool.protocol);
  if (slot.socket == INVALID_SOCKET) return ::WSAGetLastError();
  slot.overlapped = OVERLAPPED{};
  constexpr auto room = static_cast<DWORD>(accept_slot::address_room);
  DWORD bytes = 0;
  if (pool.accept_ex(socket_of(*pool.object), slot.socket, slot.addresses, 0, room, room, &bytes,
                     &slot.overlapped) == FALSE) {
    if (const int error = ::WSAGetLastError(); error != WSA_IO_PENDING) {
      drop_socket(slot);
      return error;
    }
  }
  // A listener does not skip packets: one comes in either case.
  slot.posted = true;
  ++pool.posted;
  ++pool.object->os.owed;
  ++owed_;
  return 0;
}

void port::end_accept(accept_slot& slot, int error) noexcept {
  accept_pool& pool = *slot.pool;
  io_object& object = *pool.object;
  assert(slot.posted && pool.posted > 0);
  slot.posted = false;
  --pool.posted;
  if (object.closing) return drop_socket(slot);
  if (error == 0) {
    // Without it the socket has no peer name and cannot be shut down (AcceptEx page).
    core_.counts().kernel_entries.add();
    const SOCKET listener = socket_of(object);
    if (::setsockopt(slot.socket, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT,
                     reinterpret_cast<const char*>(&listener), sizeof listener) != 0) {
      error = ::WSAGetLastError();
    }
  }
  if (error == 0) {
    pool.push(slot);
    hand_over(pool);
    return;
  }
  drop_socket(slot);
  io_op* op = waiting_on(object);
  if (op == nullptr) return;  // the next accept fills the pool
  if (of_one_connection(error)) {
    error = fill_pool(pool);
    if (pool.posted != 0) error = 0;
  }
  if (error != 0) fail(*op, error);
}

void port::hand_over(accept_pool& pool) noexcept {
  io_op* op = waiting_on(*pool.object);
  if (op == nullptr) return;
  if (op->kind == op_kind::accept) {
    op->result_handle = static_cast<native_handle>(
        std::exchange(pool.pop().socket, INVALID_SOCKET));
  }
  core_.complete(*op, {}, 0);
}

void port::close_pool(io_object& object) noexcept {
  accept_pool* pool = pool_of(object);
  if (pool == nullptr) return;
  assert(pool->posted == 0);
  while (pool->first != nullptr) drop_socket(pool->pop());
  delete pool;
  object.os.extra = nullptr;
}

}  // namespace fairway::detail::iocp
