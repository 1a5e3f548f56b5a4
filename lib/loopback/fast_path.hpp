// What the net layer calls: the rendezvous of a listener, the offer of a connect, and the few
// things that a stream on the fast path does otherwise. Every function leaves TCP as it is when the
// fast path cannot be had, with the reason on the stream.
//
// Threads: the owner of the port concerned.
#pragma once

#include "engine/operation.hpp"

#include <fairway/net/endpoint.hpp>
#include <fairway/result.hpp>

namespace fairway::detail::shm {

// --- listener ---
// Attaches a rendezvous to a listening object, with the extra operation of the attachment that it
// replaces; it closes and goes with the object.
void open_rendezvous(io_object& listener) noexcept;
// Looks for the offer of a connection that `listener`, which has a rendezvous, accepted.
void match(io_object& listener, io_object& stream) noexcept;

// --- connector ---
struct offer;
// Offers the connection that `stream`, not yet connected, is to make, with rings of `ring_bytes`;
// binds its source unless it is `bound`. Null: no offer, see the stream's path_reason.
offer* make_offer(io_object& stream, const endpoint& target, bool bound,
                  std::size_t ring_bytes) noexcept;
// One of the two, once: afterwards the offer is gone.
void connected(offer* made, io_object& stream) noexcept;
void withdraw(offer* made) noexcept;
// The source was bound here, and differs from the target: a connect that fails for it may succeed
// without.
bool chose_source(const offer& made) noexcept;

// --- stream, with an attachment of this ---
result<void> shutdown(io_object& stream, bool receive, bool send) noexcept;
// Without an operation, when a small one would end at once: all of `from`; at least `least` bytes
// of what there is. Zero: nothing was done.
std::size_t write_now(io_object& stream, const io_vec* from, unsigned count) noexcept;
std::size_t read_now(io_object& stream, const io_vec* into, unsigned count,
                     std::size_t least) noexcept;
// True: the stream is TCP for good and the attachment is out of the way.
bool leave(io_object& stream) noexcept;

}  // namespace fairway::detail::shm
