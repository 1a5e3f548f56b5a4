// The ring alone, both ends on one thread: bytes in order, wherever the indices are.

#include "support/net.hpp"

#include <cstring>

#include "loopback/segment.hpp"

using namespace loopback_test;
using fairway::detail::io_vec;

namespace {

struct one_ring {
  explicit one_ring(std::uint64_t start = 0, std::uint64_t capacity = 4096)
      : data(capacity), place{&shared, data.data(), capacity, start} {
    // Nobody else is there yet.
    shared.tail.store(start, std::memory_order_relaxed);
    shared.head.store(start, std::memory_order_relaxed);
    writer.emplace(place);
    reader.emplace(place);
  }
  direction shared{};
  std::vector<std::byte> data;
  ring_place place;
  std::optional<ring_writer> writer;
  std::optional<ring_reader> reader;
};

// Moves random bytes in random pieces, gathered and scattered; true when all came in order.
bool survives_random_traffic(std::uint64_t start, std::uint64_t seed) {
  one_ring ring{start};
  support::seeded random{seed};
  const std::string text = random.bytes(300'000);
  std::string got;
  std::size_t sent = 0;
  while (got.size() < text.size()) {
    std::vector<io_vec> pieces;
    std::size_t at = sent;
    for (std::size_t i = 0, n = random.below(4); i < n; ++i) {
      const std::size_t size = std::min(random.below(3000), text.size() - at);
      pieces.push_back({const_cast<char*>(text.data()) + at, size});
      at += size;
    }
    sent += ring.writer->write(pieces.data(), static_cast<unsigned>(pieces.size()));
    std::string room(random.below(5000), '\0');
    const std::size_t half = room.size() / 2;
    const io_vec into[] = {{room.data(), half}, {room.data() + half, room.size() - half}};
    room.resize(ring.reader->read(into, 2));
    got += room;
    if (ring.writer->broken() || ring.reader->broken()) return false;
  }
  return got == text;
}

}  // namespace

TEST_CASE("bytes come out as they went in, also where the indices pass 2^32 and 2^64") {
  const std::uint64_t starts[] = {0, (std::uint64_t{1} << 32) - 5000, ~std::uint64_t{0} - 5000, 7};
  for (const std::uint64_t start : starts) {
    CAPTURE(start);
    for (std::uint64_t seed = 1; seed <= 8; ++seed) CHECK(survives_random_traffic(start, seed));
  }
}

TEST_CASE("a write that does not fit takes what fits, and a full ring takes nothing") {
  one_ring ring;
  CHECK(put(*ring.writer, std::string(5000, 'a')) == 4096);
  CHECK(put(*ring.writer, "b") == 0);
  CHECK(get(*ring.reader, 10) == std::string(10, 'a'));
  CHECK(put(*ring.writer, std::string(50, 'b')) == 10);
  CHECK(get(*ring.reader) == std::string(4086, 'a') + std::string(10, 'b'));
  CHECK(ring.writer->all_read());
}

TEST_CASE("a reader that waits is rung once, one that does not wait is not rung") {
  one_ring ring;
  put(*ring.writer, "a");
  CHECK_FALSE(ring.writer->wake_reader());
  ring.reader->arm();
  full_fence();
  CHECK(ring.reader->available() == 1);  // the second look
  put(*ring.writer, "b");
  CHECK(ring.writer->wake_reader());
  put(*ring.writer, "c");
  CHECK_FALSE(ring.writer->wake_reader());
}

TEST_CASE("a writer that waits for space is rung when that much is free, not before") {
  one_ring ring;
  put(*ring.writer, std::string(4096, 'a'));
  ring.writer->arm(1024);
  get(*ring.reader, 1000);
  CHECK_FALSE(ring.reader->wake_writer());
  get(*ring.reader, 24);
  CHECK(ring.reader->wake_writer());
  get(*ring.reader, 24);
  CHECK_FALSE(ring.reader->wake_writer());
}

TEST_CASE("an index of the peer that runs ahead, too far or backwards breaks the ring") {
  const std::int64_t lies[] = {1, 4096, -1, 1'000'000, std::int64_t{1} << 62};
  for (const std::int64_t lie : lies) {
    CAPTURE(lie);
    one_ring ring{100};
    put(*ring.writer, std::string(4096, 'x'));
    get(*ring.reader, 50);
    CHECK(ring.writer->space(4096) == 50);
    ring.shared.head.store(150 + static_cast<std::uint64_t>(lie == 1 ? 4047 : lie),
                           std::memory_order_relaxed);  // one thread
    CHECK(ring.writer->space(4096) == 0);
    CHECK(ring.writer->broken());
    CHECK(put(*ring.writer, "x") == 0);

    one_ring other{100};
    put(*other.writer, std::string(10, 'x'));
    CHECK(get(*other.reader, 5) == "xxxxx");
    other.shared.tail.store(110 + static_cast<std::uint64_t>(lie == 1 ? 4092 : lie),
                            std::memory_order_relaxed);  // one thread
    get(*other.reader);
    other.reader->refresh();
    CHECK(other.reader->broken());
  }
}
