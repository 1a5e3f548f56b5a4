// What the fast path asks of the system: memory to share, the rendezvous, source ports.
//
// Nothing here blocks. Failures are reasons: whatever goes wrong, the connection is TCP. Memory is
// counted against the limit of the process (budget.hpp).
//
// Threads: any.
#pragma once

#include "engine/operation.hpp"
#include "loopback/address.hpp"
#include "loopback/arena.hpp"

#include <fairway/loopback.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace fairway::detail::shm::system {

// Looking at memory is of no use when the other end cannot run meanwhile.
bool one_processor() noexcept;
// About what it costs to be woken by another process, and so what looking may cost.
std::chrono::microseconds wake_cost() noexcept;

// Differs in a child made by fork, which has a copy of everything and must not take part. Costs no
// system call.
unsigned process_number() noexcept;

// --- memory ---
// A memfd that is close-on-exec, backed and sealed, and its mapping. Null: see `why`.
std::pair<std::shared_ptr<arena>, int> make_arena(const arena_shape& shape, path_reason& why);
// What another process sent, after a look at its type, seals, size and header; of these the first
// three cannot change any more. Empty: see `why`.
std::optional<arena_shape> shape_of(int memory, path_reason& why) noexcept;
// Maps what has such a shape. Without room for it in the budget it makes no system call.
std::shared_ptr<arena> map_arena(int memory, const arena_shape& shape, path_reason& why);
// Whether an offer for `ends` is in it. One system call; for what is not mapped.
bool has_offer(int memory, const arena_shape& shape, const address_pair& ends) noexcept;
void close_memory(int memory) noexcept;

// --- the rendezvous: an abstract socket with the name of the listening endpoint, and its mark ---
// The mark is a datagram socket with the same name that nobody reads. Who connects asks it first:
// that there is none is known without a new stream socket for each name, which every connect to a
// program without the fast path would pay for (`sh tests/bench/run.sh --only stranger`).
struct rendezvous_sockets {
  int listening = -1;
  int mark = -1;
};
// -1: see `why`.
rendezvous_sockets listen_at(const std::string& name, path_reason& why) noexcept;
// A process of the same user that has connected; -1: none waits, or one does that cannot be taken
// now, and `short_of` says for want of what. Others are turned away.
int accept_peer(int listening, path_reason& short_of) noexcept;
int connect_to(const std::string& name, path_reason& why) noexcept;

enum class note : char { nothing, end, bell = 'b', refused = 'r', arena = 'a' };
struct message {
  note what = note::nothing;
  int memory = -1;  // with `arena`: to be closed by who receives it; -1: no descriptor was free
};
bool send_arena(int link, int memory, const arena_shape& shape) noexcept;
void send_note(int link, note what) noexcept;
message receive(int link) noexcept;

// --- the source of a connection ---
// Binds `socket` to a free port of `where`, chosen here and not `avoided`, and forbids others to
// bind it. Zero: found none.
std::uint16_t bind_source(native_handle socket, const endpoint& where,
                          std::uint16_t avoided) noexcept;
// After the connect: the port may be bound again while an old connection lingers.
void allow_reuse(int socket, bool allow) noexcept;

}  // namespace fairway::detail::shm::system
