// Copies between a user's memory and a ring, in cache lines of vectors.
//
// Not memcpy: glibc leaves long copies (from 2 KiB on, x86-64) to `rep movsb`, and GCC those of
// whose size it knows something to `rep movsq`. Unless both sides are aligned AMD's Zen 3 does that
// many times slower than vectors (https://lunnova.dev/articles/ryzen-slow-short-rep-mov), and a
// large block of malloc begins 16 bytes after a page. A line that the other end had last comes from
// its processor, so it is asked for in advance: `sh tests/bench/run.sh --only bulk` tells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace fairway::detail::shm {

inline constexpr std::size_t copy_line = 64;
inline constexpr std::size_t asked_ahead = 1024;

// Asks for a line that is written soon and that the other end had last.
inline void claim_line(std::byte* at) noexcept {
#if defined(__x86_64__)
  // The builtin asks for a line to read unless it is told of the processor.
  asm volatile("prefetchw %0" : : "m"(*at));
#else
  __builtin_prefetch(at, 1);
#endif
}

// `part` to twice as many bytes, those in the middle perhaps twice.
template <std::size_t part>
void copy_ends(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  std::memcpy(to, from, part);
  std::memcpy(to + size - part, from + size - part, part);
}

// Less than a line.
inline void copy_rest(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  if (size >= 32) return copy_ends<32>(to, from, size);
  if (size >= 16) return copy_ends<16>(to, from, size);
  if (size >= 8) return copy_ends<8>(to, from, size);
  if (size >= 4) return copy_ends<4>(to, from, size);
  for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
}

// `ask` is told of each line that is asked_ahead of the one being copied.
template <class Ask>
void copy_lines(std::byte* to, const std::byte* from, std::size_t size, Ask ask) noexcept {
  for (; size >= copy_line; to += copy_line, from += copy_line, size -= copy_line) {
    if (size >= asked_ahead + copy_line) ask(to + asked_ahead, from + asked_ahead);
    std::memcpy(to, from, copy_line);
  }
  copy_rest(to, from, size);
}

inline void copy_into_ring(std::byte* ring, const std::byte* user, std::size_t size) noexcept {
  copy_lines(ring, user, size, [](std::byte* to, const std::byte*) { claim_line(to); });
}

inline void copy_out_of_ring(std::byte* user, const std::byte* ring, std::size_t size) noexcept {
  copy_lines(user, ring, size, [](std::byte*, const std::byte* from) { __builtin_prefetch(from); });
}

// Into memory past the caches: neither the writer's nor the reader's has the lines then. Ordered
// before whatever is stored afterwards.
#if defined(__SSE2__)
inline constexpr bool can_stream = true;

inline void stream_into_ring(std::byte* ring, const std::byte* user, std::size_t size) noexcept {
  const std::size_t apart = -reinterpret_cast<std::uintptr_t>(ring) % copy_line;
  if (size < apart + copy_line) return copy_into_ring(ring, user, size);
  copy_rest(ring, user, apart);
  ring += apart;
  user += apart;
  size -= apart;
  for (; size >= copy_line; ring += copy_line, user += copy_line, size -= copy_line) {
    __m128i vectors[copy_line / sizeof(__m128i)];
    std::memcpy(vectors, user, copy_line);
    auto* to = reinterpret_cast<__m128i*>(ring);
    for (const __m128i& one : vectors) _mm_stream_si128(to++, one);
  }
  copy_rest(ring, user, size);
  _mm_sfence();  // a release does not order them (Intel's manual, volume 1, 10.4.6.2)
}
#else
inline constexpr bool can_stream = false;

inline void stream_into_ring(std::byte* ring, const std::byte* user, std::size_t size) noexcept {
  copy_into_ring(ring, user, size);
}
#endif

}  // namespace fairway::detail::shm
