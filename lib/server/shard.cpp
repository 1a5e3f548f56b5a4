#include "server/shard.hpp"

#include "engine/port_core.hpp"
#include "net/socket_options_os.hpp"
#include "server/server_core.hpp"

#include <fairway/task.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <utility>

namespace fairway::detail {

namespace {

constexpr port_clock::time_point never = port_clock::time_point::max();

// Connections of a crowd that one handler deals with. To end one takes 20 to 50 microseconds with
// what its end entails.
constexpr unsigned crowd_step = 16;

// Bytes that cost as much to make, copy and move as a small request's handler does: a turn in which
// large answers leave is over sooner.
constexpr std::size_t bytes_a_handler = 4096;

end_reason reason_of(const boost::system::error_code& ec) noexcept {
  if (ec == condition::eof) return end_reason::peer_closed;
  if (ec == condition::reset) return end_reason::peer_reset;
  return end_reason::io_error;
}

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown exception";
  }
}

void limit_unsent_of(stream& socket, std::uint32_t bytes) noexcept {
  constexpr std::uint32_t most = std::numeric_limits<int>::max();
  if (bytes != 0) limit_unsent(socket.native_handle(), static_cast<int>(std::min(bytes, most)));
}

void note(connection_state& c, end_reason why) noexcept {
  if (c.reason == end_reason::none) c.reason = why;
}

}  // namespace

shard::shard(completion_port& port, server_core& core)
    : port_{port}, core_{core}, limits_{core.options().limits}, timer_{port} {
  join(port);
}

// What waits for a connection is kept by its streams; for the server, by the first port.
bool shard::discard_calls() noexcept {
  return &port_ == &core_.first_port() && core_.discard_drain_waiters();
}

void shard::begin(std::shared_ptr<server_core> core, stream socket, given_place<server_core> at) {
  auto* made = new connection_state{core, *this, core->next_id(), std::move(socket), at.remote()};
  const connection_reference kept{*made};
  all_.push(*made, made->began);
  at.taken();
  counts_.accepted.add();
  counts_.open.set(all_.size());
  if (limits_.handshake > limits_.handshake.zero()) {
    handshakes_.push(*made, made->began);
  } else {
    made->established = true;
  }
  limit_unsent_of(made->socket, limits_.unsent_bytes);
  want_timer();
  if (core_.logs()) {
    core_.log({.kind = log_kind::connection_began, .id = made->id, .remote = made->remote,
               .local = made->local});
  }
  try {
    spawn(port_, core_.handler()(made->user),
          [kept](std::exception_ptr failure) { (*kept).home.handler_ended(*kept, failure); });
  } catch (...) {
    handler_ended(*made, std::current_exception());
  }
}

bool shard::shed(sheds whom) {
  connection_state* oldest = whom == sheds::idle ? idle_.first() : handshakes_.first();
  if (oldest == nullptr) return false;
  cut(*oldest, end_reason::shed);
  return true;
}

// --- told by connections ---

// Puts the connection where its state says it belongs.
void shard::settle(connection_state& c) {
  const bool idle = c.idle() && c.established && !c.cut && !c.handler_ended;
  const bool listed = c.established && list_of_waiting::contains(c);
  if (idle == listed) return;
  if (idle) {
    const auto at = now();
    idle_.push(c, at);
    want_timer(at, limits_.idle);
  } else {
    idle_.remove(c);
  }
  counts_.idle.set(idle_.size());
}

void shard::end_idle(connection_state& c) {
  note(c, end_reason::drained);
  c.stop.request_stop();
  // What had arrived is delivered all the same, and then answered.
  c.socket.cancel();
}

bool shard::read_begins(connection_state& c) {
  if (c.cut) return false;
  if (draining_ && !c.request_open && !c.writing) {
    note(c, end_reason::drained);
    return false;
  }
  c.reading = true;
  settle(c);
  return true;
}

void shard::read_ended(connection_state& c, boost::system::error_code ec, std::size_t bytes) {
  c.reading = false;
  if (bytes != 0) {
    weigh(bytes);
    c.counts.bytes_in += bytes;
    counts_.bytes_in.add(bytes);
    c.period_bytes += bytes;
    if (!limits_.explicit_handshake) established(c);
    if (!c.request_open) {
      // A drain that found it idle was a moment too early.
      if (c.reason == end_reason::drained && !c.cut) c.reason = end_reason::none;
      c.request_open = true;
      ++c.counts.requests;
      counts_.requests.add();
      c.period_bytes = bytes;
      begin_request(c);
    }
  }
  if (ec && ec != condition::aborted) note(c, reason_of(ec));
  if (ec && ec == condition::eof) c.peer_ended = true;
  settle(c);
}

void shard::write_begins(connection_state& c) {
  c.writing = true;
  settle(c);
  if (c.cut || limits_.write_stall == limits_.write_stall.zero()) return;
  const auto at = now();
  stalls_.remove(c);
  stalls_.push(c, at);
  want_timer(at, limits_.write_stall);
}

void shard::write_ended(connection_state& c, boost::system::error_code ec, std::size_t bytes) {
  c.writing = false;
  stalls_.remove(c);
  wrote(c, ec, bytes);
  after_write(c);
}

void shard::wrote_now(connection_state& c, boost::system::error_code ec, std::size_t bytes) {
  wrote(c, ec, bytes);
  // Framed is as idle as it was.
  if (!c.framed) after_write(c);
}

void shard::wrote(connection_state& c, boost::system::error_code ec, std::size_t bytes) {
  weigh(bytes);
  c.counts.bytes_out += bytes;
  counts_.bytes_out.add(bytes);
  if (ec && ec != condition::aborted) note(c, reason_of(ec));
  if (!c.framed) close_request(c);
}

// After a write.
void shard::after_write(connection_state& c) {
  settle(c);
  if (draining_ && c.idle() && !c.cut) end_idle(c);
}

void shard::next_read_is(connection_state& c, bool fresh) {
  c.framed = true;
  if (fresh) {
    close_request(c);
  } else if (!c.request_open) {
    c.request_open = true;
    begin_request(c);
  }
}

void shard::begin_request(connection_state& c) {
  if (limits_.request == limits_.request.zero() || c.cut) return;
  const auto at = now();
  requests_.push(c, at);
  want_timer(at, limits_.request);
}

void shard::close_request(connection_state& c) {
  c.request_open = false;
  requests_.remove(c);
}

void shard::established(connection_state& c) {
  if (c.established) return;
  handshakes_.remove(c);
  c.established = true;
  settle(c);
}

void shard::cut(connection_state& c, end_reason why) {
  if (c.over) return;
  note(c, why);
  if (std::exchange(c.cut, true)) return;
  const connection_reference kept{c};
  leave_lists(c);
  c.socket.close();
  const bool ends_all = why == end_reason::cut_by_drain || why == end_reason::stopped;
  if (draining_ && ends_all && !drain_told_ && !std::exchange(c.reported, true)) {
    drained_.cut.push_back({c.id, c.remote, c.reason, now() - c.began});
  }
  c.stop.request_stop();
}

void shard::leave_lists(connection_state& c) noexcept {
  (c.established ? idle_ : handshakes_).remove(c);
  requests_.remove(c);
  stalls_.remove(c);
  counts_.idle.set(idle_.size());
}

// --- the end of a connection ---

void shard::handler_ended(connection_state& c, std::exception_ptr failure) {
  c.handler_ended = true;
  if (failure) note(c, end_reason::handler_failed);
  note(c, end_reason::finished);
  leave_lists(c);
  report_end(c, failure ? text_of(failure) : std::string{});
  if (c.cut || c.peer_ended || failure || limits_.linger == limits_.linger.zero() ||
      c.reason == end_reason::peer_reset || c.reason == end_reason::io_error ||
      !c.socket.shutdown(shutdown_kind::send)) {
    finish(c);
  } else {
    linger(c);
  }
}

void shard::report_end(connection_state& c, const std::string& text) {
  const auto age = now() - c.began;
  const auto at = static_cast<std::size_t>(c.reason);
  counts_.ended[at].add();
  const double seconds = std::chrono::duration<double>(age).count();
  const auto& bounds = port_metrics::age_bounds;
  const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin();
  counts_.ages[static_cast<std::size_t>(bucket)].add();
  counts_.age_sum_ms.add(static_cast<std::uint64_t>(seconds * 1000.0));
  if (draining_ && !drain_told_ && !std::exchange(c.reported, true)) {
    drained_.finished.push_back({c.id, c.remote, c.reason, age});
  }
  if (core_.logs()) {
    core_.log({.kind = log_kind::connection_ended, .id = c.id, .remote = c.remote,
               .local = c.local, .reason = c.reason, .age = age, .bytes_in = c.counts.bytes_in,
               .bytes_out = c.counts.bytes_out, .text = text});
  }
}

// Reads and forgets until the peer has closed too: closing with unread bytes would be a reset, and
// that may overtake the last answer.
void shard::linger(connection_state& c) {
  lingering_.push(c, now());
  want_timer();
  discard(connection_reference{c});
}

void shard::discard(connection_reference kept) {
  stream& socket = (*kept).socket;
  socket.async_receive([kept = std::move(kept)](boost::system::error_code ec, received) mutable {
    connection_state& c = *kept;
    if (ec || c.over) {
      c.home.finish(c);
    } else {
      c.home.discard(std::move(kept));
    }
  });
}

void shard::finish(connection_state& c) {
  if (std::exchange(c.over, true)) return;
  lingering_.remove(c);
  c.socket.close();
  forget(c);
}

void shard::forget(connection_state& c) noexcept {
  if (!list_of_all::contains(c)) return;
  leave_lists(c);
  lingering_.remove(c);
  all_.remove(c);
  counts_.open.set(all_.size());
  core_.left(c.remote);
  if (!all_.empty()) return;
  timer_.cancel();
  armed_ = never;
  drained_one();
}

// --- deadlines ---

// Acts on who is due, at most `left` of them.
template <class List, class Act>
void shard::expire(List& list, port_clock::duration after, port_clock::time_point at,
                   unsigned& left, Act&& act) {
  for (; left != 0 && !list.empty() && list.since(*list.first()) + after <= at; --left) {
    act(*list.first());
  }
}

void shard::check_requests(port_clock::time_point at, unsigned& left) {
  expire(requests_, limits_.request, at, left, [&](connection_state& c) {
    const double seconds = std::chrono::duration<double>(limits_.request).count();
    const double wanted = seconds * limits_.request_bytes_per_second;
    if (c.reading && static_cast<double>(c.period_bytes) < wanted) {
      cut(c, end_reason::request_timeout);
      return;
    }
    requests_.remove(c);
    requests_.push(c, at);
    c.period_bytes = 0;
  });
}

port_clock::time_point shard::next_deadline() const noexcept {
  port_clock::time_point first = all_.empty() ? never : drain_deadline_;
  const auto look = [&](const auto& list, port_clock::duration after) {
    if (!list.empty() && after > after.zero()) {
      first = std::min(first, list.since(*list.first()) + after);
    }
  };
  look(handshakes_, limits_.handshake);
  look(idle_, limits_.idle);
  look(requests_, limits_.request);
  look(stalls_, limits_.write_stall);
  look(lingering_, limits_.linger);
  return first;
}

// Sets the timer when something comes before what it is set to.
void shard::want_timer() {
  const auto first = next_deadline();
  if (first >= armed_) return;
  armed_ = first;
  timer_.expires_at(first);
  try {
    timer_.async_wait([core = core_.shared_from_this(), this](boost::system::error_code ec) {
      if (!ec) return look_soon(core, 2);
      if (ec != boost::asio::error::no_memory) return;
      armed_ = never;  // or nobody would be cut any more
      want_timer();
    });
  } catch (const std::bad_alloc&) {
    armed_ = never;  // whoever does something next asks again
  }
}

// The same for a connection that has come to the end of a list: mostly nothing is to be done, as
// the list's first one is due earlier.
void shard::want_timer(port_clock::time_point began, port_clock::duration limit) {
  if (limit > limit.zero() && began + limit < armed_) want_timer();
}

// After a port was held up, what ended in time may wait to be told: two turns bring it forward
// before anybody is cut.
void shard::look_soon(const std::shared_ptr<server_core>& core, int turns) {
  if (turns == 0) {
    on_timer();
    return;
  }
  try {
    boost::asio::post(port_, [core, this, turns] { look_soon(core, turns - 1); });
  } catch (const std::bad_alloc&) {
    on_timer();  // now or never
  }
}

void shard::on_timer() {
  armed_ = never;
  const auto at = now();
  if (at >= drain_deadline_) {
    drain_deadline_ = never;
    each_in_turns(
        everybody(), 0,
        [this](connection_state& c) { cut_for_good(c, end_reason::cut_by_drain); },
        [this] { all_are_cut(); });
  }
  unsigned left = crowd_step;
  const auto cut_for = [this](end_reason why) {
    return [this, why](connection_state& c) { cut(c, why); };
  };
  expire(handshakes_, limits_.handshake, at, left, cut_for(end_reason::handshake_timeout));
  if (limits_.idle > limits_.idle.zero()) {
    expire(idle_, limits_.idle, at, left, cut_for(end_reason::idle_timeout));
  }
  check_requests(at, left);
  expire(stalls_, limits_.write_stall, at, left, cut_for(end_reason::write_stall));
  expire(lingering_, limits_.linger, at, left, [this](connection_state& c) {
    const connection_reference kept{c};
    finish(c);
  });
  if (left != 0) {
    want_timer();
    return;
  }
  armed_ = port_clock::time_point::min();
  try {
    next_turn([core = core_.shared_from_this(), this] { on_timer(); });
  } catch (const std::bad_alloc&) {
    armed_ = never;
    want_timer();
  }
}

// --- crowds ---

// Behind a look at the kernel, so that what came for others meanwhile is as near as the rest.
template <class Function>
void shard::next_turn(Function&& function) {
  core_of(port_).look_sooner(core_of(port_).options().handlers_per_turn);
  boost::asio::post(port_, std::forward<Function>(function));
}

// Who is in `whom` keeps the core, and by it the shard.
template <class Act, class Last>
void shard::each_in_turns(std::vector<connection_reference> whom, std::size_t from, Act act,
                          Last last) {
  const std::size_t to = std::min(whom.size(), from + crowd_step);
  for (; from != to; ++from) act(*whom[from]);
  if (from == whom.size()) return last();
  next_turn([this, whom = std::move(whom), from, act, last]() mutable {
    each_in_turns(std::move(whom), from, act, last);
  });
}

void shard::weigh(std::size_t bytes) noexcept {
  if (bytes < bytes_a_handler) return;
  core_of(port_).look_sooner(static_cast<unsigned>(bytes / bytes_a_handler));
}

std::vector<connection_reference> shard::everybody() {
  std::vector<connection_reference> now_here;
  now_here.reserve(all_.size());
  for (connection_state* c = all_.first(); c != nullptr; c = c->all.next) {
    now_here.emplace_back(*c);
  }
  return now_here;
}

// --- draining ---

void shard::drain_by(port_clock::time_point deadline) {
  drain_deadline_ = std::min(drain_deadline_, deadline);
  if (!std::exchange(draining_, true)) {
    auto here = everybody();
    for (const connection_reference& each : here) {
      if (!(*each).handler_ended) ++drained_.open_at_start;
    }
    const auto tell = [this](connection_state& c) {
      if (c.idle() && !c.cut) end_idle(c);
      c.stop.request_stop();
    };
    each_in_turns(std::move(here), 0, tell, [] {});
  }
  want_timer();
  drained_one();
}

void shard::cut_for_good(connection_state& c, end_reason why) {
  if (c.handler_ended) {
    finish(c);
  } else {
    cut(c, why);
  }
}

// A handler that ignores its cut is not waited for.
void shard::all_are_cut() {
  if (draining_ && !std::exchange(drain_told_, true)) core_.shard_drained(std::move(drained_));
}

void shard::stop() {
  const auto here = everybody();
  for (const connection_reference& each : here) cut_for_good(*each, end_reason::stopped);
  all_are_cut();
}

void shard::drained_one() {
  if (!draining_ || !all_.empty() || std::exchange(drain_told_, true)) return;
  core_.shard_drained(std::move(drained_));
}

port_metrics shard::metrics() const {
  port_metrics m;
  m.open = counts_.open.get();
  m.idle = counts_.idle.get();
  m.accepted = counts_.accepted.get();
  for (std::size_t i = 0; i < end_reasons; ++i) m.ended[i] = counts_.ended[i].get();
  m.requests = counts_.requests.get();
  m.bytes_in = counts_.bytes_in.get();
  m.bytes_out = counts_.bytes_out.get();
  for (std::size_t i = 0; i < m.ages.size(); ++i) m.ages[i] = counts_.ages[i].get();
  m.age_sum_ms = counts_.age_sum_ms.get();
  if (!port_ended()) m.port = port_.statistics();
  return m;
}

}  // namespace fairway::detail
