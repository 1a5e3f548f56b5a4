// The AcceptEx operations that a listener keeps posted, and the connections they brought.
//
// Posted when somebody waits for a connection, up to `accepts_max` of them; nothing is posted again
// before the connections that came are taken, so a listener that nobody accepts on holds at most
// that many, as it would in its backlog. The pool is made by the first accept and freed when the
// listener closes.
#pragma once

#include "engine/iocp/winsock.hpp"

#include <cstddef>

namespace fairway::detail::iocp {

// Enough to have accepts posted while the packets of others are looked at; large pools cost more
// than they bring (dotnet/aspnetcore pull request 45367).
inline constexpr std::size_t accepts_max = 4;

struct accept_pool;

struct accept_slot {
  // AcceptEx wants 16 bytes beyond an address for each of the two (AcceptEx page).
  static constexpr std::size_t address_room = sizeof(sockaddr_storage) + 16;

  OVERLAPPED overlapped{};
  accept_pool* pool = nullptr;
  accept_slot* next = nullptr;      // in the list of connections
  SOCKET socket = INVALID_SOCKET;   // posted, or a connection; else none
  bool posted = false;
  std::byte addresses[2 * address_room];
};

struct accept_pool {
  io_object* object = nullptr;
  LPFN_ACCEPTEX accept_ex = nullptr;
  int family = 0;
  int type = 0;
  int protocol = 0;
  unsigned posted = 0;
  accept_slot* first = nullptr;  // connections, oldest first; null: none
  accept_slot* last = nullptr;
  accept_slot slots[accepts_max];

  void push(accept_slot& slot) noexcept {
    slot.next = nullptr;
    (first == nullptr ? first : last->next) = &slot;
    last = &slot;
  }
  accept_slot& pop() noexcept {
    accept_slot& slot = *first;
    first = slot.next;
    return slot;
  }
};

inline accept_pool* pool_of(const io_object& object) noexcept {
  return static_cast<accept_pool*>(object.os.extra);
}

}  // namespace fairway::detail::iocp
