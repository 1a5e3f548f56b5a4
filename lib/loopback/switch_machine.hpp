// One end of one connection, as a state machine without I/O: who has claimed what, which way the
// next byte goes, what the end of a stream means.
//
// It reads and writes the words of one slot and nothing else; what is to be done with sockets is
// returned as an answer: send by TCP or by the ring, shut TCP down or mark and ring, deliver more
// or report the end. The rules are those at the head of layout.hpp. Its user owes it three reports:
// `sent` for each byte given to TCP (with no TCP send in flight when `way_out` is asked),
// `received` for each byte taken from TCP, and `tcp_ended` once TCP has ended.
//
// Threads: one. Memory order: acquire loads of what the peer publishes, in the order of the rules.
#pragma once

#include "loopback/ring.hpp"

#include <cstdint>

namespace fairway::detail::shm {

enum class way : std::uint8_t {
  tcp,
  ring,
  lost,    // the peer is gone, the direction closed
  broken   // the peer broke the ring
};
enum class verdict : std::uint8_t { more, eof, reset, broken };
enum class shutdown_answer : std::uint8_t { by_tcp, marked };
enum class tcp_end : std::uint8_t { none, fin, reset };

class switch_machine {
 public:
  struct place {
    slot_header* slot = nullptr;
    std::byte* rings[2] = {};  // by the side that writes
    std::uint64_t capacity = 0;
    std::uint64_t generation = 0;
    side me = side::connector;
    std::uint64_t start = 0;  // of the indices; not zero in tests only
  };

  explicit switch_machine(const place& at) noexcept;

  // --- the handshake ---
  // Connector, when its connect succeeded. False: the acceptor has revoked.
  bool connected() noexcept;
  // Either end: TCP for good. False: too late, the connection has its fast path.
  bool revoke() noexcept;
  // Looks at the state, and claims the connection when this is the acceptor's to do.
  bool accepted() noexcept;
  bool revoked() const noexcept;

  // --- sending ---
  // Which way the next byte goes. The first answer `ring` publishes the switch.
  way way_out() noexcept;
  void sent(std::uint64_t bytes) noexcept { sent_ += bytes; }
  ring_writer& out() noexcept { return out_; }
  shutdown_answer shutdown_send() noexcept;
  bool shut() const noexcept { return shut_; }
  // What a write gets that cannot go out: reset or the end of the peer's reading.
  bool peer_reset() const noexcept;

  // --- receiving ---
  way way_in() noexcept;
  // False: TCP carried more than the sender said.
  bool received(std::uint64_t bytes) noexcept;
  // Of `bytes` that TCP has just given, not yet reported: those before the peer's switch.
  std::uint64_t before_switch(std::uint64_t bytes) noexcept;
  // The peer has switched, which it does before it first rings by TCP.
  bool peer_switched() const noexcept;
  ring_reader& in() noexcept { return in_; }
  // What there is when the ring is empty: `more` (nothing yet, or bytes came in the meantime), or
  // the end. Only after `way_in` said ring.
  verdict look_for_end() noexcept;
  void tcp_ended(tcp_end how) noexcept {
    if (tcp_ == tcp_end::none) tcp_ = how;
  }
  tcp_end tcp() const noexcept { return tcp_; }
  // Judges the end of TCP; only after `tcp_ended`, at an end of what there was to read.
  verdict judge() noexcept;

  // --- ending ---
  struct farewell {
    bool on_ring = false;  // the peer reads the end from the segment; else TCP does it all
    bool reset = false;    // input was left unread
    bool quiet = false;    // both ends have seen each other's end: TCP needs no TIME_WAIT
  };
  // Marks the end; `wake_peer` is to be asked afterwards. `abortive`: the peer is to see a reset.
  farewell close(bool abortive = false) noexcept;
  // How many of the peer's tokens (its armed words) were taken: zero, unless it waits for anything.
  unsigned wake_peer() noexcept;
  // All that went to the peer by TCP has been read: there was nothing, or it has read of the ring.
  bool peer_took_tcp() noexcept;
  // The slot may go to another connection once both ends have said so.
  void release() noexcept { release(*at_.slot, at_.generation, at_.me); }
  static void release(slot_header& slot, std::uint64_t generation, side me) noexcept {
    slot.released[index_of(me)].store(generation, std::memory_order_release);
  }
  side own_side() const noexcept { return at_.me; }

  // --- parking ---
  void arm_data() noexcept { in_.arm(); }
  void arm_space(std::uint64_t wanted) noexcept { out_.arm(wanted); }
  std::uint64_t sent_by_tcp() const noexcept { return sent_; }
  std::uint64_t received_by_tcp() const noexcept { return received_; }

 private:
  direction& outgoing() const noexcept { return at_.slot->ways[index_of(at_.me)]; }
  direction& incoming() const noexcept { return at_.slot->ways[index_of(other(at_.me))]; }
  bool change(slot_state from, slot_state to) noexcept;
  void switch_out() noexcept;
  verdict died() noexcept;

  place at_;
  ring_writer out_;
  ring_reader in_;
  std::uint64_t sent_ = 0;      // by TCP
  std::uint64_t received_ = 0;  // by TCP
  tcp_end tcp_ = tcp_end::none;
  bool accepted_ = false;
  bool out_on_ring_ = false;
  bool in_on_ring_ = false;
  bool shut_ = false;
  bool end_seen_ = false;  // the peer's mark was read, with everything before it
  bool broken_ = false;
};

}  // namespace fairway::detail::shm
