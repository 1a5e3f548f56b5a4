// The queue of bytes that arrived: where its memory begins, whatever it grows to.

#include <fairway/protocol/detail/byte_queue.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

using fairway::detail::byte_queue;

// Kernels copy far slower to some other places (buffer_pool.hpp).
TEST_CASE("room for bytes begins at a multiple of 64") {
  for (const std::size_t size : {1u, 100u, 256u, 4096u, 16384u, 100'000u}) {
    CAPTURE(size);
    std::vector<byte_queue> many(8);
    for (byte_queue& queue : many) {
      const auto room = queue.prepare(size);
      REQUIRE(room.size() >= size);
      CHECK(reinterpret_cast<std::uintptr_t>(room.data()) % 64 == 0);
      std::memset(room.data(), 'x', size);
      queue.commit(size);
      queue.prepare(2 * size);
      CHECK(reinterpret_cast<std::uintptr_t>(queue.bytes().data()) % 64 == 0);
      REQUIRE(queue.size() == size);
      for (const std::byte each : queue.bytes()) REQUIRE(each == std::byte{'x'});
    }
  }
}
