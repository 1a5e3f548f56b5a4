// Control codes of sockets, awaited: what WSAIoctl is on Windows, with or without WSAOVERLAPPED.
//
//   auto socket = fairway::unconnected_socket::open(port, fairway::endpoint_family::v4).value();
//   auto asked = co_await fairway::async_control(socket, fairway::loopback_fast_path{true});
//   co_await fairway::async_control(socket, fairway::address_list_change{});   // waits for it
//   auto now = fairway::control(stream, fairway::tcp_information{});            // at once
//
// The object is a stream, a listener, a datagram or an unconnected socket. One control code may be
// in flight an object, beside its reads and writes; a second ends with "operation in progress".
//
// Delivery. `dispatch::overlapped` is an operation like others: a packet in the port's queue.
// `dispatch::routine` is a completion routine, which the system runs on the port's thread while the
// port waits; it only queues the operation. A socket that has joined a port refuses routines, and
// joins with its first overlapped operation: asking then is routine_on_port, without a call. A
// routine belongs to the thread that asked, so a call from another thread, or while nobody
// runs the port, is made when the port runs next; when that thread ends, so does the operation,
// with operation aborted. Linux has no routines; there both are the port's queue.
//
// Cost: no allocation for a command whose answer has no list, once the object had its first. On
// io_uring since Linux 6.7 SIOCINQ, SIOCOUTQ and socket options go through the ring (reading only
// those of SOL_SOCKET); everything else is a system call at the start.
//
// Sources: Microsoft's pages on WSAIoctl and WSPIoctl; io_uring(7), rtnetlink(7), tcp(7).
// Threads, lifetime: as for `stream`.
#pragma once

#include <fairway/as_result.hpp>
#include <fairway/net/control_commands.hpp>
#include <fairway/net/detail/control.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>

namespace fairway {

/// Gives `command` to the system and completes with its answer.
/// Completes when the system has answered; commands that wait, when what they wait for happens.
/// Errors: operation aborted (cancel, close, SIO_FLUSH, the end of the thread for a routine);
/// in progress; the command's own; not supported where it has no meaning; bad descriptor after
/// close.
/// Cancellation: terminal, partial and total; an answer that was there is delivered.
/// Lifetime: input and output belong to the operation, and live until the system has let go.
template <class Object, control_command Command, class Token = default_token>
auto async_control(Object& object, const Command& command, dispatch how,
                   Token&& token = default_token{}) {
  return boost::asio::async_initiate<
      Token, void(boost::system::error_code, typename Command::output)>(
      detail::initiation<detail::control_operation<Command>>{}, token,
      detail::object_access::get(object), command, how);
}
template <class Object, control_command Command>
auto async_control(Object& object, const Command& command) {
  return async_control(object, command, dispatch::overlapped, default_token{});
}
template <class Object, control_command Command, class Token>
  requires(!std::same_as<std::decay_t<Token>, dispatch>)
auto async_control(Object& object, const Command& command, Token&& token) {
  return async_control(object, command, dispatch::overlapped, std::forward<Token>(token));
}

/// The same at once, without an operation.
/// Errors: the command's own; would_block (of boost::asio::error) for one that waits for an event.
template <class Object, control_command Command>
result<typename Command::output> control(Object& object, const Command& command) {
  detail::control_request request;
  detail::encode(command, request);
  if (const auto ec = detail::control_now(detail::object_access::get(object), request)) return ec;
  return Command::decode(request);
}

}  // namespace fairway
