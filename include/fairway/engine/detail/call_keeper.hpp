// States of the layers above that keep handlers of their own, and the end of their port.
//
// A handler that waits often owns what it waits on: a coroutine's frame owns a framed stream, whose
// state keeps the frame until a message comes. The engine's own operations are discarded with the
// port; a handler that only such a state keeps would stay for ever, because the two hold each
// other. So each such state is a call_keeper: in a list of its execution context, which lets every
// keeper destroy what waits, without a call, as Asio's services do with theirs
// (execution_context::service::shutdown).
//
// What a destroyed handler ends elsewhere is posted, and discarded with all that is posted.
// A keeper that moves bytes itself stops when `ending`: other calls' bytes may have gone with them.
//
// Threads: `join`: the thread that runs the context, or any while nobody does. Destruction: any.
// Lifetime: a keeper may outlive its context. Joining costs two pointers in a list under a mutex,
// once a state; then a comparison.
#pragma once

#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>

#include <cstddef>

namespace fairway::detail {

class call_keepers;

class call_keeper {
 public:
  call_keeper(const call_keeper&) = delete;
  call_keeper& operator=(const call_keeper&) = delete;

  // Before it keeps a call. Throws std::bad_alloc.
  void join(boost::asio::execution_context& context) {
    if (list_ == nullptr) enter(context);
  }
  template <class Executor>
  void join_context_of(const Executor& executor) {
    if (list_ != nullptr) return;
    if constexpr (boost::asio::execution::is_executor<Executor>::value) {
      enter(boost::asio::query(executor, boost::asio::execution::context));
    } else {
      enter(executor.context());
    }
  }
  // In the list of a context that has not ended.
  bool joined() const noexcept { return list_ != nullptr; }

 protected:
  call_keeper() = default;
  // The context that it has joined discards. Threads: as `join`.
  bool ending() const noexcept;
  ~call_keeper() {
    if (list_ != nullptr) leave();
  }

 private:
  friend class call_keepers;

  // Destroys every handler that waits. Returns whether one did. May be the end of the keeper.
  virtual bool discard_calls() noexcept = 0;

  void enter(boost::asio::execution_context& context);
  void leave() noexcept;

  call_keepers* list_ = nullptr;     // null: not joined, or the context has ended
  call_keeper* previous_ = nullptr;  // null: the first
  call_keeper* next_ = nullptr;      // null: the last
};

// Discards what the keepers of a context keep, without a call. Returns whether there was something.
// Preconditions: nobody runs the context.
bool discard_kept_calls(boost::asio::execution_context& context) noexcept;

}  // namespace fairway::detail
