// Results and errors: one vocabulary on every engine.
//
// `result<T>` is Boost.Outcome's with `boost::system::error_code`: a value or an error, never both.
// The codes are the system's own (errno, Winsock and Win32 values) and Asio's, so Asio's names
// compare equal: `ec == boost::asio::error::operation_aborted`. To ask what happened without
// knowing the system, compare with a `condition`:
//
//   if (ec == fairway::condition::reset) ...
//
// `error` is Fairway's own category, for what no system has a word for.
#pragma once

#include <boost/outcome/boost_result.hpp>
#include <boost/outcome/try.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>

#include <type_traits>

namespace fairway {

template <class T>
using result = boost::outcome_v2::boost_result<T>;

// What happened, whatever the system calls it.
enum class condition {
  aborted = 1,       // cancelled or closed by this side
  eof,               // the peer ended its stream in order
  reset,             // the peer cut the connection, or is gone
  refused,           // nobody listens there
  unreachable,       // no route to the host or network
  timed_out,         // a deadline of ours, or the system's
  address_in_use,
  access_denied,
  no_descriptors,    // out of descriptors or handles, of the process or the system
  invalid_argument,
  not_supported,
  not_a_socket,
  network_down,
  bad_address,       // memory that may not be read or written
  in_progress,       // an operation of this kind is in flight already
  interrupted
};

enum class error {
  frame_too_large = 1,
  protocol_violation,
  peer_broke_the_ring,
  drained
};

const boost::system::error_category& condition_category() noexcept;
const boost::system::error_category& fairway_category() noexcept;

inline boost::system::error_condition make_error_condition(condition c) noexcept {
  return {static_cast<int>(c), condition_category()};
}
inline boost::system::error_code make_error_code(error e) noexcept {
  return {static_cast<int>(e), fairway_category()};
}

namespace detail {
// The condition of a native code; zero when none fits. Both tables exist on every platform.
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
