#include "loopback/switch_machine.hpp"

#include <algorithm>
#include <cassert>

namespace fairway::detail::shm {

switch_machine::switch_machine(const place& at) noexcept
    : at_{at},
      out_{ring_place{&outgoing(), at.rings[index_of(at.me)], at.capacity, at.start}},
      in_{ring_place{&incoming(), at.rings[index_of(other(at.me))], at.capacity, at.start}} {}

bool switch_machine::change(slot_state from, slot_state to) noexcept {
  std::uint64_t expected = state_word(at_.generation, from);
  // Acquire and release: what each end wrote into the slot before its change is seen by the other.
  return at_.slot->state.compare_exchange_strong(expected, state_word(at_.generation, to),
                                                 std::memory_order_acq_rel,
                                                 std::memory_order_acquire);
}

bool switch_machine::connected() noexcept {
  assert(at_.me == side::connector);
  return change(slot_state::offered, slot_state::connected);
}

bool switch_machine::revoke() noexcept {
  if (accepted_) return false;
  if (change(slot_state::offered, slot_state::revoked)) return true;
  if (change(slot_state::connected, slot_state::revoked)) return true;
  return !accepted();
}

bool switch_machine::accepted() noexcept {
  if (accepted_) return true;
  std::uint64_t now = at_.slot->state.load(std::memory_order_acquire);
  if (at_.me == side::acceptor && now == state_word(at_.generation, slot_state::connected)) {
    change(slot_state::connected, slot_state::accepted);
    now = at_.slot->state.load(std::memory_order_acquire);
  }
  accepted_ = now == state_word(at_.generation, slot_state::accepted);
  return accepted_;
}

bool switch_machine::revoked() const noexcept {
  return !accepted_ && at_.slot->state.load(std::memory_order_acquire) ==
                           state_word(at_.generation, slot_state::revoked);
}

void switch_machine::switch_out() noexcept {
  if (out_on_ring_) return;
  out_on_ring_ = true;
  outgoing().switch_at.store(sent_, std::memory_order_release);
}

way switch_machine::way_out() noexcept {
  if (broken_ || out_.broken()) return way::broken;
  if (!out_on_ring_) {
    if (!accepted()) return way::tcp;
    switch_out();
  }
  if (out_.reader_closed() || tcp_ != tcp_end::none) return way::lost;
  return way::ring;
}

shutdown_answer switch_machine::shutdown_send() noexcept {
  if (!out_on_ring_) {
    if (revoke()) {
      shut_ = true;
      return shutdown_answer::by_tcp;
    }
    switch_out();
  }
  if (!shut_) outgoing().finished.store(finished_fin, std::memory_order_release);
  shut_ = true;
  return shutdown_answer::marked;
}

bool switch_machine::peer_reset() const noexcept {
  return tcp_ == tcp_end::reset ||
         incoming().finished.load(std::memory_order_acquire) == finished_reset;
}

way switch_machine::way_in() noexcept {
  if (broken_ || in_.broken()) return way::broken;
  if (in_on_ring_) return way::ring;
  if (!accepted()) return way::tcp;
  const std::uint64_t count = incoming().switch_at.load(std::memory_order_acquire);
  if (count == switch_unset || count > received_) return way::tcp;
  if (count < received_) {
    broken_ = true;
    return way::broken;
  }
  in_on_ring_ = true;
  return way::ring;
}

std::uint64_t switch_machine::before_switch(std::uint64_t bytes) noexcept {
  if (!accepted()) return bytes;
  const std::uint64_t count = incoming().switch_at.load(std::memory_order_acquire);
  if (count == switch_unset || count < received_) return bytes;
  return std::min(bytes, count - received_);
}

bool switch_machine::peer_switched() const noexcept {
  return incoming().switch_at.load(std::memory_order_acquire) != switch_unset;
}

bool switch_machine::received(std::uint64_t bytes) noexcept {
  received_ += bytes;
  return way_in() != way::broken;
}

verdict switch_machine::look_for_end() noexcept {
  assert(in_on_ring_);
  // The mark before the index: the mark is set after the last byte.
  const std::uint64_t mark = incoming().finished.load(std::memory_order_acquire);
  if (in_.refresh() != 0) return verdict::more;
  if (in_.broken()) return verdict::broken;
  if (mark == 0) return verdict::more;
  end_seen_ = true;
  return mark == finished_reset ? verdict::reset : verdict::eof;
}

// The peer went without a word. What it had not read of ours is lost, as TCP would tell.
verdict switch_machine::died() noexcept {
  if (out_on_ring_ && !out_.all_read()) return verdict::reset;
  return verdict::eof;
}

verdict switch_machine::judge() noexcept {
  assert(tcp_ != tcp_end::none);
  const verdict plain = tcp_ == tcp_end::reset ? verdict::reset : verdict::eof;
  switch (way_in()) {
    case way::broken: return verdict::broken;
    case way::ring: {
      const verdict found = look_for_end();
      if (found != verdict::more || in_.available() != 0) return found;
      return died();
    }
    default: break;
  }
  if (!accepted()) return plain;
  const std::uint64_t count = incoming().switch_at.load(std::memory_order_acquire);
  if (count != switch_unset) return verdict::reset;  // a part of what went by TCP is lost
  return plain == verdict::reset ? plain : died();
}

switch_machine::farewell switch_machine::close(bool abortive) noexcept {
  farewell how;
  if (!accepted_ && revoke()) return how;
  switch_out();
  how.on_ring = true;
  how.reset = abortive || (way_in() == way::ring && in_.refresh() != 0);
  if (!in_.broken() && !how.reset && in_on_ring_) look_for_end();
  // Who has read of our ring had taken all that went by TCP before.
  const bool all_taken = out_.all_read() && (sent_ == 0 || out_.used());
  how.quiet = end_seen_ && (out_.reader_closed() || (shut_ && all_taken));
  if (how.reset) {
    outgoing().finished.store(finished_reset, std::memory_order_release);
  } else if (!shut_) {
    outgoing().finished.store(finished_fin, std::memory_order_release);
  }
  shut_ = true;
  incoming().closed.store(1, std::memory_order_release);
  return how;
}

unsigned switch_machine::wake_peer() noexcept {
  const bool reader = out_.wake_reader();
  word& space = incoming().space_armed;
  // Relaxed: the fence of wake_reader orders it after the marks; the exchange decides.
  const bool writer = space.load(std::memory_order_relaxed) != 0 &&
                      space.exchange(0, std::memory_order_acq_rel) != 0;
  return unsigned{reader} + unsigned{writer};
}

bool switch_machine::peer_took_tcp() noexcept {
  return sent_ == 0 || (out_.used() && out_.any_read());
}

}  // namespace fairway::detail::shm
