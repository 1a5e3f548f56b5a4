#include "loopback/port_choice.hpp"
#include "loopback/system.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fairway::detail::shm::system {

namespace {

// Entries of processes that have gone stay in the backlog until they are taken out.
constexpr int backlog = 64;

struct arena_message {
  char what;
  char padding[3];
  std::uint32_t version;
};

socklen_t abstract_name(sockaddr_un& at, const std::string& name) noexcept {
  at.sun_family = AF_UNIX;
  // The zero byte in front makes the name abstract (unix(7)): it is scoped by the network
  // namespace, as loopback is, and goes with its socket.
  const std::size_t size = std::min(name.size(), sizeof at.sun_path - 1);
  std::memcpy(at.sun_path + 1, name.data(), size);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + size);
}

int unix_socket(int type) noexcept {
  return ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

path_reason reason_of_socket(int error) noexcept {
  switch (error) {
    case EMFILE:
    case ENFILE: return path_reason::no_descriptors;
    case ENOMEM:
    case ENOBUFS: return path_reason::no_memory;
    case EACCES:
    case EPERM: return path_reason::access_denied;
    case EADDRINUSE: return path_reason::name_taken;
    case ECONNREFUSED:
    case ENOENT: return path_reason::peer_did_not_ask;
    default: return path_reason::refused_by_system;
  }
}

// Users that a namespace does not know all look like this one (user_namespaces(7)).
uid_t overflow_user() {
  static const uid_t user = [] {
    uid_t read = 65534;
    std::ifstream file{"/proc/sys/kernel/overflowuid"};
    file >> read;
    return read;
  }();
  return user;
}

bool same_user(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() && peer.uid != overflow_user();
}

int failed(int fd, path_reason& why) noexcept {
  why = reason_of_socket(errno);
  if (fd >= 0) ::close(fd);
  return -1;
}

// Asks marks; one for each thread that connects, as long as the thread. It stays in the network
// namespace that it was made in, as a port's links do: after setns(2) to another one a thread that
// has asked before finds nobody, and its connections are TCP.
struct asking_socket {
  int fd = -1;
  ~asking_socket() {
    if (fd >= 0) ::close(fd);
  }
};

// False: certainly nobody has bound a mark there.
bool may_be_marked(const sockaddr_un& at, socklen_t size) noexcept {
  thread_local asking_socket asking;
  if (asking.fd < 0) asking.fd = unix_socket(SOCK_DGRAM);
  return asking.fd < 0 ||
         ::connect(asking.fd, reinterpret_cast<const sockaddr*>(&at), size) == 0 ||
         errno != ECONNREFUSED;
}

}  // namespace

rendezvous_sockets listen_at(const std::string& name, path_reason& why) noexcept {
  sockaddr_un at{};
  const socklen_t size = abstract_name(at, name);
  const auto* const named = reinterpret_cast<const sockaddr*>(&at);
  const int listening = unix_socket(SOCK_SEQPACKET);
  if (listening < 0 || ::bind(listening, named, size) != 0 || ::listen(listening, backlog) != 0) {
    return {failed(listening, why), -1};
  }
  const int mark = unix_socket(SOCK_DGRAM);
  if (mark < 0 || ::bind(mark, named, size) != 0) {
    const int none = failed(mark, why);
    ::close(listening);
    return {none, none};
  }
  return {listening, mark};
}

int accept_peer(int listening, path_reason& short_of) noexcept {
  for (int i = 0; i < backlog; ++i) {
    const int fd = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EAGAIN) return -1;
      const path_reason why = reason_of_socket(errno);
      // Without a free descriptor it fails before it looks whether anybody waits.
      pollfd waiting{listening, POLLIN, 0};
      if (::poll(&waiting, 1, 0) > 0) short_of = why;
      return -1;
    }
    if (same_user(fd)) return fd;
    ::close(fd);
  }
  return -1;
}

int connect_to(const std::string& name, path_reason& why) noexcept {
  sockaddr_un at{};
  const socklen_t size = abstract_name(at, name);
  if (!may_be_marked(at, size)) {
    why = path_reason::peer_did_not_ask;
    return -1;
  }
  const int fd = unix_socket(SOCK_SEQPACKET);
  if (fd < 0) return failed(fd, why);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), size) != 0) return failed(fd, why);
  if (!same_user(fd)) {
    why = path_reason::other_user;
    ::close(fd);
    return -1;
  }
  return fd;
}

bool send_arena(int link, int memory, const arena_shape&) noexcept {
  arena_message text{};
  text.what = static_cast<char>(note::arena);
  text.version = protocol_version;
  iovec piece{&text, sizeof text};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = sizeof room;
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &memory, sizeof memory);
  return ::sendmsg(link, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof text;
}

// A link that takes no more has a note that the peer has not read; one that is broken ends.
void send_note(int link, note what) noexcept {
  const char text = static_cast<char>(what);
  [[maybe_unused]] const auto sent = ::send(link, &text, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

message receive(int link) noexcept {
  arena_message text{};
  iovec piece{&text, sizeof text};
  // Room for more than one, so that a peer that sends many cannot leave some open unseen.
  constexpr std::size_t memories_max = 4;
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int) * memories_max)] = {};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = room;
  header.msg_controllen = sizeof room;
  ssize_t got = 0;
  do {
    got = ::recvmsg(link, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return {errno == EAGAIN ? note::nothing : note::end};
  message found;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
      int one = -1;
      std::memcpy(&one, CMSG_DATA(c) + at, sizeof one);
      if (found.memory < 0) {
        found.memory = one;
      } else {
        ::close(one);
      }
    }
  }
  if (got == 0) return {note::end};
  const bool arena_came = text.what == static_cast<char>(note::arena) && got == sizeof text &&
                          text.version == protocol_version;
  // Without memory that is no arena, unless the system had no descriptor to put it in.
  if (arena_came && (found.memory >= 0 || (header.msg_flags & MSG_CTRUNC) != 0)) {
    found.what = note::arena;
    return found;
  }
  close_memory(found.memory);
  return {text.what == static_cast<char>(note::refused) ? note::refused : note::bell};
}

namespace {

unsigned random_number() noexcept {
  unsigned number = 0;
  [[maybe_unused]] const auto got = ::getrandom(&number, sizeof number, GRND_NONBLOCK);
  return number;
}

}  // namespace

std::uint16_t bind_source(native_handle handle, const endpoint& where,
                          std::uint16_t avoided) noexcept {
  // The range that the system takes its own from by default.
  thread_local port_choice choice{32768, 28232, &random_number};
  // A try costs about a microsecond. Connections in TIME_WAIT made without SO_REUSEADDR occupy
  // ports: with half of them gone, one connect in 65,536 finds none.
  constexpr unsigned tries = 16;
  constexpr unsigned tries_together = 4;
  const int socket = static_cast<int>(handle);
  allow_reuse(socket, true);
  for (unsigned i = 0; i < tries; ++i) {
    const std::uint16_t port = choice.next();
    if (port == avoided) continue;
    const endpoint at = where.with_port(port);
    const auto* address = static_cast<const sockaddr*>(at.data());
    if (::bind(socket, address, static_cast<socklen_t>(at.size())) == 0) {
      // With the option on, another user could bind the port as well and connect first.
      allow_reuse(socket, false);
      return port;
    }
    if (i % tries_together == tries_together - 1) choice.jump();
  }
  allow_reuse(socket, false);
  return 0;
}

void allow_reuse(int socket, bool allow) noexcept {
  const int value = allow ? 1 : 0;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value);
}

}  // namespace fairway::detail::shm::system
