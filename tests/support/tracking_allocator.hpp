// An allocator that knows how many blocks are out and how many were ever asked for.
#pragma once

#include <cstddef>
#include <new>

namespace support {

struct allocation_record {
  int live = 0;
  int total = 0;
};

template <class T = void>
class tracking_allocator {
 public:
  using value_type = T;

  explicit tracking_allocator(allocation_record& record) noexcept : record_{&record} {}
  template <class U>
  tracking_allocator(const tracking_allocator<U>& other) noexcept : record_{other.record_} {}

  T* allocate(std::size_t n) {
    ++record_->live;
    ++record_->total;
    return static_cast<T*>(::operator new(n * sizeof(T)));
  }
  void deallocate(T* block, std::size_t) noexcept {
    --record_->live;
    ::operator delete(block);
  }
  friend bool operator==(const tracking_allocator& a, const tracking_allocator& b) noexcept {
    return a.record_ == b.record_;
  }

 private:
  template <class>
  friend class tracking_allocator;
  allocation_record* record_;
};

}  // namespace support
