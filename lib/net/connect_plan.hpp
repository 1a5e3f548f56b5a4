// Which address to try when: "happy eyeballs" (RFC 8305) as a state machine without I/O.
//
// The owner tells the plan what happened (addresses arrived, an attempt failed or succeeded, the
// timer fired, somebody cancelled) and then takes actions from next() until there are none:
//
//   start a     begin attempt a, attempts()[a].target is its address
//   cancel a    attempt a is not wanted any more; what becomes of it need not be reported
//   arm t       call timer() at t; replaces the time armed before; firing early or late is harmless
//   done        the connect is over; attempt is the winner, or error tells why there is none
//
// Rules: the families take turns, beginning with the first address of a list that arrived whole, or
// with IPv6 where the families arrive one by one. An IPv4 answer that is alone waits 50 ms for the
// IPv6 answer. The next address is tried when the newest attempt failed or is older than
// attempt_delay. The first success wins. After done every input is ignored.
//
// Cost: one vector entry for each address. At most addresses_max are kept, later ones are dropped.
// Threads: that of its owner. The plan never reads a clock: times come with the inputs.
#pragma once

#include <fairway/net/connect_options.hpp>

#include <boost/asio/error.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace fairway::detail {

class connect_plan {
 public:
  using duration = std::chrono::steady_clock::duration;
  using time_point = std::chrono::steady_clock::time_point;
  using error_code = boost::system::error_code;

  /// More addresses than any name should have; bounds what a hostile name server can cost.
  static constexpr std::size_t addresses_max = 256;
  static constexpr std::size_t no_attempt = static_cast<std::size_t>(-1);
  static constexpr duration attempt_delay_min = std::chrono::milliseconds{10};  // RFC 8305, 5
  static constexpr duration resolution_delay = std::chrono::milliseconds{50};   // RFC 8305, 3

  /// Which part of the addresses an answer is: one family's, or all there are.
  enum class answer { v6, v4, whole };

  enum class step { start, cancel, arm, done };

  struct action {
    step what;
    std::size_t attempt = no_attempt;  // start, cancel, done with success
    time_point when{};                 // arm
    error_code error{};                // done without success
  };

  /// Begins the connect. Answers will come: one for each family in either order, or a whole one.
  connect_plan(const connect_options& options, time_point now);

  /// An answer, with the addresses in their order; without any, `error` may say why.
  void arrived(answer from, std::span<const endpoint> found, error_code error, time_point now);

  void succeeded(std::size_t attempt, time_point now);
  void failed(std::size_t attempt, error_code error, time_point now);
  void timer(time_point now);
  /// Ends the connect with `why`.
  void cancel(time_point now, error_code why = boost::asio::error::operation_aborted);

  /// The next thing to do, empty when there is none until the next input.
  std::optional<action> next();

  /// What was tried so far, in the order of the starts; complete after done.
  const std::vector<connect_attempt>& attempts() const noexcept { return attempts_; }

 private:
  static constexpr time_point never = time_point::max();

  struct group {  // the addresses of one family that have not been tried
    std::vector<endpoint> addresses;
    std::size_t taken = 0;
    bool awaited = true;
    bool empty() const noexcept { return taken == addresses.size(); }
  };

  struct progress {  // beside attempts_
    time_point started;
    bool running;
  };

  bool awaits() const noexcept { return groups_[0].awaited || groups_[1].awaited; }
  bool exhausted() const noexcept { return groups_[0].empty() && groups_[1].empty(); }
  void pass_to(time_point now);
  void advance();
  void finish(std::size_t winner, error_code error);
  void end_attempt(std::size_t attempt, error_code error);
  error_code verdict() const;
  time_point wake_time() const;
  action start_next();
  std::optional<action> next_of_the_end();

  duration attempt_delay_;
  time_point deadline_;
  time_point now_;
  time_point hold_until_ = never;  // a lone IPv4 answer waits until then
  time_point next_start_ = never;  // when the attempt after the newest may start
  time_point armed_ = never;
  std::array<group, 2> groups_;  // IPv6, all others
  std::size_t turn_ = 0;         // the group whose turn it is
  std::vector<connect_attempt> attempts_;
  std::vector<progress> progress_;
  std::size_t running_ = 0;
  error_code resolve_error_;  // why there are no addresses, if there are none
  bool start_due_ = false;
  bool over_ = false;
  bool reported_ = false;
  std::size_t cancelled_ = 0;  // after the end: attempts looked at for a cancel
  std::size_t winner_ = no_attempt;
  error_code error_;
};

}  // namespace fairway::detail
