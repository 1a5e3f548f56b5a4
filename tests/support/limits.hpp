// How much a test does and how long it may take at most, by what it is run under.
//
// A count that shows something only when it is large is given in full for a plain build and cut
// down under a sanitizer or Wine, where each step costs ten to a hundred times as much.
#pragma once

#include <chrono>
#include <cstddef>

namespace support {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitizer = true;
#else
inline constexpr bool thread_sanitizer = false;
#endif
#else
inline constexpr bool thread_sanitizer = false;
#endif

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool address_sanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool address_sanitizer = true;
#else
inline constexpr bool address_sanitizer = false;
#endif
#else
inline constexpr bool address_sanitizer = false;
#endif

#if defined(_WIN32)
inline constexpr bool on_windows = true;
#else
inline constexpr bool on_windows = false;
#endif

inline constexpr bool slow = thread_sanitizer || address_sanitizer || on_windows;

// `full` in a plain build, a tenth of it where everything is slow.
constexpr std::size_t scaled(std::size_t full) { return slow ? full / 10 : full; }

// A bound that only a broken port reaches. Under Wine each step asks another process, wineserver,
// which serves all tests that run beside this one.
inline constexpr auto guard_time = std::chrono::seconds{on_windows ? 90 : 30};

}  // namespace support
