// Steps that a coroutine goes on by itself, without a turn through its port's queue.
//
// Threads: any may ask; `true` means that a handler of the port runs on the caller's.
#pragma once

namespace fairway {
class completion_port;
}

namespace fairway::detail {

// Whether the handler that runs here may take one more step that ends at once. So many a handler,
// those of the streams (net/detail/transfer.hpp) with them, and each is worth a handler in the
// budget of a turn: others come to their turn. True: the step is taken, and counted.
bool take_step(completion_port& port) noexcept;

}  // namespace fairway::detail
