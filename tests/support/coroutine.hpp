// Coroutines on a port with nothing but the engine and Asio.
#pragma once

#include <fairway/engine/executor.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace support {

template <class T = void>
using coroutine = boost::asio::awaitable<T, fairway::port_executor>;

inline constexpr boost::asio::use_awaitable_t<fairway::port_executor> use_coroutine;

}  // namespace support
