// The completion port: one kernel completion queue, run by one thread at a time.
//
//   fairway::completion_port port;
//   fairway::spawn(port, serve(port));
//   port.run();
//
// A port is a `boost::asio::execution_context` with `io_context`'s run interface: the same member
// names, return values, and the rule that `run` ends when there is no work left. Work is a handler
// that waits to run, an operation in flight, a timer that is awaited, or an executor with tracked
// outstanding work. Because one thread runs a port, its handlers never overlap: no strand, no lock.
// A handler never runs inside the function that started its operation.
//
// Threads: `run` and its relatives on one thread at a time (`std::logic_error` for a second one);
// a port may move to another thread between runs. `stop`, `stopped`, `get_executor`, `statistics`
// and posting on any thread. Destruction: no thread inside `run`.
// Lifetime: the destructor cancels what is in flight, waits until the kernel has let go of every
// buffer, and destroys the handlers without running them. Streams and timers may outlive their
// port; they are closed then. A child made by fork may make ports of its own and may destroy what
// it inherited, which leaves the parent's in peace; it must not run an inherited port.
#pragma once

#include <fairway/engine/clock.hpp>
#include <fairway/engine/executor.hpp>
#include <fairway/engine/port_options.hpp>
#include <fairway/engine/statistics.hpp>

#include <boost/asio/execution_context.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

namespace fairway {

class completion_port : public boost::asio::execution_context {
 public:
  using executor_type = port_executor;
  using time_point = port_clock::time_point;
  using duration = port_clock::duration;

  // Errors: `boost::system::system_error` when no engine can be had, or not the one asked for.
  explicit completion_port(const port_options& options = {});
  ~completion_port();
  completion_port(const completion_port&) = delete;
  completion_port& operator=(const completion_port&) = delete;

  executor_type get_executor() noexcept { return executor_type{*this}; }

  // Runs handlers until the port is stopped or has no work. Returns how many ran.
  // Errors: whatever a handler throws leaves `run`; call it again to go on.
  // Preconditions: no other thread is inside a run function (`std::logic_error`).
  std::size_t run();
  // At most one handler; waits for it. Unlike `io_context`, the port is not stopped by the end of
  // the last work in here but by the next run function, which then finds nothing to do.
  std::size_t run_one();
  // As `run` and `run_one`, until a time on the steady clock (also with a manual port clock).
  std::size_t run_until(time_point when);
  std::size_t run_one_until(time_point when);
  template <class Rep, class Period>
  std::size_t run_for(const std::chrono::duration<Rep, Period>& time) {
    return run_until(from_now(time));
  }
  template <class Rep, class Period>
  std::size_t run_one_for(const std::chrono::duration<Rep, Period>& time) {
    return run_one_until(from_now(time));
  }
  // Handlers that are ready now; never waits.
  std::size_t poll();
  std::size_t poll_one();

  // Makes every run function return as soon as it can. Threads: any.
  void stop() noexcept;
  bool stopped() const noexcept;
  // Needed before the next run after `stop` or after a run that ended for want of work.
  void restart() noexcept;

  engine_kind engine() const noexcept;
  // Why this engine and not a better one; also names a flag or feature that the kernel refused.
  std::string_view engine_reason() const noexcept;
  port_statistics statistics() const noexcept;

  // The time on the port's clock. Threads: any.
  time_point now() const noexcept;

 private:
  // A century counts as for ever, so that no unit's largest value overflows; compared in floating
  // point for the same reason.
  template <class Rep, class Period>
  static time_point from_now(const std::chrono::duration<Rep, Period>& time) {
    constexpr std::chrono::duration<double> century{36525.0 * 86400};
    if (time > century) return time_point::max();
    const time_point now = std::chrono::steady_clock::now();
    return time > time.zero() ? now + std::chrono::ceil<duration>(time) : now;
  }

  friend detail::port_core& detail::core_of(completion_port& port) noexcept;
  std::unique_ptr<detail::port_core> core_;
};

}  // namespace fairway
