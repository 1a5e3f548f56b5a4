// What the ports of one server share.
//
// Threads: the first port's, unless a remark says any. Lifetime: shared by the server and by every
// connection, accept loop and timer of it. Once its ports have gone, which then took those with
// them, the server is a record of numbers.
#pragma once

#include "server/admission.hpp"
#include "server/shard.hpp"
#include "server/tally.hpp"

#include <fairway/engine/signals.hpp>
#include <fairway/server/server.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace fairway::detail {

class server_core : public std::enable_shared_from_this<server_core> {
 public:
  server_core(std::vector<completion_port*> ports, connection_handler handler,
              server_options options, std::function<void()> stop_ports);

  // --- any thread ---
  const server_options& options() const noexcept { return options_; }
  const connection_handler& handler() const noexcept { return handler_; }
  completion_port& first_port() const noexcept { return *ports_.front(); }
  std::uint64_t next_id() noexcept {
    // Relaxed: only has to be unique.
    return ids_.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  void log(const log_event& event) const {
    if (options_.log) options_.log(event);
  }
  bool logs() const noexcept { return static_cast<bool>(options_.log); }
  void left(const endpoint& remote);  // a connection's place is free
  void shard_drained(drain_report part);
  server_metrics metrics() const;
  drain_report report() const;
  std::size_t open() const { return admission_.open(); }
  void begin_drain(port_clock::duration deadline, drain_done done);
  void stop();

  // --- the first port ---
  bool discard_drain_waiters() noexcept;
  result<endpoint> listen(const endpoint& local);
  void drain_on_signals();

 private:
  struct listening {
    listening(completion_port& port, listener l, const endpoint& bound)
        : socket{std::move(l)}, local{bound}, pause{port}, pacing{port} {}
    listener socket;
    endpoint local;
    timer pause;   // awaited without end while the server is full
    timer pacing;
  };

  task<> accept_all(std::shared_ptr<server_core> self, listening& at);
  task<> wait_for_room(listening& at);
  void failed(listening& at, const boost::system::error_code& ec);
  // False: there is no room, and `socket` may wait for it.
  bool take(stream& socket, const endpoint& remote, std::size_t to);
  void place(stream socket, given_place<server_core> at, std::size_t to);
  void shed_for(stream socket, given_place<server_core> at, std::size_t to, std::size_t asked);
  // `why` is a literal.
  void refuse(stream socket, const endpoint& remote, tally server_core::*count,
              std::string_view why);
  void paused();
  void close_listeners();
  void drain_from_here(port_clock::time_point deadline, drain_done done);
  void end_drain();
  template <class Function>
  void on_port(std::size_t index, Function&& function);

  std::vector<completion_port*> ports_;
  connection_handler handler_;
  server_options options_;
  std::function<void()> stop_ports_;
  admission admission_;
  accept_pacer pacer_;
  std::vector<std::unique_ptr<shard>> shards_;
  std::list<listening> listeners_;
  std::size_t turn_ = 0;
  std::optional<signals> signals_;  // empty: signals are not this server's
  port_clock::time_point last_pause_logged_{};
  std::atomic<std::uint64_t> ids_{0};
  std::atomic<bool> full_{false};  // an accept loop waits for room
  std::atomic<bool> ending_{false};

  bool draining_ = false;
  bool drained_ = false;
  std::size_t shards_left_ = 0;
  port_clock::time_point drain_began_{};
  std::vector<drain_done> drain_waiters_;
  mutable std::mutex report_mutex_;
  drain_report report_;

  tally refused_full_, refused_peer_, refused_draining_, accept_pauses_, listeners_failed_;
};

}  // namespace fairway::detail
