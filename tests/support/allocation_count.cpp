#include "support/allocation_count.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(_WIN32)
#include <malloc.h>
#endif

namespace support {

namespace {
// Constant initialisation: the first allocation of a thread may come before any constructor.
thread_local constinit std::uint64_t count = 0;
thread_local constinit std::uint64_t failing = 0;

// Whether this one, the next, is to fail.
[[maybe_unused]] bool fails() noexcept {
  if (++count != failing) return false;
  errno = ENOMEM;
  return true;
}
}  // namespace

std::uint64_t allocations_of_this_thread() noexcept { return count; }
void fail_allocation_of_this_thread(std::uint64_t number) noexcept { failing = number; }

}  // namespace support

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#if defined(__GLIBC__)

// glibc's own names for what is replaced here (its manual, "Replacing malloc").
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* block, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) {
  return support::fails() ? nullptr : __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  return support::fails() ? nullptr : __libc_calloc(count, bytes);
}
void* realloc(void* block, std::size_t bytes) {
  return support::fails() ? nullptr : __libc_realloc(block, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return support::fails() ? nullptr : __libc_memalign(alignment, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  return support::fails() ? nullptr : __libc_memalign(alignment, bytes);
}
int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) {
  if (support::fails()) return ENOMEM;
  void* made = __libc_memalign(alignment, bytes);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}
}

#elif defined(_WIN32)

void* operator new(std::size_t bytes) {
  if (support::fails()) throw std::bad_alloc{};
  if (void* made = std::malloc(bytes == 0 ? 1 : bytes)) return made;
  throw std::bad_alloc{};
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

void* operator new(std::size_t bytes, std::align_val_t boundary) {
  if (support::fails()) throw std::bad_alloc{};
  if (void* made = ::_aligned_malloc(bytes, static_cast<std::size_t>(boundary))) return made;
  throw std::bad_alloc{};
}
void operator delete(void* block, std::align_val_t) noexcept { ::_aligned_free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  ::_aligned_free(block);
}

#endif
#endif
