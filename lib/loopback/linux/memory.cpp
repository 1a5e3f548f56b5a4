#include "loopback/system.hpp"

#include "engine/io_uring/ring/thread_number.hpp"
#include "loopback/budget.hpp"

#include <cerrno>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
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

// F_GET_SEALS answers for huge pages as well, whose faults can fail: only tmpfs is taken.
bool is_sealed_memory(int memory) noexcept {
  struct statfs system {};
  if (::fstatfs(memory, &system) != 0 || system.f_type != TMPFS_MAGIC) return false;
  const int has = ::fcntl(memory, F_GET_SEALS);
  return has >= 0 && (has & seals) == seals;
}

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

std::shared_ptr<arena> map_arena(int memory, path_reason& why) {
  why = path_reason::peer_broke_rules;
  struct stat info {};
  // The plain fields at the head of arena_header.
  struct {
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t slots;
    std::uint64_t ring_bytes;
  } header{};
  if (!is_sealed_memory(memory) || ::fstat(memory, &info) != 0 ||
      ::pread(memory, &header, sizeof header, 0) != sizeof header) {
    return nullptr;
  }
  const arena_shape shape{header.slots, header.ring_bytes};
  if (header.magic != arena_magic || header.version != protocol_version) {
    why = path_reason::other_version;
    return nullptr;
  }
  if (!shape.valid() || static_cast<std::size_t>(info.st_size) != shape.total()) return nullptr;
  if (!budget::take(shape.total())) {
    why = path_reason::no_memory;
    return nullptr;
  }
  auto mapped = map(memory, shape, why);
  if (mapped != nullptr && !mapped->matches()) return nullptr;
  return mapped;
}

void close_memory(int memory) noexcept {
  if (memory >= 0) ::close(memory);
}

}  // namespace fairway::detail::shm::system
