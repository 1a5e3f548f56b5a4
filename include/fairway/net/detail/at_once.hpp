// A small transfer of a coroutine that need not wait: done without an operation.
//
// A completion comes through the port's queue, which costs about a thousand instructions with the
// coroutine's part of it. A coroutine does not need it: `co_await` of what has ended just goes on.
// So the default token's functions try first, on the port's thread, and begin an operation only
// for what has to wait, is large, or comes after so many of these in one handler. Where a try could
// give nothing, as things are when the function is called, they are use_awaitable's, which wait at
// less cost.
//
// Threads and lifetime: as the functions that use it.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/net/detail/transfer.hpp>
#include <fairway/result.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <cstddef>
#include <utility>

namespace fairway::detail {

using transferred = boost::asio::awaitable<result<std::size_t>, port_executor>;

// What a coroutine awaits without a frame of its own.
using awaited_token = as_result_t<boost::asio::deferred_t>;

template <class Op, class Buffers>
transferred transfer_at_once(io_object* object, Buffers buffers) {
  if (const step moved = Op::now(*object, buffer_list{buffers})) co_return *moved;
  awaited_token token{boost::asio::deferred};
  co_return co_await boost::asio::async_initiate<awaited_token, void(boost::system::error_code,
                                                                     std::size_t)>(
      initiation<Op>{}, token, object, buffers);
}

// Streams that the functions of io.hpp try first.
template <class Stream>
concept transfers_at_once = requires(Stream& s, const buffer_list& pieces) {
  s.may_end_now(wait_side::read);
  s.read_now(pieces, std::size_t{});
  s.write_now(pieces);
};

// Empty for a sequence of more pieces than a list has: only a part would be done.
template <class Stream, class Buffers>
step write_whole_now(Stream& stream, const Buffers& buffers) {
  const buffer_list pieces{buffers};
  return pieces.full() ? step{} : stream.write_now(pieces);
}

template <class Stream, class Buffers>
step read_whole_now(Stream& stream, const Buffers& buffers) {
  const buffer_list pieces{buffers};
  return pieces.full() ? step{} : stream.read_now(pieces, boost::asio::buffer_size(buffers));
}

// What the kernel did not take at once of a sequence with one piece that is not empty.
template <class Buffers>
boost::asio::const_buffer rest_of(const Buffers& buffers, std::size_t put) noexcept {
  const buffer_list pieces{buffers};
  return boost::asio::const_buffer{pieces.data()->data, pieces.data()->size} + put;
}

template <class Stream, class Buffers>
transferred write_whole(Stream& stream, Buffers buffers) {
  awaited_token token{boost::asio::deferred};
  const step put = write_whole_now(stream, buffers);
  if (!put) co_return co_await boost::asio::async_write(stream, std::move(buffers), token);
  const std::size_t size = boost::asio::buffer_size(buffers);
  if (!*put || put->value() == size) co_return *put;
  auto more = co_await boost::asio::async_write(stream, rest_of(buffers, put->value()), token);
  if (!more) co_return more;
  co_return size;
}

template <class Stream, class Buffers>
transferred read_whole(Stream& stream, Buffers buffers) {
  if (const step got = read_whole_now(stream, buffers)) co_return *got;
  co_return co_await boost::asio::async_read(stream, std::move(buffers),
                                             awaited_token{boost::asio::deferred});
}

}  // namespace fairway::detail
