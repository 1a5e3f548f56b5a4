// A handler that waits for its one call, without its type: what a composite operation of the
// protocol layer keeps while it waits.
//
// The handler runs on its associated executor, with its memory given back before, and its executor
// has work meanwhile. Memory comes from its associated allocator; without one, from the spare block
// of whoever keeps the completion, if that is given. Destroyed without a call it destroys the
// handler, and leaves the handler's cancellation slot alone, which may have gone before. Whoever
// keeps one is a call_keeper (engine/detail/call_keeper.hpp), or its port could not end it.
#pragma once

#include <fairway/engine/detail/initiate.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/recycling_allocator.hpp>

#include <cstddef>
#include <memory>
#include <new>
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

// The memory of the last handler that waited, kept for the next one. Outlives both.
class spare_block {
 public:
  spare_block() = default;
  spare_block(const spare_block&) = delete;
  spare_block& operator=(const spare_block&) = delete;
  ~spare_block() { ::operator delete(kept_); }

  void* take(std::size_t bytes) {
    if (bytes > bytes_) return ::operator new(bytes);
    bytes_ = 0;
    return std::exchange(kept_, nullptr);
  }
  void give(void* block, std::size_t bytes) noexcept {
    ::operator delete(std::exchange(kept_, block));
    bytes_ = bytes;
  }
  std::size_t capacity() const noexcept { return bytes_; }

 private:
  void* kept_ = nullptr;  // null: none, or in use
  std::size_t bytes_ = 0;
};

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
  static completion make(const IoExecutor& io, Handler&& handler, bool slot_is_here,
                         spare_block* spare = nullptr) {
    using made = node<std::decay_t<Handler>, IoExecutor>;
    auto* held = made::make(io, std::forward<Handler>(handler), spare);
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

    static constexpr bool may_spare =
        std::is_same_v<allocator, boost::asio::recycling_allocator<void>> &&
        alignof(Handler) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;

    node(const IoExecutor& from, Handler&& h, spare_block* kept)
        : base{&node::act_it},
          spare{kept},
          io{from},
          work{boost::asio::prefer(boost::asio::get_associated_executor(h, from),
                                   boost::asio::execution::outstanding_work.tracked)},
          handler{std::move(h)} {}

    static rebound memory_of(const Handler& h) {
      return rebound{
          boost::asio::get_associated_allocator(h, boost::asio::recycling_allocator<void>{})};
    }
    static void free(rebound& memory, void* room, spare_block* kept) noexcept {
      if (kept != nullptr) {
        kept->give(room, sizeof(node));
      } else {
        std::allocator_traits<rebound>::deallocate(memory, static_cast<node*>(room), 1);
      }
    }

    template <class H>
    static node* make(const IoExecutor& from, H&& given, spare_block* kept) {
      Handler local(std::forward<H>(given));
      if (!may_spare) kept = nullptr;
      rebound memory = memory_of(local);
      void* room = kept != nullptr
                       ? kept->take(sizeof(node))
                       : std::to_address(std::allocator_traits<rebound>::allocate(memory, 1));
      try {
        return ::new (room) node(from, std::move(local), kept);
      } catch (...) {
        free(memory, room, kept);
        throw;
      }
    }

    static void act_it(base* b, std::tuple<Values...>* values, deliver how) {
      auto* self = static_cast<node*>(b);
      Handler local(std::move(self->handler));
      IoExecutor io(self->io);
      tracked kept(std::move(self->work));
      rebound memory = memory_of(local);
      spare_block* kept_block = self->spare;
      if (values != nullptr && self->clear_slot) {
        auto slot = boost::asio::get_associated_cancellation_slot(local);
        if (slot.is_connected()) slot.clear();
      }
      self->~node();
      free(memory, self, kept_block);
      if (values == nullptr) return;
      bound_handler<Handler, std::tuple<Values...>> bound{std::move(local), std::move(*values)};
      if (how == deliver::inside) {
        if constexpr (std::is_same_v<executor, port_executor> &&
                      std::is_same_v<IoExecutor, port_executor>) {
          // What dispatch comes to, without the work it counts meanwhile.
          if (io.running_in_this_thread() &&
              boost::asio::get_associated_executor(bound, io) == io) {
            return bound();
          }
        }
        boost::asio::dispatch(io, std::move(bound));
      } else {
        boost::asio::post(io, std::move(bound));
      }
    }

    spare_block* spare;  // null: the memory is the allocator's
    IoExecutor io;
    tracked work;
    Handler handler;
    bool clear_slot = false;
  };

  explicit completion(base* made) noexcept : node_{made} {}
  base* node_ = nullptr;  // null: none waits
};

}  // namespace fairway::detail
