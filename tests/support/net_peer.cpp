#include "support/net_peer.hpp"

#include "support/fast_peer.hpp"

#include <boost/asio.hpp>
#include <boost/system/system_error.hpp>

#include <cstdio>
#include <utility>

#if !defined(_WIN32)
#include <fcntl.h>
#include <unistd.h>
#endif

// The system's socket calls come with Asio's headers; the two systems differ in a few names.
namespace support {

namespace {

using boost::asio::detail::socket_type;

socket_type socket_of(raw_peer::native handle) { return static_cast<socket_type>(handle); }

int last_error() {
#if defined(_WIN32)
  return ::WSAGetLastError();
#else
  return errno;
#endif
}

[[noreturn]] void fail(const char* what) {
  throw boost::system::system_error({last_error(), boost::system::system_category()}, what);
}

void check(bool fine, const char* what) {
  if (!fine) fail(what);
}

bool would_block(int error) {
#if defined(_WIN32)
  return error == WSAEWOULDBLOCK;
#else
  return error == EAGAIN || error == EINTR;
#endif
}

const sockaddr* address_of(const fairway::endpoint& e) {
  return static_cast<const sockaddr*>(e.data());
}

void set_blocking(raw_peer::native handle, bool blocking) {
#if defined(_WIN32)
  u_long on = blocking ? 0 : 1;
  check(::ioctlsocket(socket_of(handle), FIONBIO, &on) == 0, "ioctlsocket");
#else
  const int flags = ::fcntl(socket_of(handle), F_GETFL);
  check(::fcntl(socket_of(handle), F_SETFL,
                blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0,
        "fcntl");
#endif
}

raw_peer open(const fairway::endpoint& like, int type) {
  const auto made = ::socket(address_of(like)->sa_family, type, 0);
  check(made != static_cast<socket_type>(-1), "socket");
  return raw_peer{static_cast<raw_peer::native>(made)};
}

fairway::endpoint name(raw_peer::native handle, bool remote) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  const int got = remote ? ::getpeername(socket_of(handle), address, &size)
                         : ::getsockname(socket_of(handle), address, &size);
  check(got == 0, "getsockname");
  return fairway::endpoint::from_native(&storage, static_cast<std::size_t>(size)).value();
}

#if defined(MSG_NOSIGNAL)
constexpr int send_flags = MSG_NOSIGNAL;
#else
constexpr int send_flags = 0;
#endif

}  // namespace

raw_peer::raw_peer(raw_peer&& other) noexcept
    : handle_{std::exchange(other.handle_, none)}, fast_{std::move(other.fast_)} {}

raw_peer& raw_peer::operator=(raw_peer&& other) noexcept {
  if (this != &other) {
    close();
    handle_ = std::exchange(other.handle_, none);
    fast_ = std::move(other.fast_);
  }
  return *this;
}

raw_peer raw_peer::bound(const fairway::endpoint& local) {
  raw_peer made = open(local, SOCK_STREAM);
  check(::bind(socket_of(made.handle_), address_of(local), static_cast<int>(local.size())) == 0,
        "bind");
  return made;
}

raw_peer raw_peer::connect(const fairway::endpoint& to) {
  raw_peer made = open(to, SOCK_STREAM);
  check(::connect(socket_of(made.handle_), address_of(to), static_cast<int>(to.size())) == 0,
        "connect");
  set_blocking(made.handle_, false);
  return made;
}

raw_peer raw_peer::connect_fast(const fairway::endpoint& to) {
  raw_peer made;
  made.fast_ = std::make_shared<fast_peer>(to);
  made.handle_ = made.fast_->stream().native_handle();
  return made;
}

raw_peer raw_peer::listen(const fairway::endpoint& local, int backlog) {
  raw_peer made = bound(local);
  check(::listen(socket_of(made.handle_), backlog) == 0, "listen");
  return made;
}

raw_peer raw_peer::datagram(const fairway::endpoint& local) {
  raw_peer made = open(local, SOCK_DGRAM);
  check(::bind(socket_of(made.handle_), address_of(local), static_cast<int>(local.size())) == 0,
        "bind");
  set_blocking(made.handle_, false);
  return made;
}

raw_peer raw_peer::accept() {
  const auto got = ::accept(socket_of(handle_), nullptr, nullptr);
  check(got != static_cast<socket_type>(-1), "accept");
  raw_peer made{static_cast<native>(got)};
  set_blocking(made.handle_, false);
  return made;
}

std::size_t raw_peer::write_some(std::string_view bytes) {
  if (fast_ != nullptr) return fast_->write_some(bytes);
  const auto sent = ::send(socket_of(handle_), bytes.data(), static_cast<int>(bytes.size()),
                           send_flags);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  check(would_block(last_error()), "send");
  return 0;
}

void raw_peer::write(std::string_view bytes) {
  while (fast_ != nullptr && !bytes.empty()) {
    const std::size_t taken = fast_->write_some(bytes);
    if (taken == 0) break;
    bytes.remove_prefix(taken);
    if (bytes.empty()) return;
  }
  check(write_some(bytes) == bytes.size(), "the bytes do not fit into the socket's buffer");
}

raw_peer::event raw_peer::read(std::string& into) {
  if (fast_ != nullptr) return static_cast<event>(fast_->read(into));
  char room[65536];
  const auto got = ::recv(socket_of(handle_), room, sizeof room, 0);
  if (got > 0) {
    into.append(room, static_cast<std::size_t>(got));
    return event::bytes;
  }
  if (got == 0) return event::end;
  return would_block(last_error()) ? event::nothing : event::reset;
}

void raw_peer::send_to(std::string_view bytes, const fairway::endpoint& to) {
  check(::sendto(socket_of(handle_), bytes.data(), static_cast<int>(bytes.size()), 0,
                 address_of(to), static_cast<int>(to.size())) >= 0,
        "sendto");
}

void raw_peer::shutdown_send() {
  if (fast_ != nullptr) return fast_->shutdown_send();
  ::shutdown(socket_of(handle_), 1);
}

void raw_peer::set_receive_buffer(int bytes) {
  check(::setsockopt(socket_of(handle_), SOL_SOCKET, SO_RCVBUF,
                     reinterpret_cast<const char*>(&bytes), sizeof bytes) == 0,
        "setsockopt");
}

void raw_peer::close() noexcept {
  if (handle_ == none) return;
  if (fast_ != nullptr) {
    handle_ = none;
    fast_->close();
    fast_ = nullptr;
    return;
  }
#if defined(_WIN32)
  ::closesocket(socket_of(handle_));
#else
  ::close(socket_of(handle_));
#endif
  handle_ = none;
}

void raw_peer::reset() {
  if (fast_ != nullptr) {
    handle_ = none;
    fast_->reset();
    fast_ = nullptr;
    return;
  }
  ::linger now{};
  now.l_onoff = 1;
  check(::setsockopt(socket_of(handle_), SOL_SOCKET, SO_LINGER, reinterpret_cast<char*>(&now),
                     sizeof now) == 0,
        "setsockopt");
  close();
}

raw_peer::native raw_peer::release() {
  set_blocking(handle_, true);
  return std::exchange(handle_, none);
}

fairway::endpoint raw_peer::local() const { return name(handle_, false); }
fairway::endpoint raw_peer::remote() const { return name(handle_, true); }

bool has_ipv6() {
  static const bool found = [] {
    try {
      raw_peer::bound(fairway::endpoint::loopback_v6(0));
      return true;
    } catch (const boost::system::system_error& e) {
      std::printf("SKIP: no IPv6 loopback here: %s\n", e.what());
      return false;
    }
  }();
  return found;
}

bool is_inherited(std::uintptr_t handle) {
#if defined(_WIN32)
  DWORD flags = 0;
  return ::GetHandleInformation(reinterpret_cast<HANDLE>(handle), &flags) != 0 &&
         (flags & HANDLE_FLAG_INHERIT) != 0;
#else
  return (::fcntl(static_cast<int>(handle), F_GETFD) & FD_CLOEXEC) == 0;
#endif
}

}  // namespace support
