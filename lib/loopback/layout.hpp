// The loopback protocol, version 1: what two processes agree on in shared memory.
//
// A TCP connection over loopback whose two ends opted in carries its bytes through memory. It is
// a real TCP connection first: a peer that knows nothing of this sees plain TCP, not one byte more.
//
// Parts
//   arena      memory that the connecting process made and gave to the process that listens; holds
//              an arena_header and a fixed number of slots. Never given to a third process.
//   slot       one connection: a slot_header and two rings of `ring_bytes`. Used again and again by
//              the same two processes; each use has a generation of its own.
//   link       how the two processes found and checked each other; carries arenas and doorbells
//              (Linux: an abstract unix socket named by the listening endpoint, and one of
//              datagrams, the mark, that says to who connects that there is one; Windows has none).
//   channel    the fast path of one stream: its end of a slot (switch_machine, two rings) and what
//              waits for it. Belongs to the stream, lives on the stream's port.
//   service    one a port: the links of the port and the channels that wait, and the polling.
// Who owns what: stream -> channel -> (shared) arena mapping and link. Port -> service -> links.
// Everything belongs to the port's thread; the two ends meet only in the words of this file.
//
// A connection
//   1. The connector, before it connects, writes source and target into a free slot, stores
//      `offered` and sets the slot's bit in `offers`. It binds the source before, so the offer is
//      there before the SYN.
//   2. When its connect succeeded it changes offered to connected. Never by timeout to revoked.
//   3. The acceptor collects offers when it accepts and keeps the one that names both endpoints of
//      the new connection; two live ones for one pair count as none. At its first read, write or
//      wake-up that finds `connected` it changes that to accepted: the connection has a fast path.
//      Nobody is rung for that: each end loads the state before each write and after each wake-up.
//   4. Either end that wants TCP for good (shutdown, close, release) before the switch changes
//      offered or connected to revoked; who loses against accepted obeys.
// The changes are compare-and-swaps of one word that holds the generation as well: of a slot that
// went on to another connection nothing can be claimed or revoked.
//
// The switch. Each direction changes from TCP to its ring once, at a count of bytes: the sender,
// with none of its TCP sends in flight, publishes `switch_at`, the number of bytes it gave to TCP,
// before it first publishes a byte or rings. The receiver loads it after each receive returned,
// takes exactly that many bytes from TCP and reads the ring from then on. No way back.
//
// The end. `finished` is set after the last byte: `finished_fin` for a shutdown or a close,
// `finished_reset` for a close with unread input. A reader loads it before `tail`, and judges the
// end of TCP only after both, after the state: what was published is delivered. If TCP ended and
// nothing is marked the peer died: a reset if it had not read all of ours, else the end of file.
// `closed` tells a writer that nobody will read.
//
// A ring is bytes, not messages: a power of two, indices free-running in 64 bits, never equal to
// offsets. Its owner keeps index and capacity to itself, the shared copy is for the other side; an
// index of the peer is loaded once, into a local, and checked: it may not run backwards and may not
// pass the capacity. A lie ends the connection with peer_broke_the_ring. Memory: 130 KiB a
// connection with the usual rings of 64 KiB, really charged, because the arena is backed.
//
// Views. A reader may hand out bytes where they are and publish nothing until they come back. It
// may read on meanwhile; to the writer all of that is unread. A reader that waits then wakes a
// writer that sleeps for more room than there is left. A slot is not released while a view is out.
//
// Wake-ups. Publishing: store the index, full fence, look at the other side's armed word. Parking:
// store the armed word, full fence, look at the index again, then sleep. The fences are
// atomic_thread_fence(seq_cst): store-then-load is the one order that neither release/acquire nor
// seq_cst accesses of other words give on every machine. `armed` starts at 1. Whoever exchanges it
// to 0 sets its slot in `rung` and rings the link; a bell that finds nobody waiting is harmless.
// For space, the word is the number of free bytes the writer waits for, 0 when it does not.
//
// On Windows each connection has an arena of its own, of one slot, generation 1: a section that the
// connector names by both endpoints, for its user alone, before it connects. `rung` and `offers`
// are not looked at. A listener that takes offers has an event with the name of its endpoint.
// Doorbells are bytes on the TCP connection, after the switch of their sender: one for each armed
// word that was exchanged to 0. Its owner disarms by exchange too; where it finds the word gone it
// is owed a byte, and until that or the end of TCP has come it neither arms again nor closes TCP.
//
// Versions: an arena with another magic, version or size is not used, which leaves TCP.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fairway::detail::shm {

using word = std::atomic<std::uint64_t>;
static_assert(word::is_always_lock_free && sizeof(word) == 8, "shared between processes");

inline constexpr std::uint64_t arena_magic = 0x3170'6f6f'6c79'7746;  // "Fwyloop1"
inline constexpr std::uint32_t protocol_version = 1;

// Two cache lines: the adjacent-line prefetcher of x86 fetches pairs.
inline constexpr std::size_t line_bytes = 128;

inline constexpr std::uint64_t ring_bytes_min = 4096;
inline constexpr std::uint64_t ring_bytes_max = std::uint64_t{64} << 20;
inline constexpr std::uint64_t ring_bytes_usual = 64 * 1024;
inline constexpr unsigned slots_max = 64;  // bits of a word

enum class side : std::uint8_t { connector = 0, acceptor = 1 };
constexpr side other(side s) noexcept {
  return s == side::connector ? side::acceptor : side::connector;
}
constexpr std::size_t index_of(side s) noexcept { return static_cast<std::size_t>(s); }

enum class slot_state : std::uint8_t { free = 0, offered, connected, accepted, revoked };

// `state` of a slot: the generation above the state's byte.
constexpr std::uint64_t state_word(std::uint64_t generation, slot_state s) noexcept {
  return generation << 8 | static_cast<std::uint64_t>(s);
}

inline constexpr std::uint64_t switch_unset = ~std::uint64_t{0};
inline constexpr std::uint64_t finished_fin = 1;
inline constexpr std::uint64_t finished_reset = 2;

// One direction. What each end writes seldom and the other looks at each time (the armed words,
// `closed`) is apart from the lines that are written with each publish and each read.
struct direction {
  alignas(line_bytes) word tail;  // the producer's line
  word switch_at;
  word finished;
  alignas(line_bytes) word head;  // the consumer's line
  alignas(line_bytes) word data_armed;   // the consumer waits for bytes or the end
  word closed;                           // the consumer will read no more
  alignas(line_bytes) word space_armed;  // the producer waits for that many free bytes; 0: does not
};
static_assert(offsetof(direction, tail) == 0 && offsetof(direction, switch_at) == 8);
static_assert(offsetof(direction, finished) == 16 && offsetof(direction, head) == 128);
static_assert(offsetof(direction, data_armed) == 256 && offsetof(direction, closed) == 264);
static_assert(offsetof(direction, space_armed) == 384 && sizeof(direction) == 512);

// An endpoint in three words: family (4 or 6) << 32 | port, and 16 bytes of address; IPv4 has the
// first four of them. IPv4 mapped into IPv6 is written as IPv4.
struct address_words {
  word name;
  word bytes[2];
};

struct slot_header {
  alignas(line_bytes) word state;
  word released[2];  // by side: the generation that this side is done with
  address_words source;
  address_words target;
  direction ways[2];  // by the side that writes
};
static_assert(offsetof(slot_header, released) == 8 && offsetof(slot_header, source) == 24);
static_assert(offsetof(slot_header, target) == 48 && offsetof(slot_header, ways) == 128);
static_assert(sizeof(slot_header) == 1152);

// The first page of an arena; slot headers follow in the next pages, then the rings.
struct arena_header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t slots;
  std::uint64_t ring_bytes;
  std::uint64_t total_bytes;
  alignas(line_bytes) word offers;   // bits of slots: offered, not yet seen by the acceptor
  alignas(line_bytes) word rung[2];  // by the side that is rung: bits of slots
  alignas(line_bytes) word arenas;   // first arena of a link: how many were sent on it
};
static_assert(offsetof(arena_header, version) == 8 && offsetof(arena_header, slots) == 12);
static_assert(offsetof(arena_header, ring_bytes) == 16);
static_assert(offsetof(arena_header, total_bytes) == 24);
static_assert(offsetof(arena_header, offers) == 128 && offsetof(arena_header, rung) == 256);
static_assert(offsetof(arena_header, arenas) == 384 && sizeof(arena_header) == 512);

inline constexpr std::size_t page_bytes = 4096;

constexpr std::size_t to_pages(std::size_t bytes) noexcept {
  return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

// Where things are in an arena of `slots` slots.
struct arena_shape {
  std::uint32_t slots;
  std::uint64_t ring_bytes;

  constexpr bool valid() const noexcept {
    return slots >= 1 && slots <= slots_max && ring_bytes >= ring_bytes_min &&
           ring_bytes <= ring_bytes_max && (ring_bytes & (ring_bytes - 1)) == 0;
  }
  constexpr std::size_t header_at(unsigned slot) const noexcept {
    return page_bytes + slot * sizeof(slot_header);
  }
  constexpr std::size_t ring_at(unsigned slot, side writer) const noexcept {
    return page_bytes + to_pages(slots * sizeof(slot_header)) +
           static_cast<std::size_t>(ring_bytes) * (2 * slot + index_of(writer));
  }
  constexpr std::size_t total() const noexcept { return ring_at(slots, side::connector); }
};
static_assert(arena_shape{16, ring_bytes_usual}.total() == 4096 + 20480 + 2 * 16 * 65536);

}  // namespace fairway::detail::shm
