// A handler that waits for its one call, without its type: what a composite operation of the
// protocol layer keeps while it waits.
//
// The handler runs on its associated executor, with its memory given back before, and its executor
// has work meanwhile. Memory comes from its associated allocator, by default a block that the
// thread recycles. Destroyed without a call it destroys the handler.
#pragma once

#include <fairway/engine/detail/initiate.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/recycling_allocator.hpp>

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace fairway::detail {

// Queues a handler: never inside this call.
template <class IoExecutor, class Handler, class... Values>
void post_completion(const IoExecutor& io, Handler&& handler, Values... values) {
  boost::asio::post(io, bound_handler<std::decay_t<Handler>, std::tuple<Values...>>{
                            std::forward<Handler>(handler), {std::move(values)...}});
}

enum class deliver { inside, queued };

template <class... Values>
class completion {
 public:
  completion() = default;
  completion(completion&& other) noexcept : node_{std::exchange(other.node_, nullptr)} {}
  completion& operator=(completion&& other) noexcept {
    completion moved{std::move(other)};
    std::swap(node_, moved.node_);
    return *this;
  }
  ~completion() {
    if (node_ != nullptr) node_->act(node_, nullptr, deliver::queued);
  }

  // `slot_is_here`: the handler's cancellation slot belongs to this thread and is cleared at the
  // end.
  template <class IoExecutor, class Handler>
  static completion make(const IoExecutor& io, Handler&& handler, bool slot_is_here) {
    using made = node<std::decay_t<Handler>, IoExecutor>;
    auto* held = made::make(io, std::forward<Handler>(handler));
    held->clear_slot = slot_is_here;
    return completion{held};
  }

  explicit operator bool() const noexcept { return node_ != nullptr; }

  // Calls the handler, from a handler of the operation's executor (`inside`) or through the queue.
  void operator()(deliver how, Values... values) {
    base* held = std::exchange(node_, nullptr);
    std::tuple<Values...> all{std::move(values)...};
    held->act(held, &all, how);
  }

 private:
  struct base {
    void (*act)(base*, std::tuple<Values...>*, deliver);  // null values: only destroy
  };

  template <class Handler, class IoExecutor>
  struct node final : base {
    using allocator =
        boost::asio::associated_allocator_t<Handler, boost::asio::recycling_allocator<void>>;
    using rebound = typename std::allocator_traits<allocator>::template rebind_alloc<node>;
    using executor = boost::asio::associated_executor_t<Handler, IoExecutor>;
    using tracked = std::decay_t<decltype(boost::asio::prefer(
        std::declval<const executor&>(), boost::asio::execution::outstanding_work.tracked))>;

    node(const IoExecutor& from, Handler&& h)
        : base{&node::act_it},
          io{from},
          work{boost::asio::prefer(boost::asio::get_associated_executor(h, from),
                                   boost::asio::execution::outstanding_work.tracked)},
          handler{std::move(h)} {}

    template <class H>
    static node* make(const IoExecutor& from, H&& given) {
      Handler local(std::forward<H>(given));
      rebound memory{boost::asio::get_associated_allocator(
          local, boost::asio::recycling_allocator<void>{})};
      node* room = std::to_address(std::allocator_traits<rebound>::allocate(memory, 1));
      try {
        return ::new (static_cast<void*>(room)) node(from, std::move(local));
      } catch (...) {
        std::allocator_traits<rebound>::deallocate(memory, room, 1);
        throw;
      }
    }

    static void act_it(base* b, std::tuple<Values...>* values, deliver how) {
      auto* self = static_cast<node*>(b);
      Handler local(std::move(self->handler));
      IoExecutor io(self->io);
      tracked kept(std::move(self->work));
      rebound memory{boost::asio::get_associated_allocator(
          local, boost::asio::recycling_allocator<void>{})};
      auto slot = boost::asio::get_associated_cancellation_slot(local);
      if (self->clear_slot && slot.is_connected()) slot.clear();
      self->~node();
      std::allocator_traits<rebound>::deallocate(memory, self, 1);
      if (values == nullptr) return;
      bound_handler<Handler, std::tuple<Values...>> bound{std::move(local), std::move(*values)};
      if (how == deliver::inside) {
        boost::asio::dispatch(io, std::move(bound));
      } else {
        boost::asio::post(io, std::move(bound));
      }
    }

    IoExecutor io;
    tracked work;
    Handler handler;
    bool clear_slot = false;
  };

  explicit completion(base* made) noexcept : node_{made} {}
  base* node_ = nullptr;  // null: none waits
};

}  // namespace fairway::detail
