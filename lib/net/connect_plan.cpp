#include "connect_plan.hpp"

#include <algorithm>
#include <cassert>

namespace fairway::detail {

namespace {

constexpr std::size_t v6_group = 0;
constexpr std::size_t other_group = 1;

std::size_t group_of(const endpoint& target) {
  return target.family() == endpoint_family::v6 ? v6_group : other_group;
}

/// Errors that tell of this machine, or of our own doing, and nothing of the peer.
bool is_about_us(const boost::system::error_code& error) {
  namespace net = boost::asio::error;
  return error == net::operation_aborted || error == net::address_family_not_supported ||
         error == boost::system::errc::address_not_available;
}

connect_plan::time_point after(connect_plan::time_point now, connect_plan::duration delay) {
  const auto left = connect_plan::time_point::max() - now;
  return delay < left ? now + delay : connect_plan::time_point::max();
}

}  // namespace

connect_plan::connect_plan(const connect_options& options, time_point now)
    : attempt_delay_(std::max(options.attempt_delay, attempt_delay_min)),
      deadline_(options.timeout > duration::zero() ? after(now, options.timeout) : never),
      now_(now) {}

void connect_plan::arrived(answer from, std::span<const endpoint> found, error_code error,
                           time_point now) {
  if (over_) {
    return;
  }
  assert(from == answer::v4 || groups_[v6_group].awaited);
  assert(from == answer::v6 || groups_[other_group].awaited);
  pass_to(now);
  if (from == answer::whole && !found.empty()) {
    turn_ = group_of(found.front());
  }
  if (from != answer::v4) {
    groups_[v6_group].awaited = false;
  }
  if (from != answer::v6) {
    groups_[other_group].awaited = false;
  }
  for (const endpoint& each : found) {
    if (groups_[0].addresses.size() + groups_[1].addresses.size() == addresses_max) {
      break;
    }
    groups_[group_of(each)].addresses.push_back(each);
  }
  // "No address of that family" says less than what the other family's answer says.
  if (error && (!resolve_error_ || resolve_error_ == boost::asio::error::no_data)) {
    resolve_error_ = error;
  }
  advance();
}

void connect_plan::succeeded(std::size_t attempt, time_point now) {
  if (over_) {
    return;
  }
  pass_to(now);
  end_attempt(attempt, {});
  finish(attempt, {});
}

void connect_plan::failed(std::size_t attempt, error_code error, time_point now) {
  if (over_) {
    return;
  }
  assert(error);
  pass_to(now);
  end_attempt(attempt, error);
  next_start_ = now_;
  advance();
}

void connect_plan::timer(time_point now) {
  if (over_) {
    return;
  }
  pass_to(now);
  armed_ = never;
  advance();
}

void connect_plan::cancel(time_point now, error_code why) {
  if (over_) {
    return;
  }
  pass_to(now);
  finish(no_attempt, why);
}

std::optional<connect_plan::action> connect_plan::next() {
  if (over_) {
    return next_of_the_end();
  }
  if (start_due_) {
    return start_next();
  }
  const time_point wanted = wake_time();
  if (wanted == armed_ || wanted == never) {
    return std::nullopt;
  }
  armed_ = wanted;
  return action{.what = step::arm, .when = wanted};
}

/// Time never goes back, whatever the inputs say.
void connect_plan::pass_to(time_point now) {
  now_ = std::max(now_, now);
}

/// Decides, after an input, whether the connect is over or an attempt is due.
void connect_plan::advance() {
  if (now_ >= deadline_) {
    return finish(no_attempt, boost::asio::error::timed_out);
  }
  if (exhausted()) {
    if (running_ == 0 && !awaits()) {
      finish(no_attempt, verdict());
    }
    return;
  }
  if (!attempts_.empty()) {
    start_due_ = start_due_ || running_ == 0 || now_ >= next_start_;
    return;
  }
  if (groups_[v6_group].awaited) {  // then what there is, is IPv4
    if (hold_until_ == never) {
      hold_until_ = after(now_, resolution_delay);
    }
    if (now_ < hold_until_) {
      return;
    }
  }
  start_due_ = true;
}

connect_plan::time_point connect_plan::wake_time() const {
  if (exhausted()) {
    return deadline_;
  }
  return std::min(deadline_, attempts_.empty() ? hold_until_ : next_start_);
}

connect_plan::action connect_plan::start_next() {
  assert(!exhausted());
  group& from = groups_[groups_[turn_].empty() ? 1 - turn_ : turn_];
  turn_ = &from == &groups_[v6_group] ? other_group : v6_group;
  attempts_.push_back({.target = from.addresses[from.taken++], .error = {}, .elapsed = {}});
  progress_.push_back({.started = now_, .running = true});
  ++running_;
  next_start_ = after(now_, attempt_delay_);
  start_due_ = false;
  return {.what = step::start, .attempt = attempts_.size() - 1};
}

void connect_plan::end_attempt(std::size_t attempt, error_code error) {
  assert(attempt < progress_.size() && progress_[attempt].running);
  attempts_[attempt].error = error;
  attempts_[attempt].elapsed = now_ - progress_[attempt].started;
  progress_[attempt].running = false;
  --running_;
}

/// Why a connect without limit or cancel failed: the first attempt's error that says something of
/// the peer; else the first attempt's; else what the look-up said.
connect_plan::error_code connect_plan::verdict() const {
  if (attempts_.empty()) {
    return resolve_error_ ? resolve_error_ : error_code(boost::asio::error::not_found);
  }
  const auto telling = std::ranges::find_if_not(attempts_, is_about_us, &connect_attempt::error);
  return telling == attempts_.end() ? attempts_.front().error : telling->error;
}

void connect_plan::finish(std::size_t winner, error_code error) {
  over_ = true;
  start_due_ = false;
  winner_ = winner;
  error_ = error;
}

/// The end: a cancel for each attempt that still runs, then done.
std::optional<connect_plan::action> connect_plan::next_of_the_end() {
  while (cancelled_ < progress_.size()) {
    const std::size_t attempt = cancelled_++;
    if (!progress_[attempt].running) {
      continue;
    }
    const bool late = error_ == boost::asio::error::timed_out;
    end_attempt(attempt, late ? error_ : boost::asio::error::operation_aborted);
    return action{.what = step::cancel, .attempt = attempt};
  }
  if (reported_) {
    return std::nullopt;
  }
  reported_ = true;
  return action{.what = step::done, .attempt = winner_, .error = error_};
}

}  // namespace fairway::detail
