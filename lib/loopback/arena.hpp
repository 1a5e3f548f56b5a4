// A mapped arena: where its slots are, who made it, and the slots' use.
//
// `arena` owns the mapping; channels share it, so it lives as long as one of them. What is in it
// can be changed by the peer at any moment: only own notes (shape, generations) are believed.
// `slot_pool` is the connector's: it lends slots, one generation a use, and takes one back when
// both ends have released it. This end does so in the slot as well, when a view is given back that
// outlives its connection: a peer that says it early is the one whose bytes the view has.
//
// Threads: an arena's words are atomics; everything else belongs to one port's thread.
#pragma once

#include "loopback/address.hpp"
#include "loopback/layout.hpp"
#include "loopback/switch_machine.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace fairway::detail::shm {

class arena {
 public:
  // How a mapping goes away: the system's part knows.
  using unmap_function = void (*)(void* base, std::size_t bytes) noexcept;

  arena(void* base, const arena_shape& shape, unmap_function unmap) noexcept
      : base_{static_cast<std::byte*>(base)}, shape_{shape}, unmap_{unmap} {}
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;
  ~arena() { unmap_(base_, shape_.total()); }

  // Writes the header of a fresh, zeroed arena.
  void initialise() noexcept;
  // Whether the header of somebody else's arena says what its size says.
  bool matches() const noexcept;

  const arena_shape& shape() const noexcept { return shape_; }
  arena_header& header() noexcept { return *reinterpret_cast<arena_header*>(base_); }
  const arena_header& header() const noexcept {
    return *reinterpret_cast<const arena_header*>(base_);
  }
  slot_header& slot(unsigned index) noexcept {
    return *reinterpret_cast<slot_header*>(base_ + shape_.header_at(index));
  }
  switch_machine::place place(unsigned slot, std::uint64_t generation, side me) noexcept;

 private:
  std::byte* base_;
  arena_shape shape_;
  unmap_function unmap_;
};

// The use of one slot.
struct slot_use {
  std::shared_ptr<arena> in;
  unsigned slot = 0;
  std::uint64_t generation = 0;

  explicit operator bool() const noexcept { return in != nullptr; }
  switch_machine::place place(side me) const noexcept { return in->place(slot, generation, me); }
};

class slot_pool {
 public:
  void add(std::shared_ptr<arena> fresh);
  std::size_t arenas() const noexcept { return arenas_.size(); }
  // Empty when every slot is in use: an arena is to be added.
  slot_use take();
  // Writes the offer where the acceptor finds it.
  static void offer(const slot_use& use, const address_pair& ends) noexcept;
  // This end is done. `claimed`: the acceptor has accepted; the slot waits for both to release it.
  void give(const slot_use& use, bool claimed);
  // Neither end uses any slot.
  bool all_free();

 private:
  struct used_arena {
    std::shared_ptr<arena> at;
    std::array<std::uint64_t, slots_max> generations{};
  };
  struct place {
    std::uint32_t arena;
    std::uint32_t slot;
  };
  void collect_released();

  std::vector<used_arena> arenas_;
  std::vector<place> free_;     // the one used last is taken first: its pages are warm
  std::vector<place> waiting_;  // given back, not yet released by both ends
  std::size_t look_at_ = 0;     // in waiting_: where the next search begins
};

// Takes the offers that were made in `in` since the last call.
template <class Found>
void collect_offers(const std::shared_ptr<arena>& in, Found&& found) {
  word& offers = in->header().offers;
  // Relaxed first: the exchange, which orders, is for when there is something.
  if (offers.load(std::memory_order_relaxed) == 0) return;
  std::uint64_t bits = offers.exchange(0, std::memory_order_acquire);
  for (unsigned i = 0; i < in->shape().slots; ++i) {
    if ((bits >> i & 1) == 0) continue;
    slot_header& slot = in->slot(i);
    const std::uint64_t state = slot.state.load(std::memory_order_acquire);
    const auto what = static_cast<slot_state>(state & 0xff);
    if (what != slot_state::offered && what != slot_state::connected) continue;
    found(slot_use{in, i, state >> 8}, address_pair{load(slot.source), load(slot.target)});
  }
}

// An offer that is still good: not revoked, and its slot not gone on to another use.
bool is_live(const slot_use& use) noexcept;

}  // namespace fairway::detail::shm
