// The shared memory of the process against its limit (fairway::set_loopback_memory_max): counted by
// the end that made it and by the end that mapped it.
//
// Threads: any. Memory order: relaxed in all, counts that order nothing.
#pragma once

#include <cstddef>

namespace fairway::detail::shm::budget {

// False: beyond the limit, and nothing was taken.
bool take(std::size_t bytes) noexcept;
void give_back(std::size_t bytes) noexcept;

}  // namespace fairway::detail::shm::budget
