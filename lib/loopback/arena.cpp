#include "loopback/arena.hpp"

#include <algorithm>
#include <cassert>

namespace fairway::detail::shm {

void arena::initialise() noexcept {
  arena_header& h = header();
  h.magic = arena_magic;
  h.version = protocol_version;
  h.slots = shape_.slots;
  h.ring_bytes = shape_.ring_bytes;
  h.total_bytes = shape_.total();
}

bool arena::matches() const noexcept {
  const arena_header& h = header();
  return h.magic == arena_magic && h.version == protocol_version && h.slots == shape_.slots &&
         h.ring_bytes == shape_.ring_bytes && h.total_bytes == shape_.total();
}

switch_machine::place arena::place(unsigned index, std::uint64_t generation, side me) noexcept {
  assert(index < shape_.slots);
  switch_machine::place made;
  made.slot = &slot(index);
  made.rings[0] = base_ + shape_.ring_at(index, side::connector);
  made.rings[1] = base_ + shape_.ring_at(index, side::acceptor);
  made.capacity = shape_.ring_bytes;
  made.generation = generation;
  made.me = me;
  return made;
}

void slot_pool::add(std::shared_ptr<arena> fresh) {
  const unsigned slots = fresh->shape().slots;
  const auto number = static_cast<std::uint32_t>(arenas_.size());
  // So that giving back never allocates.
  free_.reserve(free_.size() + waiting_.size() + slots + number * slots_max);
  waiting_.reserve(free_.capacity());
  arenas_.push_back({std::move(fresh), {}});
  for (unsigned i = slots; i > 0; --i) free_.push_back({number, i - 1});
}

void slot_pool::collect_released() {
  // A few at a time: a connect costs the same however many wait.
  constexpr std::size_t looks_max = 16;
  for (std::size_t n = std::min(looks_max, waiting_.size()); n > 0; --n) {
    if (look_at_ >= waiting_.size()) look_at_ = 0;
    const place at = waiting_[look_at_];
    used_arena& a = arenas_[at.arena];
    const word (&done)[2] = a.at->slot(at.slot).released;
    const std::uint64_t generation = a.generations[at.slot];
    if (done[0].load(std::memory_order_acquire) == generation &&
        done[1].load(std::memory_order_acquire) == generation) {
      waiting_[look_at_] = waiting_.back();
      waiting_.pop_back();
      free_.push_back(at);
    } else {
      ++look_at_;
    }
    if (waiting_.empty()) break;
  }
}

slot_use slot_pool::take() {
  if (!waiting_.empty()) collect_released();
  if (free_.empty()) return {};
  const place at = free_.back();
  free_.pop_back();
  used_arena& a = arenas_[at.arena];
  return {a.at, at.slot, ++a.generations[at.slot]};
}

void slot_pool::offer(const slot_use& use, const address_pair& ends) noexcept {
  slot_header& slot = use.in->slot(use.slot);
  // Relaxed: the state is stored last, with release.
  for (direction& way : slot.ways) {
    way.tail.store(0, std::memory_order_relaxed);
    way.head.store(0, std::memory_order_relaxed);
    way.switch_at.store(switch_unset, std::memory_order_relaxed);
    way.finished.store(0, std::memory_order_relaxed);
    way.closed.store(0, std::memory_order_relaxed);
    way.data_armed.store(1, std::memory_order_relaxed);
    way.space_armed.store(0, std::memory_order_relaxed);
  }
  store(slot.source, ends.source);
  store(slot.target, ends.target);
  slot.state.store(state_word(use.generation, slot_state::offered), std::memory_order_release);
  use.in->header().offers.fetch_or(std::uint64_t{1} << use.slot, std::memory_order_release);
}

void slot_pool::give(const slot_use& use, bool claimed) {
  for (std::uint32_t i = 0; i < arenas_.size(); ++i) {
    if (arenas_[i].at != use.in) continue;
    (claimed ? waiting_ : free_).push_back({i, use.slot});
    return;
  }
}

bool slot_pool::all_free() {
  for (std::size_t before = waiting_.size(); before != 0; before = waiting_.size()) {
    collect_released();
    if (waiting_.size() == before) return false;
  }
  std::size_t slots = 0;
  for (const used_arena& a : arenas_) slots += a.at->shape().slots;
  return free_.size() == slots;
}

bool is_live(const slot_use& use) noexcept {
  const std::uint64_t now = use.in->slot(use.slot).state.load(std::memory_order_acquire);
  return now == state_word(use.generation, slot_state::offered) ||
         now == state_word(use.generation, slot_state::connected);
}

}  // namespace fairway::detail::shm
