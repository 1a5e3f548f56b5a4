// The calls a channel makes on its TCP socket: none of them blocks, whatever the descriptor says.
#pragma once

#include <fairway/engine/detail/initiate.hpp>

#include <boost/system/error_code.hpp>

#include <cstddef>

namespace fairway::detail::shm::tcp {

struct outcome {
  std::size_t bytes = 0;
  int error = 0;  // of the system; zero with no bytes: the end of the stream
};

outcome receive(int fd, const io_vec* into, unsigned count) noexcept;
outcome send(int fd, const io_vec* from, unsigned count) noexcept;
bool readable(int fd) noexcept;
bool writable(int fd) noexcept;
int shutdown_send(int fd) noexcept;  // an error of the system, or zero
// The close that follows sends a reset and leaves no TIME_WAIT (SO_LINGER, zero seconds).
void reset_when_closed(int fd) noexcept;
// The user asked for that (SO_LINGER).
bool closes_by_reset(int fd) noexcept;
bool is_would_block(int error) noexcept;
boost::system::error_code as_error(int error) noexcept;

}  // namespace fairway::detail::shm::tcp
