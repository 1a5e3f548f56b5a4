#include "loopback/system.hpp"

#include "engine/io_uring/ring/thread_number.hpp"
#include "loopback/budget.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

namespace fairway::detail::shm::system {

namespace {

constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

void unmap(void* base, std::size_t bytes) noexcept {
  ::munmap(base, bytes);
  budget::give_back(bytes);
}

path_reason reason_of(int error) noexcept {
  return error == EMFILE || error == ENFILE ? path_reason::no_descriptors : path_reason::no_memory;
}

std::shared_ptr<arena> map(int memory, const arena_shape& shape, path_reason& why) {
  void* const base =
      ::mmap(nullptr, shape.total(), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (base == MAP_FAILED) {
    budget::give_back(shape.total());
    why = path_reason::no_memory;
    return nullptr;
  }
  try {
    return std::make_shared<arena>(base, shape, &unmap);
  } catch (...) {
    unmap(base, shape.total());
    throw;
  }
}

// F_GET_SEALS answers for huge pages as well, whose faults can fail: only tmpfs is taken. The seals
// come first: only memory has any, and a file system is not asked, which could be the peer's own
// and never answer (fuse(4)).
bool is_sealed_memory(int memory) noexcept {
  const int has = ::fcntl(memory, F_GET_SEALS);
  if (has < 0 || (has & seals) != seals) return false;
  struct statfs system {};
  return ::fstatfs(memory, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

// A slot's beginning in plain numbers, as a copy of it has them.
struct slot_beginning {
  std::uint64_t state;
  std::uint64_t released[2];
  address source;
  address target;
};
static_assert(sizeof(address) == sizeof(address_words) && sizeof(slot_beginning) == 72);
static_assert(offsetof(slot_beginning, source) == offsetof(slot_header, source));
static_assert(offsetof(slot_beginning, target) == offsetof(slot_header, target));

}  // namespace

// Not what this process may use: an end that is pinned to one processor has its peer on another
// one, as a rule. Two ends pinned to the same one find out (see service).
bool one_processor() noexcept { return ::sysconf(_SC_NPROCESSORS_ONLN) == 1; }

unsigned process_number() noexcept { return io_uring::this_process_number(); }

std::chrono::microseconds wake_cost() noexcept { return std::chrono::microseconds{50}; }

std::pair<std::shared_ptr<arena>, int> make_arena(const arena_shape& shape, path_reason& why) {
  if (!budget::take(shape.total())) {
    why = path_reason::no_memory;
    return {nullptr, -1};
  }
  const int memory = ::memfd_create("fairway-loopback", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  const auto size = static_cast<off_t>(shape.total());
  // Backed now: memory that is not there would be a SIGBUS later (ftruncate promises nothing).
  if (memory < 0 || ::fallocate(memory, 0, 0, size) != 0 ||
      ::fcntl(memory, F_ADD_SEALS, seals) != 0) {
    why = reason_of(errno);
    budget::give_back(shape.total());
    close_memory(memory);
    return {nullptr, -1};
  }
  auto mapped = map(memory, shape, why);
  if (mapped == nullptr) close_memory(memory);
  return {std::move(mapped), mapped == nullptr ? -1 : memory};
}

std::optional<arena_shape> shape_of(int memory, path_reason& why) noexcept {
  why = path_reason::peer_broke_rules;
  struct stat info {};
  // The plain fields at the head of arena_header.
  struct {
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t slots;
    std::uint64_t ring_bytes;
    std::uint64_t total_bytes;
  } header{};
  if (!is_sealed_memory(memory) || ::fstat(memory, &info) != 0 ||
      ::pread(memory, &header, sizeof header, 0) != sizeof header) {
    return std::nullopt;
  }
  const arena_shape shape{header.slots, header.ring_bytes};
  if (header.magic != arena_magic || header.version != protocol_version) {
    why = path_reason::other_version;
    return std::nullopt;
  }
  const bool fits = shape.valid() && header.total_bytes == shape.total() &&
                    static_cast<std::size_t>(info.st_size) == shape.total();
  return fits ? std::optional{shape} : std::nullopt;
}

std::shared_ptr<arena> map_arena(int memory, const arena_shape& shape, path_reason& why) {
  if (!budget::take(shape.total())) {
    why = path_reason::no_memory;
    return nullptr;
  }
  auto mapped = map(memory, shape, why);
  if (mapped == nullptr || mapped->matches()) return mapped;
  why = path_reason::peer_broke_rules;
  return nullptr;
}

// The beginnings lie apart: what is between them goes to one place, where nobody looks.
bool has_offer(int memory, const arena_shape& shape, const address_pair& ends) noexcept {
  slot_beginning slots[slots_max];
  std::byte between[sizeof(slot_header) - sizeof(slot_beginning)];
  iovec pieces[2 * slots_max];
  for (unsigned i = 0; i < shape.slots; ++i) {
    pieces[2 * i] = {&slots[i], sizeof slots[i]};
    pieces[2 * i + 1] = {between, sizeof between};
  }
  const ssize_t got = ::preadv(memory, pieces, static_cast<int>(2 * shape.slots),
                               static_cast<off_t>(shape.header_at(0)));
  if (got != static_cast<ssize_t>(shape.slots * sizeof(slot_header))) return false;
  return std::any_of(slots, slots + shape.slots, [&](const slot_beginning& slot) {
    const auto what = static_cast<slot_state>(slot.state & 0xff);
    return (what == slot_state::offered || what == slot_state::connected) &&
           address_pair{slot.source, slot.target} == ends;
  });
}

void close_memory(int memory) noexcept {
  if (memory >= 0) ::close(memory);
}

}  // namespace fairway::detail::shm::system
