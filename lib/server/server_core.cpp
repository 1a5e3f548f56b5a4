#include "server/server_core.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

namespace fairway::detail {

namespace {

// Before accepting is tried again, as a listener does that has no descriptors left.
constexpr std::chrono::milliseconds memory_pause{100};

// Two drains at once share the earlier end.
port_clock::time_point in(const completion_port& port, port_clock::duration time) noexcept {
  const auto start = port.now();
  return time > port_clock::time_point::max() - start ? port_clock::time_point::max()
                                                      : start + time;
}

}  // namespace

server_core::server_core(std::vector<completion_port*> ports, connection_handler handler,
                         server_options options, std::function<void()> stop_ports)
    : ports_{std::move(ports)},
      handler_{std::move(handler)},
      options_{std::move(options)},
      stop_ports_{std::move(stop_ports)},
      admission_{options_.limits},
      pacer_{options_.limits.accepts_per_second} {
  for (completion_port* port : ports_) shards_.push_back(std::make_unique<shard>(*port, *this));
}

// Runs `function` on a port's thread: at once when that is this one, never when the port has gone.
template <class Function>
void server_core::on_port(std::size_t index, Function&& function) {
  if (shards_[index]->port_ended()) return;
  boost::asio::dispatch(*ports_[index], [self = shared_from_this(),
                                         function = std::forward<Function>(function)]() mutable {
    function(*self);
  });
}

// --- accepting ---

result<endpoint> server_core::listen(const endpoint& local) {
  if (ending_.load(std::memory_order_acquire)) return error::drained;
  BOOST_OUTCOME_TRY(auto opened, listener::open(first_port(), local, options_.listen));
  BOOST_OUTCOME_TRY(const endpoint bound, opened.local_endpoint());
  listeners_.emplace_back(first_port(), std::move(opened), bound);
  log({.kind = log_kind::listening, .local = bound});
  spawn(first_port(), accept_all(shared_from_this(), listeners_.back()));
  return bound;
}

task<> server_core::accept_all(std::shared_ptr<server_core> self, listening& at) {
  (void)self;  // keeps what follows alive
  while (!ending_.load(std::memory_order_acquire)) {
    if (options_.limits.full == when_full::pause && !admission_.has_room()) {
      co_await wait_for_room(at);
      continue;
    }
    if (const auto wait = pacer_.take(first_port().now()); wait > wait.zero()) {
      paused();
      at.pacing.expires_after(wait);
      (void)co_await at.pacing.async_wait();
      continue;
    }
    bool out_of_memory = false;
    try {
      const std::size_t to = turn_++ % ports_.size();
      auto accepted = co_await at.socket.async_accept(*ports_[to]);
      if (accepted) {
        stream came = std::move(accepted).value();
        const auto remote = came.remote_endpoint();
        if (!remote) continue;  // gone already
        // Another listener's accept may have been given the last place meanwhile.
        while (!take(came, remote.value(), to)) co_await wait_for_room(at);
      } else if (accepted.error() == boost::asio::error::no_memory) {
        out_of_memory = true;
      } else {
        if (!ending_.load(std::memory_order_acquire)) failed(at, accepted.error());
        co_return;
      }
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
    }
    if (!out_of_memory) continue;
    // That connection is lost; the next one need not be.
    at.pacing.expires_after(memory_pause);
    (void)co_await at.pacing.async_wait();
  }
}

// Closed: a client is refused then, instead of waiting for nobody.
void server_core::failed(listening& at, const boost::system::error_code& ec) {
  at.socket.close();
  listeners_failed_.add();
  log({.kind = log_kind::accept_failed, .local = at.local, .ec = ec});
}

task<> server_core::wait_for_room(listening& at) {
  // seq_cst: either this sees the place that became free, or `left` sees the flag.
  full_.store(true, std::memory_order_seq_cst);
  if (admission_.has_room()) co_return;
  paused();
  at.pause.expires_at(port_clock::time_point::max());
  (void)co_await at.pause.async_wait();
}

bool server_core::take(stream& socket, const endpoint& remote, std::size_t to) {
  if (ending_.load(std::memory_order_acquire)) {
    refuse(std::move(socket), remote, &server_core::refused_draining_, "draining");
    return true;
  }
  switch (admission_.enter(remote)) {
    case admission::verdict::admitted:
      place(std::move(socket), {shared_from_this(), remote}, to);
      return true;
    case admission::verdict::peer:
      refuse(std::move(socket), remote, &server_core::refused_peer_, "peer");
      return true;
    case admission::verdict::full: break;
  }
  switch (options_.limits.full) {
    case when_full::pause: return false;
    case when_full::refuse:
      refuse(std::move(socket), remote, &server_core::refused_full_, "full");
      break;
    case when_full::shed_idle:
      // Counted at once: what its peer opens meanwhile is to find it.
      admission_.enter_over_limit(remote);
      shed_for(std::move(socket), {shared_from_this(), remote}, to, 0);
      break;
  }
  return true;
}

// Who is idle is known by each port's own thread: asks the port of the new connection, then the
// others in turn; and all of them once more for one in its handshake.
void server_core::shed_for(stream socket, given_place<server_core> place_of_it, std::size_t to,
                           std::size_t asked) {
  const std::size_t ports = shards_.size();
  if (asked == 2 * ports) {
    return refuse(std::move(socket), place_of_it.remote(), &server_core::refused_full_, "full");
  }
  const std::size_t at = (to + asked) % ports;
  const auto whom = asked < ports ? shard::sheds::idle : shard::sheds::handshake;
  on_port(at, [s = std::move(socket), p = std::move(place_of_it), to, asked, at,
               whom](server_core& self) mutable {
    if (self.shards_[at]->shed(whom)) return self.place(std::move(s), std::move(p), to);
    self.shed_for(std::move(s), std::move(p), to, asked + 1);
  });
}

void server_core::place(stream socket, given_place<server_core> at, std::size_t to) {
  on_port(to, [s = std::move(socket), p = std::move(at), to](server_core& self) mutable {
    shard& home = *self.shards_[to];
    if (home.draining()) {
      return self.refuse(std::move(s), p.remote(), &server_core::refused_draining_, "draining");
    }
    try {
      home.begin(self.shared_from_this(), std::move(s), std::move(p));
    } catch (const std::bad_alloc&) {
      // Closed, with its place given back: the others of this port go on.
    }
  });
}

void server_core::refuse(stream socket, const endpoint& remote, tally server_core::*count,
                         std::string_view why) {
  on_port(0, [s = std::move(socket), remote, count, why](server_core& self) mutable {
    s.close();
    (self.*count).add();
    self.log({.kind = log_kind::connection_refused, .remote = remote, .text = std::string{why}});
  });
}

void server_core::paused() {
  accept_pauses_.add();
  const auto now = first_port().now();
  if (now - last_pause_logged_ < std::chrono::seconds{1}) return;
  last_pause_logged_ = now;
  log({.kind = log_kind::accept_paused});
}

void server_core::left(const endpoint& remote) {
  admission_.leave(remote);
  if (shards_[0]->port_ended() || !full_.exchange(false, std::memory_order_seq_cst)) return;
  try {
    boost::asio::post(first_port(), [self = shared_from_this()] {
      for (listening& each : self->listeners_) each.pause.cancel();
    });
  } catch (const std::bad_alloc&) {
    full_.store(true, std::memory_order_seq_cst);  // the next one that leaves tells
  }
}

// --- the end ---

void server_core::close_listeners() {
  ending_.store(true, std::memory_order_release);
  for (listening& each : listeners_) {
    each.socket.close();
    each.pause.cancel();
    each.pacing.cancel();
  }
}

void server_core::begin_drain(port_clock::duration deadline, drain_done done) {
  on_port(0, [at = in(first_port(), deadline), done = std::move(done)](server_core& self) mutable {
    self.drain_from_here(at, std::move(done));
  });
}

void server_core::drain_from_here(port_clock::time_point deadline, drain_done done) {
  if (drained_) {
    if (done) done(deliver::queued, {}, report());
    return;
  }
  if (done) drain_waiters_.push_back(std::move(done));
  if (!std::exchange(draining_, true)) {
    drain_began_ = first_port().now();
    shards_left_ = shards_.size();
    log({.kind = log_kind::drain_began});
    close_listeners();
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    // Never inside this call: a handler that drains goes on first.
    boost::asio::post(*ports_[i], [self = shared_from_this(), i, deadline] {
      self->shards_[i]->drain_by(deadline);
    });
  }
}

void server_core::shard_drained(drain_report part) {
  on_port(0, [part = std::move(part)](server_core& self) mutable {
    {
      std::lock_guard lock{self.report_mutex_};
      drain_report& all = self.report_;
      all.open_at_start += part.open_at_start;
      all.finished.insert(all.finished.end(), part.finished.begin(), part.finished.end());
      all.cut.insert(all.cut.end(), part.cut.begin(), part.cut.end());
    }
    if (--self.shards_left_ == 0) self.end_drain();
  });
}

void server_core::end_drain() {
  drained_ = true;
  {
    std::lock_guard lock{report_mutex_};
    report_.took = first_port().now() - drain_began_;
  }
  log({.kind = log_kind::drain_ended, .text = report().text()});
  for (drain_done& each : std::exchange(drain_waiters_, {})) {
    each(deliver::queued, {}, report());
  }
  if (signals_) {
    signals_->cancel();
    stop_ports_();
  }
}

bool server_core::discard_drain_waiters() noexcept {
  const auto kept = weak_from_this().lock();  // who waits may own the server
  const auto ended = std::exchange(drain_waiters_, {});
  return !ended.empty();
}

void server_core::stop() {
  on_port(0, [](server_core& self) {
    self.close_listeners();
    if (self.signals_) self.signals_->cancel();
  });
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    on_port(i, [i](server_core& self) { self.shards_[i]->stop(); });
  }
}

void server_core::drain_on_signals() {
  signals_.emplace(first_port(),
                   std::initializer_list{signal_kind::interrupt, signal_kind::terminate});
  spawn(first_port(), [self = shared_from_this()]() -> task<> {
    if (!co_await self->signals_->async_wait()) co_return;
    self->drain_from_here(in(self->first_port(), self->options_.drain_deadline), {});
    if (!co_await self->signals_->async_wait()) co_return;
    self->stop();
    self->stop_ports_();
  });
}

server_metrics server_core::metrics() const {
  server_metrics all;
  for (const auto& each : shards_) all.ports.push_back(each->metrics());
  all.refused_full = refused_full_.get();
  all.refused_peer = refused_peer_.get();
  all.refused_draining = refused_draining_.get();
  all.accept_pauses = accept_pauses_.get();
  all.listeners_failed = listeners_failed_.get();
  return all;
}

drain_report server_core::report() const {
  std::lock_guard lock{report_mutex_};
  return report_;
}

}  // namespace fairway::detail
