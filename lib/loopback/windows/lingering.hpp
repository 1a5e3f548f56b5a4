// The TCP connection of a stream that has closed while a bell was on its way to it.
//
// Threads: the port's owner.
#pragma once

#include "engine/operation.hpp"

namespace fairway::detail::shm {

// Takes the socket of a stream that is closing, cancels what is pending on it, and closes it when
// so many bells have come, TCP has ended, or a second has passed (a peer that owes a bell for so
// long is not going to ring). It is work of the port: a run function waits for it. Without memory
// the stream keeps its socket, to be closed at once.
void linger_for_bells(io_object& stream, unsigned bells) noexcept;

}  // namespace fairway::detail::shm
