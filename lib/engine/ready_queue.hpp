// First in, first out, intrusive; owner thread only.
#pragma once

#include <fairway/engine/detail/posted.hpp>

namespace fairway::detail {

class ready_queue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }

  void push(operation* op) noexcept {
    op->next = nullptr;
    if (tail_ == nullptr) {
      head_ = op;
    } else {
      tail_->next = op;
    }
    tail_ = op;
  }

  operation* pop() noexcept {
    operation* op = head_;
    if (op != nullptr) {
      head_ = op->next;
      if (head_ == nullptr) tail_ = nullptr;
      op->next = nullptr;
    }
    return op;
  }

 private:
  operation* head_ = nullptr;
  operation* tail_ = nullptr;
};

}  // namespace fairway::detail
