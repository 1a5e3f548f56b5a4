#include <fairway/engine/detail/call_keeper.hpp>

#include <cassert>
#include <mutex>

namespace fairway::detail {

// The keepers of one execution context.
class call_keepers final : public boost::asio::execution_context::service {
 public:
  using key_type = call_keepers;
  inline static boost::asio::execution_context::id id;

  explicit call_keepers(boost::asio::execution_context& context) : service{context} {}
  ~call_keepers() override {
    discard_all();
    std::lock_guard lock{mutex_};
    while (first_ != nullptr) unlink(*first_);
  }

  void add(call_keeper& keeper) noexcept {
    std::lock_guard lock{mutex_};
    link(keeper);
  }
  void remove(call_keeper& keeper) noexcept {
    std::lock_guard lock{mutex_};
    unlink(keeper);
  }

  // One round. A handler's end may be the end of keepers, and may make some.
  bool discard() noexcept {
    ending_ = true;
    bool any = false;
    for (std::size_t left = size(); left != 0; --left) {
      call_keeper* const next = rotate();
      if (next == nullptr) break;
      if (next->discard_calls()) any = true;
    }
    return any;
  }

  bool ending() const noexcept { return ending_; }

 private:
  void shutdown() noexcept override { discard_all(); }

  void discard_all() noexcept {
    while (discard()) {
    }
  }
  std::size_t size() noexcept {
    std::lock_guard lock{mutex_};
    return size_;
  }
  // The first, which is now the last; null when there is none.
  call_keeper* rotate() noexcept {
    std::lock_guard lock{mutex_};
    call_keeper* const keeper = first_;
    if (keeper != nullptr) {
      unlink(*keeper);
      link(*keeper);
    }
    return keeper;
  }

  void link(call_keeper& keeper) noexcept {
    assert(keeper.list_ == nullptr);
    keeper.list_ = this;
    keeper.previous_ = last_;
    keeper.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &keeper;
    last_ = &keeper;
    ++size_;
  }
  void unlink(call_keeper& keeper) noexcept {
    assert(keeper.list_ == this && size_ != 0);
    (keeper.previous_ != nullptr ? keeper.previous_->next_ : first_) = keeper.next_;
    (keeper.next_ != nullptr ? keeper.next_->previous_ : last_) = keeper.previous_;
    keeper.list_ = nullptr;
    keeper.previous_ = keeper.next_ = nullptr;
    --size_;
  }

  std::mutex mutex_;  // a state may go on another thread than its context's
  call_keeper* first_ = nullptr;  // null: nobody has joined
  call_keeper* last_ = nullptr;
  std::size_t size_ = 0;
  bool ending_ = false;
};

void call_keeper::enter(boost::asio::execution_context& context) {
  boost::asio::use_service<call_keepers>(context).add(*this);
}

bool call_keeper::ending() const noexcept { return list_ != nullptr && list_->ending(); }

void call_keeper::leave() noexcept { list_->remove(*this); }

bool discard_kept_calls(boost::asio::execution_context& context) noexcept {
  if (!boost::asio::has_service<call_keepers>(context)) return false;
  return boost::asio::use_service<call_keepers>(context).discard();
}

}  // namespace fairway::detail
