// The TCP connection of a stream that has closed while a bell was on its way to it.
//
// Threads: the port's owner. Lifetime: the channel's that made it, until it lingers; from then on
// it ends by itself.
#pragma once

#include "engine/operation.hpp"

namespace fairway::detail::shm {

struct lingering;

// Made before it is needed: a close, which may be the port's own end, makes no objects. Null: out
// of memory.
lingering* make_lingering(port_core& core) noexcept;
void drop_lingering(lingering* unused) noexcept;

// Takes the socket of a stream that is closing, cancels what is pending on it, and closes it when
// so many bells have come, TCP has ended, or a second has passed (a peer that owes a bell for so
// long is not going to ring). It is work of the port: a run function waits for it. False: the port
// ends, the stream keeps its socket.
bool linger_for_bells(lingering& here, io_object& stream, unsigned bells) noexcept;

}  // namespace fairway::detail::shm
