// Connections in the order in which their deadline comes: a list, because every member waits
// equally long. Entering, leaving and asking for the first one cost a few pointers.
#pragma once

#include <fairway/engine/clock.hpp>

#include <cassert>

namespace fairway::detail {

template <class Item>
struct timed_hook {
  Item* previous = nullptr;
  Item* next = nullptr;
  port_clock::time_point since{};
  bool linked = false;
};

template <class Item, timed_hook<Item> Item::*Hook>
class timed_list {
 public:
  Item* first() const noexcept { return first_; }
  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }
  static bool contains(const Item& item) noexcept { return (item.*Hook).linked; }
  static port_clock::time_point since(const Item& item) noexcept { return (item.*Hook).since; }

  void push(Item& item, port_clock::time_point now) noexcept {
    timed_hook<Item>& hook = item.*Hook;
    assert(!hook.linked);
    hook = {last_, nullptr, now, true};
    (last_ != nullptr ? (last_->*Hook).next : first_) = &item;
    last_ = &item;
    ++size_;
  }
  void remove(Item& item) noexcept {
    timed_hook<Item>& hook = item.*Hook;
    if (!hook.linked) return;
    (hook.previous != nullptr ? (hook.previous->*Hook).next : first_) = hook.next;
    (hook.next != nullptr ? (hook.next->*Hook).previous : last_) = hook.previous;
    hook = {};
    --size_;
  }

 private:
  Item* first_ = nullptr;  // the oldest
  Item* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace fairway::detail
