// A peer that writes anything into any word of the segment, at any moment: the other end may get an
// error or the peer's nonsense, but never touches memory outside its rings and never hangs in a
// call. The address sanitizer stands behind this file.

#include "support/net.hpp"

#include <algorithm>
#include <cstring>

#include "loopback/segment.hpp"

using namespace loopback_test;

namespace {

// The words of a slot, and some values that are likely to hurt.
void scribble(arena& memory, support::seeded& random) {
  auto* words = reinterpret_cast<word*>(&memory.slot(0));
  constexpr std::size_t count = sizeof(slot_header) / sizeof(word);
  const std::uint64_t bad[] = {0, 1, 2, 4096, 4097, ~std::uint64_t{0}, std::uint64_t{1} << 32,
                               std::uint64_t{1} << 63, random.below(10'000)};
  words[random.below(count)].store(bad[random.below(std::size(bad))],
                                   std::memory_order_relaxed);  // one thread
}

// Looks at every byte that is shown, as a user would.
std::size_t look_at_view(ring_reader& in, support::seeded& random) {
  if (in.shows()) {
    if (random.one_in(3)) in.show_no_more();
    in.wake_writer();
    in.wake_writer_for_any();
    return 0;
  }
  if (in.available() == 0) return 0;
  std::byte* bytes = nullptr;
  const std::size_t shown = in.show(1 + random.below(5000), bytes);
  CHECK(std::count(bytes, bytes + shown, std::byte{1}) == 0);
  return shown;
}

// One step of an honest end; counts what it moved.
std::size_t act(switch_machine& me, support::seeded& random) {
  const std::string text(1 + random.below(5000), 'h');
  std::size_t moved = 0;
  switch (random.below(9)) {
    case 0:
    case 1:
      if (me.way_out() == way::ring) {
        moved = put(me.out(), text);
        me.wake_peer();
      } else {
        me.sent(text.size());
      }
      break;
    case 2:
    case 3:
      if (me.way_in() == way::ring) {
        moved = get(me.in(), text.size()).size();
        me.in().wake_writer();
        if (moved == 0) me.look_for_end();
      } else {
        me.received(random.below(10));
      }
      break;
    case 4: me.arm_space(1 + random.below(4096)); break;
    case 5: me.arm_data(); break;
    case 6:
      if (random.one_in(50)) me.shutdown_send();
      break;
    case 7:
      if (me.way_in() == way::ring) moved = look_at_view(me.in(), random);
      break;
    default:
      if (random.one_in(100)) {
        me.tcp_ended(tcp_end::fin);
        me.judge();
      }
  }
  CHECK(moved <= 4096);
  return moved;
}

}  // namespace

TEST_CASE("any word scribbled at any moment costs no more than the connection") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    support::seeded random{seed};
    connection c;
    c.accept();
    for (int step = 0; step < 400; ++step) {
      if (random.one_in(6)) scribble(*c.memory, random);
      act(random.one_in(2) ? *c.connector : *c.acceptor, random);
    }
    c.connector->close();
    c.acceptor->close();
  }
}

TEST_CASE("an arena's header is checked once and not believed again") {
  auto memory = make_arena(2, 8192);
  CHECK(memory->matches());
  memory->header().slots = 60;
  CHECK_FALSE(memory->matches());
  CHECK(memory->shape().slots == 2);
  memory->header().offers.store(~std::uint64_t{0}, std::memory_order_relaxed);  // one thread
  std::size_t found = 0;
  collect_offers(memory, [&](const slot_use&, const address_pair&) { ++found; });
  CHECK(found == 0);
}

TEST_CASE("an offer with nonsense for endpoints is an offer that nothing matches") {
  auto memory = make_arena(1);
  memory->slot(0).source.name.store(~std::uint64_t{0}, std::memory_order_relaxed);  // one thread
  memory->slot(0).state.store(state_word(~std::uint64_t{0} >> 8, slot_state::offered),
                              std::memory_order_relaxed);  // one thread
  memory->header().offers.store(1, std::memory_order_relaxed);  // one thread
  std::size_t found = 0;
  collect_offers(memory, [&](const slot_use& use, const address_pair& ends) {
    ++found;
    CHECK(is_live(use));
    CHECK(ends.source.name == ~std::uint64_t{0});
  });
  CHECK(found == 1);
}
