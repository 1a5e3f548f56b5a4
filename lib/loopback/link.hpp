// The connection of two processes: who made it was checked when it began; it carries arenas and
// doorbells, and its end is the end of the other process.
//
// One a connecting port and listener. The connector owns the slots of its arenas; the acceptor
// finds offers in them. A doorbell is a bit in the arena and one byte on the link, sent without
// blocking whatever the peer did to the descriptor. A full link has a byte that the peer has not
// read, and it looks at the bits after reading.
//
// Not an eventfd. Its flags are shared with the peer, which can make it block and fill it; a write
// that is certain not to block exists for a socket (MSG_DONTWAIT), but for an eventfd only through
// io_uring: pwritev2 refuses RWF_NOWAIT for it (EOPNOTSUPP), so epoll could not ring one. Two
// sleeping processes that wake each other take 40 to 50 us by eventfds and 51 to 63 us by the link
// (each pinned, epoll, medians), a parked round trip over TCP 70 to 80: the link is within the
// bars of both TCP and AF_UNIX, needs no descriptors of its own, and its end is the peer's death.
//
// Threads: the port's owner.
#pragma once

#include "engine/operation.hpp"
#include "loopback/arena.hpp"
#include "loopback/offer_book.hpp"

#include <fairway/loopback.hpp>

#include <memory>
#include <vector>

namespace fairway::detail::shm {

class channel;
class service;

class link {
 public:
  // Takes the socket. Throws std::bad_alloc, with the socket closed.
  // `ring_bytes`: of the arenas that the connector makes.
  static std::shared_ptr<link> make(service& where, int fd, side me, std::size_t ring_bytes);
  link(service& where, side me, std::size_t ring_bytes) noexcept
      : service_{where}, ring_bytes_{ring_bytes}, me_{me} {}
  link(const link&) = delete;
  link& operator=(const link&) = delete;
  ~link();

  void enter(channel& c);
  // `claimed`: the slot is released by the other end on its own.
  void leave(channel& c, bool claimed) noexcept;
  void ring(const slot_use& use) noexcept;
  // The peer wrote what no correct peer writes: nothing new begins with it.
  void distrust() noexcept { trusted_ = false; }
  bool is_trusted() const noexcept { return trusted_; }

  // --- connector ---
  bool takes_offers() const noexcept { return trusted_ && wanted_ && is_open(); }
  std::size_t ring_bytes() const noexcept { return ring_bytes_; }
  slot_use take_slot(path_reason& why);
  void give_slot(const slot_use& use, bool claimed) { pool_.give(use, claimed); }
  // Ends the link, and with it the other end's, if it has memory that no connection uses. Returns
  // whether it did.
  bool give_up_unused() noexcept;

  // --- acceptor ---
  void collect(offer_book& book, const std::shared_ptr<link>& self);
  // The connector need not offer any more: the listener is gone, or cannot see the offers.
  void refuse_offers() noexcept;
  // Why the offers of an arena that came can never be seen; else none.
  path_reason lost() const noexcept { return lost_; }
  // The same, or why the offer for `ends`, which is there, cannot be seen now.
  path_reason unseen(const address_pair& ends) const noexcept;

  bool is_open() const noexcept;
  // The same, with what the other end has said by now.
  bool is_alive() noexcept;
  // Nobody uses it and nobody will.
  bool is_useless() const noexcept { return !is_open() || (me_ == side::acceptor && !wanted_); }

 private:
  struct wire;
  struct member {
    std::shared_ptr<arena> at;
    std::vector<channel*> channels;  // by slot; null: not of this end's making
  };
  void watch() noexcept;
  void on_readable() noexcept;
  void answer_bells() noexcept;
  void ended() noexcept;
  void take_arena(int memory) noexcept;
  void map_arena() noexcept;
  member* member_of(const slot_use& use) noexcept;

  service& service_;
  wire* wire_ = nullptr;
  std::vector<member> members_;
  slot_pool pool_;
  std::size_t ring_bytes_;
  int unmapped_ = -1;  // an arena for which there was no memory
  arena_shape unmapped_shape_{};
  path_reason lost_ = path_reason::none;
  side me_;
  bool trusted_ = true;
  bool wanted_ = true;
};

}  // namespace fairway::detail::shm
