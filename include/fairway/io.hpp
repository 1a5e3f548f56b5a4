#pragma once

// async_read, async_write and async_read_until, whose token may be left out.
//
//   result<std::size_t> size = co_await fairway::async_write(stream, boost::asio::buffer(text));
//
// With a token each name is Boost.Asio's own function, brought in by a using-declaration. Without
// one it is that function called with as_result(use_awaitable), so that `co_await` yields a result;
// that needs a stream whose executor has no default token in Asio's sense, as Fairway's have none,
// and works on any other stream of that kind too. The names mean the same whether they are found
// through fairway, through boost::asio, through both, or by argument-dependent look-up.
//
// The result drops the count of what was transferred before an error; where it matters, pass
// as_tuple(boost::asio::deferred).
//
// Cancellation and threads: as the stream's async_read_some and async_write_some.
// Lifetime: the stream and the memory behind the buffers stay until completion; buffer objects and
// delimiters are copied.

#include <fairway/as_result.hpp>
#include <fairway/net/detail/at_once.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/completion_condition.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace fairway {

namespace detail {

template <class Stream>
concept stream_without_default_token =
    std::is_void_v<boost::asio::default_completion_token_t<typename Stream::executor_type>>;

// For a Fairway stream this is `default_token`.
template <class Stream>
using token_for = as_result_t<boost::asio::use_awaitable_t<typename Stream::executor_type>>;

// By these very types a completion condition is told from a token: as an argument alone, a
// condition of the user's own looks like a callback.
using transfer_all = decltype(boost::asio::transfer_all());
using transfer_at_least = decltype(boost::asio::transfer_at_least(0));
using transfer_exactly = decltype(boost::asio::transfer_exactly(0));

}  // namespace detail

using boost::asio::async_read;
using boost::asio::async_read_until;
using boost::asio::async_write;

/// Fills a mutable buffer sequence, or reads into a dynamic buffer until it is full.
///
/// Returns: the bytes read. Errors: eof when the stream ended before.
template <detail::stream_without_default_token Stream, class Buffers>
auto async_read(Stream& stream, Buffers&& buffers)
{
  using boost::asio::is_mutable_buffer_sequence;
  if constexpr (detail::transfers_at_once<Stream> &&
                is_mutable_buffer_sequence<std::decay_t<Buffers>>::value) {
    if (stream.may_end_now(detail::wait_side::read)) {
      return detail::read_whole<Stream, std::decay_t<Buffers>>(stream,
                                                               std::forward<Buffers>(buffers));
    }
  }
  return boost::asio::async_read(stream, std::forward<Buffers>(buffers),
                                 detail::token_for<Stream>{});
}

/// Reads into a buffer sequence or dynamic buffer until it is full or one of Asio's completion
/// conditions holds. A condition of your own needs the token spelled out, `default_token{}`.
template <detail::stream_without_default_token Stream, class Buffers>
auto async_read(Stream& stream, Buffers buffers, detail::transfer_all until)
{
  return boost::asio::async_read(stream, std::move(buffers), until, detail::token_for<Stream>{});
}

template <detail::stream_without_default_token Stream, class Buffers>
auto async_read(Stream& stream, Buffers buffers, detail::transfer_at_least until)
{
  return boost::asio::async_read(stream, std::move(buffers), until, detail::token_for<Stream>{});
}

template <detail::stream_without_default_token Stream, class Buffers>
auto async_read(Stream& stream, Buffers buffers, detail::transfer_exactly until)
{
  return boost::asio::async_read(stream, std::move(buffers), until, detail::token_for<Stream>{});
}

/// Writes all of a buffer sequence, or all that a dynamic buffer holds, consuming it.
///
/// Returns: the bytes written.
template <detail::stream_without_default_token Stream, class Buffers>
auto async_write(Stream& stream, Buffers&& buffers)
{
  using boost::asio::is_const_buffer_sequence;
  if constexpr (detail::transfers_at_once<Stream> &&
                is_const_buffer_sequence<std::decay_t<Buffers>>::value) {
    if (stream.may_end_now(detail::wait_side::write)) {
      return detail::write_whole<Stream, std::decay_t<Buffers>>(stream,
                                                                std::forward<Buffers>(buffers));
    }
  }
  return boost::asio::async_write(stream, std::forward<Buffers>(buffers),
                                  detail::token_for<Stream>{});
}

/// Writes from a buffer sequence or dynamic buffer until it is empty or one of Asio's completion
/// conditions holds.
template <detail::stream_without_default_token Stream, class Buffers>
auto async_write(Stream& stream, Buffers buffers, detail::transfer_all until)
{
  return boost::asio::async_write(stream, std::move(buffers), until, detail::token_for<Stream>{});
}

template <detail::stream_without_default_token Stream, class Buffers>
auto async_write(Stream& stream, Buffers buffers, detail::transfer_at_least until)
{
  return boost::asio::async_write(stream, std::move(buffers), until, detail::token_for<Stream>{});
}

template <detail::stream_without_default_token Stream, class Buffers>
auto async_write(Stream& stream, Buffers buffers, detail::transfer_exactly until)
{
  return boost::asio::async_write(stream, std::move(buffers), until, detail::token_for<Stream>{});
}

/// Reads into a dynamic buffer until it holds a match: a character, a string, a regular expression
/// or a match condition.
///
/// Returns: the bytes up to and including the match. The buffer may hold more behind it.
/// Errors: `boost::asio::error::not_found` when the buffer is full without a match, eof.
template <detail::stream_without_default_token Stream, class DynamicBuffer, class Match>
auto async_read_until(Stream& stream, DynamicBuffer&& buffer, Match&& match)
{
  return boost::asio::async_read_until(stream, std::forward<DynamicBuffer>(buffer),
                                       std::forward<Match>(match), detail::token_for<Stream>{});
}

}  // namespace fairway
