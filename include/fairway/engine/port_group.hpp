// Several completion ports, one thread each: how a program uses many cores.
//
//   fairway::port_group group;                 // a port a core
//   for (std::size_t i = 0; i < group.size(); ++i) fairway::spawn(group[i], serve(group[i]));
//   group.run();                               // until stop()
//
// Nothing is shared between the ports: what belongs to one of them stays on its thread. Connections
// are spread by accepting onto `next()` or `least_loaded()`, or by a listener a port with
// `listen_options::reuse_port`.
//
// A port of a running group does not return for want of work; `stop` ends it. An exception that
// leaves a handler stops the whole group and is thrown by `join` (or `run`), the first one first.
//
// Threads: all members on any thread, but `start`, `join` and destruction serialised.
// Lifetime: the destructor stops and joins.
#pragma once

#include <fairway/engine/completion_port.hpp>

#include <boost/asio/executor_work_guard.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace fairway {

class port_group {
 public:
  // `ports` = 0: as many as the machine has cores that this process may use.
  // Errors: what the completion_port constructor throws.
  explicit port_group(std::size_t ports = 0, const port_options& options = {});
  ~port_group();
  port_group(const port_group&) = delete;
  port_group& operator=(const port_group&) = delete;

  std::size_t size() const noexcept { return ports_.size(); }
  completion_port& operator[](std::size_t index) noexcept { return *ports_[index]; }

  // Round robin.
  completion_port& next() noexcept;
  // The port with the fewest operations in flight (a snapshot of counters).
  completion_port& least_loaded() noexcept;

  // Starts a thread a port. Preconditions: not started, or joined since.
  void start();
  // Makes all ports return soon; handlers that run are finished first. Before start it makes the
  // ports return at once, as with a single port.
  void stop() noexcept;
  // Waits for the threads. Errors: rethrows what left a handler.
  void join();
  // start, then join.
  void run();

 private:
  void run_one_port(completion_port& port);

  using guard = boost::asio::executor_work_guard<port_executor>;
  std::vector<std::unique_ptr<completion_port>> ports_;
  std::vector<guard> guards_;
  std::vector<std::thread> threads_;
  std::atomic<std::size_t> turn_{0};
  std::atomic<bool> stopping_{false};  // seq_cst: set before the ports stop, read after restarts
  std::mutex mutex_;
  std::exception_ptr failure_;  // null: none; under mutex_
};

}  // namespace fairway
