#include "engine/timer_queue.hpp"

#include <algorithm>
#include <cassert>

namespace fairway::detail {

namespace {
constexpr std::size_t arity = 4;
}

void timer_queue::arm(io_op& op, time_point when) {
  deadline_node& node = op.deadline;
  if (node.index == not_in_heap) {
    heap_.push_back({when, &op});  // may throw: nothing has changed yet
    node.when = when;
    sift_up(heap_.size() - 1, {when, &op});
  } else {
    node.when = when;
    if (when < heap_[node.index].when) sift_up(node.index, {when, &op});
  }
  if (!node.armed) ++armed_;
  node.armed = true;
}

void timer_queue::disarm(io_op& op) noexcept {
  if (!op.deadline.armed) return;
  op.deadline.armed = false;
  assert(armed_ > 0);
  --armed_;
}

void timer_queue::remove(io_op& op) noexcept {
  disarm(op);
  if (op.deadline.index != not_in_heap) erase(op.deadline.index);
}

io_op* timer_queue::pop_due(time_point now) noexcept {
  while (!heap_.empty() && heap_.front().when <= now) {
    const entry top = heap_.front();
    if (top.op->deadline.armed && top.op->deadline.when > top.when) {
      sift_down(0, {top.op->deadline.when, top.op});
      continue;
    }
    const bool due = top.op->deadline.armed;
    remove(*top.op);
    if (due) return top.op;
  }
  return nullptr;
}

void timer_queue::put(std::size_t index, entry e) noexcept {
  heap_[index] = e;
  e.op->deadline.index = static_cast<std::uint32_t>(index);
}

void timer_queue::sift_up(std::size_t index, entry e) noexcept {
  while (index > 0) {
    const std::size_t parent = (index - 1) / arity;
    if (heap_[parent].when <= e.when) break;
    put(index, heap_[parent]);
    index = parent;
  }
  put(index, e);
}

void timer_queue::sift_down(std::size_t index, entry e) noexcept {
  for (;;) {
    const std::size_t first = index * arity + 1;
    if (first >= heap_.size()) break;
    const std::size_t last = std::min(first + arity, heap_.size());
    std::size_t least = first;
    for (std::size_t child = first + 1; child < last; ++child) {
      if (heap_[child].when < heap_[least].when) least = child;
    }
    if (e.when <= heap_[least].when) break;
    put(index, heap_[least]);
    index = least;
  }
  put(index, e);
}

void timer_queue::erase(std::size_t index) noexcept {
  assert(index < heap_.size());
  heap_[index].op->deadline.index = not_in_heap;
  const entry last = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  if (index > 0 && last.when < heap_[(index - 1) / arity].when) {
    sift_up(index, last);
  } else {
    sift_down(index, last);
  }
}

}  // namespace fairway::detail
