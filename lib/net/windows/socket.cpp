#include "net/socket.hpp"

#include "engine/iocp/winsock.hpp"

#include <boost/asio/error.hpp>

namespace fairway::detail::sockets {

namespace {

using iocp::socket_of;

boost::system::error_code last_error() noexcept {
  return iocp::system_error_code(::WSAGetLastError());
}

const sockaddr* address_of(const endpoint& e) noexcept {
  return static_cast<const sockaddr*>(e.data());
}

result<void> checked(int returned) {
  if (returned != 0) return last_error();
  return boost::outcome_v2::success();
}

template <class Call>
result<endpoint> name_of(native_handle handle, Call call) {
  sockaddr_storage storage{};
  int size = sizeof storage;
  if (call(socket_of(handle), reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return last_error();
  }
  return endpoint::from_native(&storage, static_cast<std::size_t>(size));
}

int option(native_handle handle, int name, int& value) noexcept {
  int size = sizeof value;
  return ::getsockopt(socket_of(handle), SOL_SOCKET, name, reinterpret_cast<char*>(&value), &size);
}

}  // namespace

result<native_handle> open(const endpoint& like, type kind) {
  if (const int error = iocp::use_winsock().error) return iocp::system_error_code(error);
  // Unix-domain sockets exist since Windows 10 1803, but nothing connects them overlapped.
  const int family = address_of(like)->sa_family;
  if (family != AF_INET && family != AF_INET6) {
    return boost::system::error_code{boost::asio::error::address_family_not_supported};
  }
  const SOCKET made = iocp::make_socket(family, kind == type::stream ? SOCK_STREAM : SOCK_DGRAM,
                                        kind == type::stream ? IPPROTO_TCP : IPPROTO_UDP);
  if (made == INVALID_SOCKET) return last_error();
  return static_cast<native_handle>(made);
}

result<void> bind(native_handle handle, const endpoint& local) {
  return checked(::bind(socket_of(handle), address_of(local), static_cast<int>(local.size())));
}

result<void> listen(native_handle handle, int backlog) {
  return checked(::listen(socket_of(handle), backlog));
}

result<void> connect_datagram(native_handle handle, const endpoint& peer) {
  return checked(::connect(socket_of(handle), address_of(peer), static_cast<int>(peer.size())));
}

result<endpoint> local_endpoint(native_handle handle) { return name_of(handle, ::getsockname); }

result<endpoint> remote_endpoint(native_handle handle) { return name_of(handle, ::getpeername); }

result<void> shutdown(native_handle handle, half which) {
  const int how = which == half::receive ? SD_RECEIVE : which == half::send ? SD_SEND : SD_BOTH;
  return checked(::shutdown(socket_of(handle), how));
}

void close(native_handle handle) noexcept { ::closesocket(socket_of(handle)); }

result<facts> inspect(native_handle handle) {
  if (const int error = iocp::use_winsock().error) return iocp::system_error_code(error);
  facts found;
  int value = 0;
  if (option(handle, SO_TYPE, value) != 0) return last_error();
  if (value != SOCK_STREAM && value != SOCK_DGRAM) {
    return boost::system::error_code{boost::asio::error::operation_not_supported};
  }
  found.kind = value == SOCK_STREAM ? type::stream : type::datagram;
  if (option(handle, SO_ACCEPTCONN, value) == 0) found.listening = value != 0;
  found.connected = remote_endpoint(handle).has_value();
  return found;
}

// SO_EXCLUSIVEADDRUSE page: with SO_REUSEADDR another program can take the endpoint over; a port in
// TIME_WAIT does not keep a listener from binding here.
result<void> claim_address(native_handle handle, bool) {
  const int value = 1;
  return checked(::setsockopt(socket_of(handle), SOL_SOCKET, SO_EXCLUSIVEADDRUSE,
                              reinterpret_cast<const char*>(&value), sizeof value));
}

// No unix-domain listener is made here, so there is no file of one.
void remove_path(const endpoint&) noexcept {}
void remove_stale_path(const endpoint&) noexcept {}

// A process may have 16 million; memory ends before.
std::size_t handles_max() noexcept { return 1 << 20; }

}  // namespace fairway::detail::sockets
