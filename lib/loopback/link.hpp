// The connection of two processes: who made it was checked when it began; it carries arenas and
// doorbells, and its end is the end of the other process.
//
// One a connecting port and listener. The connector owns the slots of its arenas; the acceptor
// finds offers in them. A doorbell is a bit in the arena and one byte on the link, sent without
// blocking whatever the peer did to the descriptor (an eventfd could be made to block: its flags
// are shared with the peer). A full link has a byte that the peer has not read, and it looks at the
// bits after reading.
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

  // --- connector ---
  bool takes_offers() const noexcept { return trusted_ && wanted_ && is_open(); }
  std::size_t ring_bytes() const noexcept { return ring_bytes_; }
  slot_use take_slot(path_reason& why);
  void give_slot(const slot_use& use, bool claimed) { pool_.give(use, claimed); }

  // --- acceptor ---
  void collect(offer_book& book, const std::shared_ptr<link>& self);
  // The listener is gone: the connector need not offer any more.
  void refuse_offers() noexcept;

  bool is_open() const noexcept;
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
  void take_arena(int memory);
  member* member_of(const slot_use& use) noexcept;

  service& service_;
  wire* wire_ = nullptr;
  std::vector<member> members_;
  slot_pool pool_;
  std::size_t ring_bytes_;
  side me_;
  bool trusted_ = true;
  bool wanted_ = true;
};

}  // namespace fairway::detail::shm
