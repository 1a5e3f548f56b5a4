// What an offer is on every system, and what each system makes of it.
//
// Threads: the owner of the stream's port. Both throw std::bad_alloc.
#pragma once

#include "loopback/fast_path.hpp"

namespace fairway::detail::shm {

// The source that the connection of `stream` to `to` will have: its own when it is `bound`, else
// one that is chosen and bound here. An error: see `why`.
result<endpoint> source_of(io_object& stream, const endpoint& to, bool bound, path_reason& why);

// Each system's: an offer to who listens at `to`, a loopback address. Null: see `why`.
offer* offer_to(io_object& stream, const endpoint& to, bool bound, std::size_t ring_bytes,
                path_reason& why);

}  // namespace fairway::detail::shm
