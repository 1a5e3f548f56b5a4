// What framed asks of a stream beyond Asio's AsyncReadStream and AsyncWriteStream.
#pragma once

#include <fairway/net/stream.hpp>

#include <boost/system/error_code.hpp>

#include <type_traits>

namespace fairway::detail {

// Streams that receive into buffers of their own: Fairway's, and whatever names a `received_type`.
template <class Stream>
inline constexpr bool has_receive = requires { typename Stream::received_type; };
template <>
inline constexpr bool has_receive<stream> = true;

// Streams that may write without an operation.
template <class Stream>
inline constexpr bool writes_now =
    requires(Stream& s, const buffer_list& pieces) { s.write_now(pieces); };

// Asio's executors and Fairway's tell whether they run the caller; others are trusted to.
template <class Executor>
bool runs_here(const Executor& executor) noexcept {
  if constexpr (requires { executor.running_in_this_thread(); }) {
    return executor.running_in_this_thread();
  } else {
    return true;
  }
}

// Ends what is in flight and closes, at the lowest layer that can.
template <class Stream>
void close_stream(Stream& s) {
  boost::system::error_code ignored;
  if constexpr (requires { s.close(ignored); }) {
    s.close(ignored);
  } else if constexpr (requires { s.close(); }) {
    (void)s.close();
  } else if constexpr (requires { s.next_layer(); }) {
    close_stream(s.next_layer());
  }
}

template <class Stream>
void cancel_stream(Stream& s) {
  if constexpr (requires { s.cancel(); }) {
    (void)s.cancel();
  } else if constexpr (requires { s.next_layer(); }) {
    cancel_stream(s.next_layer());
  }
}

}  // namespace fairway::detail
