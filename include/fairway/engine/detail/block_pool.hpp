// Recycled memory for handlers and gather lists that are too large to be embedded.
//
// Size classes of 64 to 2048 bytes; each class keeps at most `kept_max` free blocks, so a burst
// does not hold its memory for ever. Larger requests go to the system. Owner thread only; a block
// may come from another thread's plain allocation of the same class.
#pragma once

#include <cstddef>
#include <new>

namespace fairway::detail {

class block_pool {
 public:
  static constexpr std::size_t smallest = 64;
  static constexpr std::size_t classes = 6;
  static constexpr unsigned kept_max = 1024;

  block_pool() = default;
  block_pool(const block_pool&) = delete;
  block_pool& operator=(const block_pool&) = delete;
  ~block_pool() {
    for (shelf& s : shelves_) {
      while (s.head != nullptr) {
        node* n = s.head;
        s.head = n->next;
        ::operator delete(n);
      }
    }
  }

  // The class of a request, `classes` for one that is too large to be kept.
  static constexpr std::size_t class_of(std::size_t bytes) noexcept {
    std::size_t c = 0;
    for (std::size_t size = smallest; c < classes && size < bytes; size *= 2) ++c;
    return c;
  }
  // Any thread: a block that some pool may keep later.
  static void* allocate_fresh(std::size_t bytes) {
    const std::size_t c = class_of(bytes);
    return ::operator new(c < classes ? smallest << c : bytes);
  }

  void* allocate(std::size_t bytes) { return allocate_of(class_of(bytes), bytes); }
  void free(void* block, std::size_t bytes) noexcept { free_of(class_of(bytes), block); }

  // The same for a size that the compiler knows, which spares the search for its class.
  template <std::size_t Bytes>
  void* allocate() {
    constexpr std::size_t c = class_of(Bytes);
    return allocate_of(c, Bytes);
  }
  template <std::size_t Bytes>
  void free(void* block) noexcept {
    constexpr std::size_t c = class_of(Bytes);
    free_of(c, block);
  }

 private:
  void* allocate_of(std::size_t c, std::size_t bytes) {
    if (c < classes && shelves_[c].head != nullptr) [[likely]] {
      node* n = shelves_[c].head;
      shelves_[c].head = n->next;
      --shelves_[c].count;
      return n;
    }
    return allocate_fresh(bytes);
  }
  void free_of(std::size_t c, void* block) noexcept {
    if (c == classes || shelves_[c].count == kept_max) [[unlikely]] {
      ::operator delete(block);
      return;
    }
    shelves_[c].head = ::new (block) node{shelves_[c].head};
    ++shelves_[c].count;
  }

  struct node {
    node* next;
  };
  struct shelf {
    node* head = nullptr;
    unsigned count = 0;
  };
  shelf shelves_[classes];
};

}  // namespace fairway::detail
