#include "server/connection_state.hpp"

#include "server/server_core.hpp"
#include "server/shard.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <utility>

namespace fairway {

namespace detail {

connection_state::connection_state(std::shared_ptr<server_core> c, shard& s, std::uint64_t number,
                                   stream from, const endpoint& peer)
    : core{std::move(c)}, home{s}, id{number}, socket{std::move(from)}, remote{peer},
      began{s.port().now()} {
  if (auto bound = socket.local_endpoint()) local = bound.value();
}

connection_state::~connection_state() { home.forget(*this); }

void retain(connection_state& c) noexcept { ++c.references; }

void release(connection_state& c) noexcept {
  assert(c.references != 0);
  if (--c.references != 0) return;
  // The last connection of a server that is gone: the core must survive the destructor.
  const std::shared_ptr<server_core> kept = c.core;
  delete &c;
}

stream& socket_of(connection_state& c) noexcept { return c.socket; }

bool read_begins(connection_state& c) noexcept { return c.home.read_begins(c); }

boost::system::error_code read_refusal(const connection_state&) noexcept {
  return boost::asio::error::operation_aborted;
}

void read_ended(connection_state& c, boost::system::error_code ec, std::size_t bytes) noexcept {
  c.home.read_ended(c, ec, bytes);
}

void write_begins(connection_state& c) noexcept { c.home.write_begins(c); }

void write_ended(connection_state& c, boost::system::error_code ec, std::size_t bytes) noexcept {
  c.home.write_ended(c, ec, bytes);
}

void wrote_now(connection_state& c, boost::system::error_code ec, std::size_t bytes) noexcept {
  c.home.wrote_now(c, ec, bytes);
}

void next_read_is(connection_state& c, bool fresh) noexcept { c.home.next_read_is(c, fresh); }

namespace {
connection_state& state_of(const connection_stream& s) noexcept { return s.state(); }
}  // namespace

}  // namespace detail

using detail::state_of;

void connection_stream::close() {
  state_->home.cut(*state_, end_reason::closed_by_handler);
}

std::uint64_t connection::id() const noexcept { return state_of(stream_).id; }
const endpoint& connection::remote_endpoint() const noexcept { return state_of(stream_).remote; }
const endpoint& connection::local_endpoint() const noexcept { return state_of(stream_).local; }
completion_port& connection::port() const noexcept { return state_of(stream_).home.port(); }
connection_counters connection::counters() const noexcept { return state_of(stream_).counts; }
port_clock::duration connection::age() const noexcept {
  return port().now() - state_of(stream_).began;
}
std::stop_token connection::stop_token() const noexcept {
  return state_of(stream_).stop.get_token();
}
void connection::established() noexcept {
  state_of(stream_).home.established(state_of(stream_));
}
void connection::close(end_reason why) { state_of(stream_).home.cut(state_of(stream_), why); }
end_reason connection::reason() const noexcept { return state_of(stream_).reason; }

}  // namespace fairway
