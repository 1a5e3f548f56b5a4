// A counted reference to the state of a connection, and what its stream tells that state.
//
// Threads: the connection's port, or any while nobody runs it; the count is a plain number.
#pragma once

#include <boost/system/error_code.hpp>

#include <cstddef>
#include <utility>

namespace fairway {
class stream;
}

namespace fairway::detail {

struct connection_state;

void retain(connection_state& c) noexcept;
void release(connection_state& c) noexcept;
stream& socket_of(connection_state& c) noexcept;

// False: the server drains, or the connection was cut, and nothing new is read.
bool read_begins(connection_state& c) noexcept;
boost::system::error_code read_refusal(const connection_state& c) noexcept;
void read_ended(connection_state& c, boost::system::error_code ec, std::size_t bytes) noexcept;
void write_begins(connection_state& c) noexcept;
void write_ended(connection_state& c, boost::system::error_code ec, std::size_t bytes) noexcept;
// A write without an operation.
void wrote_now(connection_state& c, boost::system::error_code ec, std::size_t bytes) noexcept;
void next_read_is(connection_state& c, bool fresh) noexcept;

class connection_reference {
 public:
  explicit connection_reference(connection_state& c) noexcept : state_{&c} { retain(c); }
  connection_reference(const connection_reference& other) noexcept : state_{other.state_} {
    if (state_ != nullptr) retain(*state_);
  }
  connection_reference(connection_reference&& other) noexcept
      : state_{std::exchange(other.state_, nullptr)} {}
  connection_reference& operator=(connection_reference other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~connection_reference() {
    if (state_ != nullptr) release(*state_);
  }
  connection_state& operator*() const noexcept { return *state_; }

 private:
  connection_state* state_;  // null: moved from
};

}  // namespace fairway::detail
