// The ring alone, both ends on one thread: bytes in order, wherever the indices are.

#include "support/net.hpp"

#include <cstring>

#include "loopback/copy.hpp"
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

// The same with bytes that are shown where they are, some for longer than what is read after them.
bool survives_being_shown(std::uint64_t start, std::uint64_t seed) {
  one_ring ring{start};
  support::seeded random{seed};
  const std::string text = random.bytes(200'000);
  std::string got;
  std::size_t sent = 0;
  std::string shown_once;
  std::byte* shown = nullptr;
  while (got.size() < text.size()) {
    const std::size_t size = std::min(random.below(3000), text.size() - sent);
    sent += put(*ring.writer, std::string_view{text}.substr(sent, size));
    ring_reader& in = *ring.reader;
    if (in.shows()) {
      // What is shown stays as it was while the writer fills the rest.
      if (std::memcmp(shown, shown_once.data(), shown_once.size()) != 0) return false;
      if (in.available() != 0 && !random.one_in(3)) {
        got += get(in, 1 + random.below(2000));
      } else if (in.room() == 0 || random.one_in(3)) {
        in.show_no_more();
      }
    } else if (in.available() != 0) {
      const std::size_t n = in.show(1 + random.below(2048), shown);
      shown_once.assign(reinterpret_cast<const char*>(shown), n);
      got += shown_once;
    }
    if (ring.writer->broken() || ring.reader->broken()) return false;
  }
  return got == text;
}

// What a connection costs a byte, by way, in picoseconds: through the caches, past
// them. It has bulk to send all the time.
struct busy_connection {
  busy_connection(std::uint64_t c, std::uint64_t s) : cached{c}, streamed{s} {}

  std::uint64_t cached, streamed;
  std::uint64_t now_ns = 1'000'000'000'000;
  streaming_choice choice;

  // Bytes of the `windows` that went past the caches, in percent.
  unsigned run(unsigned windows, std::uint64_t pause_ns = 0) {
    unsigned streams = 0;
    for (unsigned i = 0; i < windows; ++i) {
      streams += choice.streams();
      now_ns += (choice.streams() ? streamed : cached) * streaming_choice::window_bytes / 1000;
      if (i % 3 == 0) now_ns += pause_ns;
      REQUIRE(choice.fills_window(streaming_choice::window_bytes));
      choice.window_ended(now_ns);
    }
    return streams * 100 / windows;
  }
};

// Copies `size` bytes between two blocks, `to` and `from` bytes into a line; true: these and no
// others.
template <class Copy>
bool copies_these(std::size_t size, std::size_t to, std::size_t from, Copy copy) {
  alignas(64) std::byte source[4096], target[4096];
  for (std::size_t i = 0; i < sizeof source; ++i) source[i] = static_cast<std::byte>(i * 7 + 1);
  std::memset(target, 0, sizeof target);
  copy(target + to, source + from, size);
  const auto none = [](const std::byte* at, const std::byte* end) {
    return std::all_of(at, end, [](std::byte one) { return one == std::byte{0}; });
  };
  return std::memcmp(target + to, source + from, size) == 0 && none(target, target + to) &&
         none(target + to + size, std::end(target));
}

}  // namespace

TEST_CASE("a copy is of these bytes and no others, wherever they are in their lines") {
  for (std::size_t size = 0; size < 2600; size += size < 200 ? 1 : 61) {
    for (const std::size_t apart : {0, 1, 8, 16, 63}) {
      CAPTURE(size);
      CAPTURE(apart);
      CHECK(copies_these(size, apart, 16, copy_into_ring));
      CHECK(copies_these(size, 16, apart, copy_out_of_ring));
      CHECK(copies_these(size, apart, 16, stream_into_ring));
      CHECK(copies_these(size, apart, apart, stream_into_ring));
    }
  }
}

TEST_CASE("bulk goes past the caches where that is faster, and back when it is no longer") {
  busy_connection moving{300, 130};
  CHECK(moving.run(1000) >= 90);
  moving.cached = 80;  // it came near
  CHECK(moving.run(2 * streaming_choice::kept) <= 60);
  CHECK(moving.run(1000) <= 5);
  moving.cached = 300;
  CHECK(moving.run(2 * streaming_choice::kept) >= 40);
  CHECK(moving.run(1000) >= 90);
}

TEST_CASE("bulk stays in the caches unless the other way is clearly faster") {
  CHECK(busy_connection{100, 95}.run(1000) <= 5);
  CHECK(busy_connection{100, 100}.run(1000) <= 5);
  CHECK(busy_connection{100, 80}.run(1000) >= 90);
}

TEST_CASE("pauses of a connection do not decide how its bulk goes") {
  for (const std::uint64_t pause_ns : {1'000ull, 1'000'000ull, 1'000'000'000'000'000'000ull}) {
    CAPTURE(pause_ns);
    CHECK(busy_connection{300, 130}.run(1000, pause_ns) >= 90);
    CHECK(busy_connection{100, 130}.run(1000, pause_ns) <= 5);
  }
}

TEST_CASE("bulk comes out as it went in while both ways are tried") {
  one_ring ring{64, 65536};
  support::seeded random{1};
  const std::string text = random.bytes(65536);
  constexpr std::uint64_t enough = 3 * streaming_choice::tried * streaming_choice::window_bytes;
  std::uint64_t moved = 0;
  for (std::uint64_t at = 0; moved < enough; at += 777) {
    const std::string_view piece = std::string_view{text}.substr(at % 1000, 20'000 + at % 40'000);
    const std::size_t put_now = put(*ring.writer, piece);
    REQUIRE(put_now == piece.size());
    REQUIRE(get(*ring.reader, put_now) == piece);
    moved += put_now;
  }
}

TEST_CASE("bytes come out as they went in, also where the indices pass 2^32 and 2^64") {
  const std::uint64_t starts[] = {0, (std::uint64_t{1} << 32) - 5000, ~std::uint64_t{0} - 5000, 7};
  for (const std::uint64_t start : starts) {
    CAPTURE(start);
    for (std::uint64_t seed = 1; seed <= 8; ++seed) CHECK(survives_random_traffic(start, seed));
    for (std::uint64_t seed = 1; seed <= 8; ++seed) CHECK(survives_being_shown(start, seed));
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

TEST_CASE("what is shown and what is read after it are the writer's again together") {
  one_ring ring;
  put(*ring.writer, std::string(4000, 'a') + std::string(96, 'b'));
  CHECK(get(*ring.reader, 3000).size() == 3000);
  ring.writer->space(4096);
  put(*ring.writer, std::string(3000, 'c'));
  std::byte* bytes = nullptr;
  CHECK(ring.reader->show(5000, bytes) == 1096);  // to the end of the ring
  CHECK(bytes == ring.data.data() + 3000);
  CHECK(get(*ring.reader) == std::string(3000, 'c'));
  CHECK(ring.reader->room() == 0);
  CHECK(ring.writer->space(1) == 0);
  ring.writer->arm(1024);
  CHECK_FALSE(ring.reader->wake_writer());
  CHECK_FALSE(ring.reader->wake_writer_for_any());
  ring.reader->show_no_more();
  CHECK(ring.reader->wake_writer());
  CHECK(ring.writer->space(4096) == 4096);
}

TEST_CASE("a writer that waits for more than is left beside what is shown is woken for less") {
  one_ring ring;
  put(*ring.writer, std::string(4096, 'a'));
  get(*ring.reader, 100);
  ring.writer->arm(1024);
  std::byte* bytes = nullptr;
  CHECK(ring.reader->show(4096, bytes) == 3996);
  CHECK_FALSE(ring.reader->wake_writer());
  CHECK(ring.reader->wake_writer_for_any());
  CHECK_FALSE(ring.reader->wake_writer_for_any());
  CHECK(ring.writer->space(1) == 100);
}

TEST_CASE("a tail that goes into what is shown breaks the ring") {
  one_ring ring{100};
  put(*ring.writer, std::string(4096, 'x'));
  std::byte* bytes = nullptr;
  CHECK(ring.reader->show(2000, bytes) == 2000);
  get(*ring.reader);
  ring.shared.tail.store(100 + 4096 + 1, std::memory_order_relaxed);  // one thread
  CHECK(ring.reader->refresh() == 0);
  CHECK(ring.reader->broken());
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
