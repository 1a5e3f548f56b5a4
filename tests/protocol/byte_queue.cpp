// The queue of bytes that arrived: where its memory begins, whatever it grows to.

#include <fairway/protocol/detail/byte_queue.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

using fairway::detail::byte_queue;

// Kernels copy far slower to some other places (buffer_pool.hpp).
TEST_CASE("room for a page or more begins at a multiple of 64") {
  for (const std::size_t size : {1u, 100u, 256u, 4000u, 4096u, 16384u, 100'000u}) {
    CAPTURE(size);
    std::array<byte_queue, 8> many;
    for (byte_queue& queue : many) {
      const auto at = [&] { return reinterpret_cast<std::uintptr_t>(queue.bytes().data()); };
      const auto room = queue.prepare(size);
      REQUIRE(room.size() >= size);
      if (size >= 4096) CHECK(at() % 64 == 0);
      std::memset(room.data(), 'x', size);
      queue.commit(size);
      queue.prepare(4096);
      CHECK(at() % 64 == 0);
      REQUIRE(queue.size() == size);
      for (const std::byte each : queue.bytes()) REQUIRE(each == std::byte{'x'});
    }
  }
}
