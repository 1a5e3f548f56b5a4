#include "net/socket.hpp"

#include <boost/asio/error.hpp>

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace fairway::detail::sockets {

namespace {

boost::system::error_code last_error() noexcept {
  return {errno, boost::asio::error::get_system_category()};
}

int fd_of(native_handle handle) noexcept { return static_cast<int>(handle); }

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
  socklen_t size = sizeof storage;
  if (call(fd_of(handle), reinterpret_cast<sockaddr*>(&storage), &size) != 0) return last_error();
  return endpoint::from_native(&storage, size);
}

int option(native_handle handle, int name, int& value) noexcept {
  socklen_t size = sizeof value;
  return ::getsockopt(fd_of(handle), SOL_SOCKET, name, &value, &size);
}

}  // namespace

result<native_handle> open(const endpoint& like, type kind) {
  const int what = kind == type::stream ? SOCK_STREAM : SOCK_DGRAM;
  const int fd = ::socket(address_of(like)->sa_family, what | SOCK_CLOEXEC, 0);
  if (fd < 0) return last_error();
  return static_cast<native_handle>(fd);
}

result<void> bind(native_handle handle, const endpoint& local) {
  return checked(::bind(fd_of(handle), address_of(local), static_cast<socklen_t>(local.size())));
}

result<void> listen(native_handle handle, int backlog) {
  return checked(::listen(fd_of(handle), backlog));
}

result<void> connect_datagram(native_handle handle, const endpoint& peer) {
  return checked(
      ::connect(fd_of(handle), address_of(peer), static_cast<socklen_t>(peer.size())));
}

result<endpoint> local_endpoint(native_handle handle) { return name_of(handle, ::getsockname); }

result<endpoint> remote_endpoint(native_handle handle) { return name_of(handle, ::getpeername); }

result<void> shutdown(native_handle handle, half which) {
  const int how = which == half::receive ? SHUT_RD : which == half::send ? SHUT_WR : SHUT_RDWR;
  return checked(::shutdown(fd_of(handle), how));
}

// close(2): the descriptor is gone even after EINTR, so it is not called again.
void close(native_handle handle) noexcept { ::close(fd_of(handle)); }

result<facts> inspect(native_handle handle) {
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

result<void> claim_address(native_handle handle, bool reuse) {
  const int value = reuse ? 1 : 0;
  return checked(::setsockopt(fd_of(handle), SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
}

void remove_path(const endpoint& local) noexcept {
  const sockaddr* address = address_of(local);
  if (address->sa_family != AF_UNIX) return;
  const auto* path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
  if (path[0] != '\0') ::unlink(path);
}

void remove_stale_path(const endpoint& local) noexcept {
  const sockaddr* address = address_of(local);
  if (address->sa_family != AF_UNIX) return;
  const auto* path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
  struct stat info {};
  if (path[0] == '\0' || ::lstat(path, &info) != 0 || !S_ISSOCK(info.st_mode)) return;
  // Only a refused connection proves that nobody listens there.
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return;
  const bool refused =
      ::connect(probe, address, static_cast<socklen_t>(local.size())) != 0 &&
      errno == ECONNREFUSED;
  ::close(probe);
  if (refused) ::unlink(path);
}

std::size_t handles_max() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 1 << 20;
  return limit.rlim_cur;
}

}  // namespace fairway::detail::sockets
