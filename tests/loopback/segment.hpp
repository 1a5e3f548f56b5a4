// An arena in ordinary memory, and the two ends of its first slot.
#pragma once

#include "loopback/arena.hpp"

#include <cstdlib>
#include <memory>
#include <new>

namespace loopback_test {

using namespace fairway::detail::shm;

inline std::shared_ptr<arena> make_arena(std::uint32_t slots = 1,
                                         std::uint64_t ring_bytes = ring_bytes_min) {
  const arena_shape shape{slots, ring_bytes};
  void* memory = ::operator new(shape.total(), std::align_val_t{page_bytes});
  std::memset(memory, 0, shape.total());
  auto made = std::make_shared<arena>(memory, shape, [](void* base, std::size_t) noexcept {
    ::operator delete(base, std::align_val_t{page_bytes});
  });
  made->initialise();
  return made;
}

// A connection that was offered; `start` is where the ring's indices begin.
struct connection {
  explicit connection(std::uint64_t ring_bytes = ring_bytes_min, std::uint64_t start = 0)
      : memory{make_arena(1, ring_bytes)} {
    pool.add(memory);
    use = pool.take();
    slot_pool::offer(use, {});
    auto place = [&](side me) {
      auto made = use.place(me);
      made.start = start;
      return made;
    };
    for (direction& way : memory->slot(0).ways) {
      way.tail.store(start, std::memory_order_relaxed);  // nobody else is there yet
      way.head.store(start, std::memory_order_relaxed);  // as above
    }
    connector.emplace(place(side::connector));
    acceptor.emplace(place(side::acceptor));
  }
  // Offered, connected and claimed.
  void accept() {
    connector->connected();
    acceptor->accepted();
  }

  std::shared_ptr<arena> memory;
  slot_pool pool;
  slot_use use;
  std::optional<switch_machine> connector;
  std::optional<switch_machine> acceptor;
};

inline std::size_t put(ring_writer& to, std::string_view bytes) {
  const fairway::detail::io_vec piece{const_cast<char*>(bytes.data()), bytes.size()};
  return to.write(&piece, 1);
}
inline std::string get(ring_reader& from, std::size_t most = 65536) {
  std::string room(most, '\0');
  const fairway::detail::io_vec piece{room.data(), room.size()};
  room.resize(from.read(&piece, 1));
  return room;
}

}  // namespace loopback_test
