#include "net/posix/change_watch.hpp"

#include "engine/port_core.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <cerrno>
#include <utility>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fairway::detail {

namespace {

error_code system_error(int error) noexcept { return {error, boost::system::system_category()}; }

struct change_watch : io_object {
  struct step : handler_base {
    step() noexcept : handler_base{&on_readable, &on_discard} {}
    static void on_discard(handler_base*, io_op& op) { finish(op); }
  };

  change_watch(port_core& owner, native_handle socket, int family_of_socket)
      : io_object{owner, &destroy_it}, family{family_of_socket} {
    handle = socket;
    stream_like = false;
    waiting.object = this;
    read_side = &waiting;
  }
  static void destroy_it(io_object* object) noexcept { delete static_cast<change_watch*>(object); }
  static void on_readable(handler_base* base, io_op& op);
  static void on_cancel(io_op& op);

  void wait();
  bool take_changes() noexcept;
  bool route_changed() noexcept;

  int family;
  control_state* asking = nullptr;  // null: nobody waits
  bool for_route = false;
  endpoint to;              // for_route: towards where
  endpoint local;           // for_route: from where, when it was asked
  int route_error = 0;      // for_route: instead of `local`, why there is none
  step readable;
  io_op waiting{op_kind::wait};
};

void change_watch::wait() {
  waiting.waiting = wait_for::read;
  core->attach(waiting, &readable);
  core->start(waiting);
}

void change_watch::on_cancel(io_op& op) {
  auto& watch = *static_cast<change_watch*>(state_of(op).watch);
  // A wait that has ended already, with its handler still queued, says what came.
  watch.core->cancel(watch.waiting);
}

void change_watch::on_readable(handler_base*, io_op& op) {
  auto& watch = *static_cast<change_watch*>(op.object);
  const error_code ec = op.result.ec;
  watch.core->retain(watch);
  finish(op);
  control_state* asking = watch.asking;
  if (asking != nullptr && asking->in_backend()) {
    const bool changed = !ec && watch.take_changes();
    if (ec || changed || (asking->flags & op_cancel_requested) != 0) {
      watch.asking = nullptr;
      const error_code aborted = boost::asio::error::operation_aborted;
      watch.core->complete(*asking, changed ? error_code{} : ec ? ec : aborted, 0);
    } else {
      watch.wait();
    }
  }
  watch.core->release(watch);
}

// Reads all messages. The kernel's "some were lost" (ENOBUFS) is a change as well.
bool change_watch::take_changes() noexcept {
  bool told = false;
  for (;;) {
    alignas(nlmsghdr) char room[8192];
    const auto got = ::recv(static_cast<int>(handle), room, sizeof room, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) told = true;
    if (got <= 0) break;
    auto left = static_cast<unsigned>(got);
    for (auto* m = reinterpret_cast<nlmsghdr*>(room); NLMSG_OK(m, left); m = NLMSG_NEXT(m, left)) {
      const bool address = m->nlmsg_type == RTM_NEWADDR || m->nlmsg_type == RTM_DELADDR;
      if (address || for_route) told = true;
    }
  }
  return told && (!for_route || route_changed());
}

bool change_watch::route_changed() noexcept {
  endpoint current;
  const int error = local_address_towards(to, current);
  return error != route_error || (error == 0 && current != local);
}

result<io_object*> make_watch(port_core& core, int family) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return system_error(errno);
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = family == AF_INET6
                         ? RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE
                         : RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
  groups.nl_groups |= RTMGRP_LINK;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
    const int error = errno;
    ::close(fd);
    return system_error(error);
  }
  try {
    return new change_watch{core, static_cast<native_handle>(fd), family};
  } catch (...) {
    ::close(fd);
    throw;
  }
}

}  // namespace

int local_address_towards(const endpoint& to, endpoint& local) noexcept {
  const auto* address = static_cast<const sockaddr*>(to.data());
  if (!to.is_ip()) return EAFNOSUPPORT;
  const int fd = ::socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  // Connecting a datagram socket sends nothing; port 0 would be no peer.
  const endpoint peer = to.port() == 0 ? to.with_port(9) : to;
  int error = 0;
  sockaddr_storage found{};
  socklen_t size = sizeof found;
  if (::connect(fd, static_cast<const sockaddr*>(peer.data()),
                static_cast<socklen_t>(peer.size())) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&found), &size) != 0) {
    error = errno;
  }
  ::close(fd);
  if (error != 0) return error;
  const auto made = endpoint::from_native(&found, size);
  if (!made) return EAFNOSUPPORT;
  local = made.value().with_port(0);
  return 0;
}

void watch_changes(control_state& state) {
  port_core& core = *state.object->core;
  const int family = family_of(state.object->handle);
  const bool ip = family == AF_INET || family == AF_INET6;
  if (!ip) {
    core.complete(state, system_error(family < 0 ? -family : EOPNOTSUPP), 0);
    return;
  }
  if (state.watch == nullptr) {
    auto made = make_watch(core, family);
    if (!made) {
      core.complete(state, made.error(), 0);
      return;
    }
    state.watch = made.value();
  }
  auto& watch = *static_cast<change_watch*>(state.watch);
  assert(watch.waiting.idle() && watch.asking == nullptr);
  watch.asking = &state;
  watch.for_route =
      state.work.command == static_cast<std::uint8_t>(control_id::routing_interface_change);
  if (watch.for_route) {
    const auto to = endpoint::from_native(state.work.input, state.work.input_bytes);
    if (!to) {
      watch.asking = nullptr;
      core.complete(state, to.error(), 0);
      return;
    }
    watch.to = to.value();
    watch.route_error = local_address_towards(watch.to, watch.local);
  }
  state.kind = op_kind::composite;
  state.on_cancel = &change_watch::on_cancel;
  core.begin_waiting(state);
  watch.wait();
}

}  // namespace fairway::detail
