// The executor of a completion port.
//
// `port_executor` is what `completion_port::get_executor()` returns: one pointer, copied freely,
// equal when it names the same port. It models Asio's executor concept, so every Asio facility
// that asks for an executor takes it, and it converts to `any_io_executor`.
//
// Properties live in the template arguments: `blocking.possibly` (default) or `never`,
// `relationship.fork` (default) or `continuation`, `outstanding_work.untracked` (default) or
// `tracked`, and `allocator`. An executor with tracked work keeps `run()` from returning.
//
// Threads: every member may be called on any thread; posting to a port that runs elsewhere costs
// one allocation and, only when that port sleeps, one wake-up.
// Lifetime: an executor does not keep its port alive.
#pragma once

#include <fairway/engine/detail/posted.hpp>

#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace fairway {

class completion_port;

namespace detail {
inline constexpr unsigned blocking_never = 1;
inline constexpr unsigned relationship_continuation = 2;
inline constexpr unsigned work_tracked = 4;
}  // namespace detail

template <class Allocator = std::allocator<void>, unsigned Bits = 0>
class basic_executor {
 public:
  // `port` must outlive every use of the executor but its destruction and comparison.
  explicit basic_executor(completion_port& port, const Allocator& allocator = {}) noexcept
      : port_{&port}, allocator_{allocator} {
    start_work();
  }
  basic_executor(const basic_executor& other) noexcept
      : port_{other.port_}, allocator_{other.allocator_} {
    start_work();
  }
  basic_executor(basic_executor&& other) noexcept
      : port_{other.port_}, allocator_{std::move(other.allocator_)} {
    if constexpr ((Bits & detail::work_tracked) != 0) other.port_ = nullptr;
  }
  basic_executor& operator=(const basic_executor& other) noexcept {
    basic_executor copy{other};
    swap(copy);
    return *this;
  }
  basic_executor& operator=(basic_executor&& other) noexcept {
    basic_executor moved{std::move(other)};
    swap(moved);
    return *this;
  }
  ~basic_executor() {
    if constexpr ((Bits & detail::work_tracked) != 0) {
      if (port_ != nullptr) detail::work_finished(*port_);
    }
  }

  // The port that this executor runs functions on.
  completion_port& context() const noexcept { return *port_; }

  // True on the thread that is inside one of the port's run functions.
  bool running_in_this_thread() const noexcept { return detail::running_here(*port_); }

  // Runs `function` once on the port's thread: inside this call when it is made there and blocking
  // is `possibly`, from the port's queue otherwise.
  template <class Function>
  void execute(Function&& function) const {
    if constexpr ((Bits & detail::blocking_never) == 0) {
      if (detail::running_here(*port_)) {
        std::decay_t<Function> local(std::forward<Function>(function));
        std::move(local)();
      } else {
        detail::post_from(nullptr, *port_, std::forward<Function>(function), allocator_);
      }
    } else {
      detail::post(*port_, std::forward<Function>(function), allocator_);
    }
  }

  friend bool operator==(const basic_executor& a, const basic_executor& b) noexcept {
    return a.port_ == b.port_ && a.allocator_ == b.allocator_;
  }
  friend bool operator!=(const basic_executor& a, const basic_executor& b) noexcept {
    return !(a == b);
  }

  basic_executor<Allocator, Bits & ~detail::blocking_never> require(
      boost::asio::execution::blocking_t::possibly_t) const noexcept {
    return rebound<Allocator, Bits & ~detail::blocking_never>(allocator_);
  }
  basic_executor<Allocator, Bits | detail::blocking_never> require(
      boost::asio::execution::blocking_t::never_t) const noexcept {
    return rebound<Allocator, Bits | detail::blocking_never>(allocator_);
  }
  basic_executor<Allocator, Bits & ~detail::relationship_continuation> require(
      boost::asio::execution::relationship_t::fork_t) const noexcept {
    return rebound<Allocator, Bits & ~detail::relationship_continuation>(allocator_);
  }
  basic_executor<Allocator, Bits | detail::relationship_continuation> require(
      boost::asio::execution::relationship_t::continuation_t) const noexcept {
    return rebound<Allocator, Bits | detail::relationship_continuation>(allocator_);
  }
  basic_executor<Allocator, Bits & ~detail::work_tracked> require(
      boost::asio::execution::outstanding_work_t::untracked_t) const noexcept {
    return rebound<Allocator, Bits & ~detail::work_tracked>(allocator_);
  }
  basic_executor<Allocator, Bits | detail::work_tracked> require(
      boost::asio::execution::outstanding_work_t::tracked_t) const noexcept {
    return rebound<Allocator, Bits | detail::work_tracked>(allocator_);
  }
  template <class Other>
  basic_executor<Other, Bits> require(
      boost::asio::execution::allocator_t<Other> wanted) const noexcept {
    return rebound<Other, Bits>(wanted.value());
  }
  basic_executor<std::allocator<void>, Bits> require(
      boost::asio::execution::allocator_t<void>) const noexcept {
    return rebound<std::allocator<void>, Bits>({});
  }

  static constexpr boost::asio::execution::mapping_t query(
      boost::asio::execution::mapping_t) noexcept {
    return boost::asio::execution::mapping.thread;
  }
  completion_port& query(boost::asio::execution::context_t) const noexcept { return *port_; }
  static constexpr boost::asio::execution::blocking_t query(
      boost::asio::execution::blocking_t) noexcept {
    if constexpr ((Bits & detail::blocking_never) != 0) {
      return boost::asio::execution::blocking.never;
    } else {
      return boost::asio::execution::blocking.possibly;
    }
  }
  static constexpr boost::asio::execution::relationship_t query(
      boost::asio::execution::relationship_t) noexcept {
    if constexpr ((Bits & detail::relationship_continuation) != 0) {
      return boost::asio::execution::relationship.continuation;
    } else {
      return boost::asio::execution::relationship.fork;
    }
  }
  static constexpr boost::asio::execution::outstanding_work_t query(
      boost::asio::execution::outstanding_work_t) noexcept {
    if constexpr ((Bits & detail::work_tracked) != 0) {
      return boost::asio::execution::outstanding_work.tracked;
    } else {
      return boost::asio::execution::outstanding_work.untracked;
    }
  }
  template <class Other>
  Allocator query(boost::asio::execution::allocator_t<Other>) const noexcept {
    return allocator_;
  }
  Allocator query(boost::asio::execution::allocator_t<void>) const noexcept { return allocator_; }

 private:
  template <class, unsigned>
  friend class basic_executor;

  template <class Other, unsigned OtherBits>
  basic_executor<Other, OtherBits> rebound(const Other& allocator) const noexcept {
    return basic_executor<Other, OtherBits>{*port_, allocator};
  }
  void start_work() noexcept {
    if constexpr ((Bits & detail::work_tracked) != 0) {
      if (port_ != nullptr) detail::work_started(*port_);
    }
  }
  void swap(basic_executor& other) noexcept {
    std::swap(port_, other.port_);
    std::swap(allocator_, other.allocator_);
  }

  completion_port* port_;
  [[no_unique_address]] Allocator allocator_;
};

using port_executor = basic_executor<>;

}  // namespace fairway
