// Results and errors: one vocabulary on every engine.
//
// `result<T>` is Boost.Outcome's with `boost::system::error_code`: a value or an error, never both.
// The codes are the system's own (errno, Winsock and Win32 values) and Asio's, so Asio's names
// compare equal: `ec == boost::asio::error::operation_aborted`. To ask what happened without
// knowing the system, compare with a `condition`:
//
//   if (ec == fairway::condition::reset) ...
//
// A code has at most one condition, so a chain of comparisons needs no order. Codes of name
// look-ups have none, and neither has what is no failure of a connection (would block, ...).
// `error` is Fairway's own category, for what no system has a word for.
//
// Comparing costs two look-ups in a table and no allocation. Threads: any.
#pragma once

#include <boost/outcome/boost_result.hpp>
#include <boost/outcome/try.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>

#include <type_traits>

namespace fairway {

/// A T, or the error code that says why there is none.
/// Example: `BOOST_OUTCOME_TRY(auto opened, listener::open(port, local));`
template <class T>
using result = boost::outcome_v2::boost_result<T>;

/// What happened, whatever the system calls it.
enum class condition {
  aborted = 1,       // cancelled or closed by this side
  eof,               // the peer ended its stream in order
  reset,             // cut by the peer or on the way, or no longer open for writing
  refused,           // nobody listens there
  unreachable,       // no route to the host or network
  timed_out,         // a deadline of ours, or the system's
  address_in_use,    // another socket has the endpoint
  access_denied,     // a right is missing, or a rule of the system forbids it
  no_descriptors,    // out of descriptors or handles, or of the system memory that sockets take
  invalid_argument,  // the system, or a range check, refused a value
  not_supported,     // this system has no such operation, option, protocol or address family
  not_a_socket,      // closed already, or never a socket
  network_down,      // the network itself is switched off
  bad_address,       // memory that may not be read or written
  in_progress,       // an operation of this kind is in flight already
  interrupted        // a signal came first
};

/// What Fairway reports on top of the system's codes.
enum class error {
  frame_too_large = 1,  // a frame is longer than the limit set for it
  protocol_violation,   // the peer sent what its protocol does not allow
  peer_broke_the_ring,  // shared memory holds what no correct peer writes
  drained,              // refused because a server is ending
  frame_truncated,      // the stream ended inside a frame
  // Control codes and socket options; a condition in brackets compares equal.
  routine_on_port,             // the socket has joined a port: no routines [invalid_argument]
  too_late,                    // to be asked before connect or listen [invalid_argument]
  wrong_kind_of_socket,        // a command of other sockets [invalid_argument]
  option_off_fast_path,        // has no effect on the stream's fast path [not_supported]
  conditional_accept_refused,  // it and the kernel's fast path crash together [invalid_argument]
  // Streams in shared memory.
  ring_is_held  // a view that is out has all the room of what is asked for (stream.hpp)
};

/// The category of `condition`, named "fairway.condition".
const boost::system::error_category& condition_category() noexcept;
/// The category of `error`, named "fairway".
const boost::system::error_category& fairway_category() noexcept;

inline boost::system::error_condition make_error_condition(condition c) noexcept {
  return {static_cast<int>(c), condition_category()};
}
inline boost::system::error_code make_error_code(error e) noexcept {
  return {static_cast<int>(e), fairway_category()};
}

namespace detail {
// The condition of a native code; zero when none fits. Both tables exist on every platform;
// errno values are those of the platform.
int condition_of_windows(int code) noexcept;
int condition_of_errno(int code) noexcept;
}  // namespace detail

}  // namespace fairway

namespace boost::system {
template <>
struct is_error_condition_enum<fairway::condition> : std::true_type {};
template <>
struct is_error_code_enum<fairway::error> : std::true_type {};
}  // namespace boost::system
