// The connections of one port: who is idle, whose deadline comes next, how many are left to drain.
//
// One timer serves all deadlines: each kind is a list in order of time, and the timer is set to the
// earliest first member. A deadline is looked at when the timer fires, so a connection that does
// its work costs no timer operations. A crowd whose time comes at once is dealt with a few at a
// time, with a look at the sockets of everybody else in between.
// Threads: its port's; counters: any.
#pragma once

#include "server/admission.hpp"
#include "server/connection_state.hpp"
#include "server/tally.hpp"

#include <fairway/engine/detail/call_keeper.hpp>
#include <fairway/engine/timer.hpp>
#include <fairway/server/drain.hpp>
#include <fairway/server/limits.hpp>
#include <fairway/server/metrics.hpp>

#include <array>
#include <exception>
#include <memory>
#include <vector>

namespace fairway::detail {

class shard final : private call_keeper {
 public:
  shard(completion_port& port, server_core& core);

  completion_port& port() noexcept { return port_; }
  // The port has been destroyed.
  bool port_ended() const noexcept { return !joined(); }
  // A connection that was admitted. Throws std::bad_alloc: then it has not begun.
  void begin(std::shared_ptr<server_core> core, stream socket, given_place<server_core> at);
  // Makes place. Returns false when this port has nobody of that kind.
  enum class sheds { idle, handshake };
  bool shed(sheds whom);

  // --- draining ---
  void drain_by(port_clock::time_point deadline);
  // Everybody inside this call.
  void stop();
  bool draining() const noexcept { return draining_; }

  // --- told by connections ---
  bool read_begins(connection_state& c);
  void read_ended(connection_state& c, boost::system::error_code ec, std::size_t bytes);
  void write_begins(connection_state& c);
  void write_ended(connection_state& c, boost::system::error_code ec, std::size_t bytes);
  void wrote_now(connection_state& c, boost::system::error_code ec, std::size_t bytes);
  void next_read_is(connection_state& c, bool fresh);
  void established(connection_state& c);
  void cut(connection_state& c, end_reason why);
  void forget(connection_state& c) noexcept;

  port_metrics metrics() const;

 private:
  bool discard_calls() noexcept override;

  using list_of_all = timed_list<connection_state, &connection_state::all>;
  using list_of_waiting = timed_list<connection_state, &connection_state::waits>;
  using list_of_requests = timed_list<connection_state, &connection_state::request>;
  using list_of_stalls = timed_list<connection_state, &connection_state::stall>;
  using list_of_lingering = timed_list<connection_state, &connection_state::linger>;

  port_clock::time_point now() const noexcept { return port_.now(); }
  void settle(connection_state& c);
  void wrote(connection_state& c, boost::system::error_code ec, std::size_t bytes);
  void after_write(connection_state& c);
  void begin_request(connection_state& c);
  void close_request(connection_state& c);
  void end_idle(connection_state& c);
  void handler_ended(connection_state& c, std::exception_ptr failure);
  void linger(connection_state& c);
  void discard(connection_reference c);
  void finish(connection_state& c);
  void report_end(connection_state& c, const std::string& text);
  void drained_one();
  void leave_lists(connection_state& c) noexcept;

  port_clock::time_point next_deadline() const noexcept;
  void want_timer();
  void want_timer(port_clock::time_point began, port_clock::duration limit);
  void look_soon(const std::shared_ptr<server_core>& core, int turns);
  void on_timer();
  void check_requests(port_clock::time_point at, unsigned& left);
  template <class List, class Act>
  void expire(List& list, port_clock::duration after, port_clock::time_point at, unsigned& left,
              Act&& act);
  void cut_for_good(connection_state& c, end_reason why);
  std::vector<connection_reference> everybody();
  template <class Function>
  void next_turn(Function&& function);
  template <class Act, class Last>
  void each_in_turns(std::vector<connection_reference> whom, std::size_t from, Act act, Last last);
  void weigh(std::size_t bytes) noexcept;
  void all_are_cut();

  completion_port& port_;
  server_core& core_;
  const server_limits& limits_;
  list_of_all all_;
  list_of_waiting handshakes_;
  list_of_waiting idle_;
  list_of_requests requests_;
  list_of_stalls stalls_;
  list_of_lingering lingering_;
  timer timer_;
  // max: not armed; min: who is due is dealt with, turn by turn
  port_clock::time_point armed_ = port_clock::time_point::max();
  bool draining_ = false;
  bool drain_told_ = false;
  port_clock::time_point drain_deadline_ = port_clock::time_point::max();
  drain_report drained_;

  struct {
    tally open, idle, accepted, requests, bytes_in, bytes_out, age_sum_ms;
    std::array<tally, end_reasons> ended;
    std::array<tally, port_metrics::age_bounds.size() + 1> ages;
  } counts_;
};

}  // namespace fairway::detail
