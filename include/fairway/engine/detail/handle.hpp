// The public end of an engine object: owns one reference, moves, closes when destroyed.
//
// Threads: any, as long as calls on one handle do not overlap. On the port's thread, or while
// nobody runs the port, calls act at once; from elsewhere they hop in order.
#pragma once

#include <utility>

namespace fairway::detail {

struct io_object;
struct object_access;  // net/detail/control.hpp

void drop_object(io_object* object) noexcept;   // close, give back the reference
void cancel_object(io_object* object);          // all operations in flight
void close_object(io_object* object);           // the handle stays; later operations fail

class object_handle {
 public:
  object_handle() = default;
  explicit object_handle(io_object* object) noexcept : object_{object} {}
  object_handle(object_handle&& other) noexcept
      : object_{std::exchange(other.object_, nullptr)} {}
  object_handle& operator=(object_handle&& other) noexcept {
    if (this != &other) {
      io_object* old = std::exchange(object_, std::exchange(other.object_, nullptr));
      if (old != nullptr) drop_object(old);
    }
    return *this;
  }
  ~object_handle() {
    if (object_ != nullptr) drop_object(object_);
  }

  io_object* get() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  io_object* release() noexcept { return std::exchange(object_, nullptr); }
  void cancel() const {
    if (object_ != nullptr) cancel_object(object_);
  }
  void close() const {
    if (object_ != nullptr) close_object(object_);
  }

 private:
  io_object* object_ = nullptr;  // null: empty or moved from
};

}  // namespace fairway::detail
