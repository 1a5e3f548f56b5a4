// The calls a channel makes on its TCP socket: none of them blocks, whatever the descriptor says.
#pragma once

#include "engine/operation.hpp"

#include <boost/system/error_code.hpp>

#include <cstddef>

namespace fairway::detail::shm::tcp {

struct outcome {
  std::size_t bytes = 0;
  int error = 0;  // of the system; zero with no bytes: the end of the stream
};

outcome receive(native_handle socket, const io_vec* into, unsigned count) noexcept;
outcome send(native_handle socket, const io_vec* from, unsigned count) noexcept;
bool readable(native_handle socket) noexcept;
bool writable(native_handle socket) noexcept;
int shutdown_send(native_handle socket) noexcept;  // an error of the system, or zero
// The close that follows sends a reset and leaves no TIME_WAIT (SO_LINGER, zero seconds).
void reset_when_closed(native_handle socket) noexcept;
// The user asked for that (SO_LINGER).
bool closes_by_reset(native_handle socket) noexcept;
bool is_would_block(int error) noexcept;
boost::system::error_code as_error(int error) noexcept;
#if defined(_WIN32)
// Calls that are not overlapped block on a socket unless it says otherwise.
bool set_blocking(native_handle socket, bool blocking) noexcept;
#endif

}  // namespace fairway::detail::shm::tcp
