// Control codes on Linux: socket options and ioctls in steps, and small look-ups of the system.
#include "net/control_state.hpp"
#include "net/posix/change_watch.hpp"
#include "net/posix/control_codes.hpp"

#include <cerrno>
#include <cstring>

#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fairway::detail {

namespace {

using what = kernel_step::what;
constexpr int more = control_work::step_more;
constexpr int over = control_work::step_over;

int not_supported(control_work&, native_handle, int) { return -EOPNOTSUPP; }

int number_steps(control_work& work, native_handle, int result) {
  if (work.stage++ == 0) {
    const bool unread = work.command == static_cast<std::uint8_t>(control_id::bytes_readable);
    work.step.kind = unread ? what::unread : what::unsent;
    return more;
  }
  const auto value = static_cast<std::uint32_t>(result);
  if (work.output_bytes < sizeof value) return -EINVAL;
  std::memcpy(work.output, &value, sizeof value);
  work.returned = sizeof value;
  return over;
}

void set_number(control_work& work, int level, int name, int& value) {
  work.step.kind = what::set_option;
  work.step.level = level;
  work.step.name = name;
  work.step.data = &value;
  work.step.bytes = sizeof value;
}

// Four options, of which a zero leaves the last three alone.
int keepalive_steps(control_work& work, native_handle, int) {
  constexpr int names[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};
  if (work.input_bytes < sizeof(native_keepalive)) return -EINVAL;
  auto* values = reinterpret_cast<std::int32_t*>(const_cast<std::byte*>(work.input));
  const unsigned stage = work.stage++;
  if (stage == 0) {
    set_number(work, SOL_SOCKET, SO_KEEPALIVE, values[0]);
    return more;
  }
  if (values[0] == 0 || stage > 3) return over;
  if (values[stage] == 0) return keepalive_steps(work, no_handle, 0);
  set_number(work, IPPROTO_TCP, names[stage - 1], values[stage]);
  return more;
}

int information_steps(control_work& work, native_handle, int result) {
  if (work.stage++ == 0) {
    work.step.kind = what::get_option;
    work.step.level = IPPROTO_TCP;
    work.step.name = TCP_INFO;
    work.step.data = work.output;
    work.step.bytes = work.output_bytes;
    return more;
  }
  work.returned = static_cast<std::uint32_t>(result);
  return over;
}

// Winsock's structure has the first waiting time, which Linux has not, and -2 for no repetition.
int retries_steps(control_work& work, native_handle, int) {
  if (work.stage++ != 0) return over;
  std::uint16_t first_wait = 0;
  if (work.input_bytes < 3) return -EINVAL;
  std::memcpy(&first_wait, work.input, sizeof first_wait);
  if (first_wait != 0xffff) return -EOPNOTSUPP;
  const auto wanted = std::to_integer<std::uint8_t>(work.input[2]);
  work.number = wanted == 0xfe ? 1 : wanted;
  set_number(work, IPPROTO_TCP, TCP_SYNCNT, work.number);
  return more;
}

// ioctl(2) has one buffer: the output, into which the input was copied, or else the input.
int raw_steps(control_work& work, native_handle, int) {
  if (work.stage++ != 0) {
    work.returned = work.output_bytes;
    return over;
  }
  if (work.output_bytes != 0 && work.output_bytes < work.input_bytes) return -EINVAL;
  work.step.kind = what::ioctl;
  work.step.name = static_cast<int>(work.code);
  work.step.data = const_cast<std::byte*>(work.input);
  if (work.output_bytes != 0) {
    if (work.input_bytes != 0) std::memcpy(work.output, work.input, work.input_bytes);
    work.step.data = work.output;
  }
  return more;
}

int address_list_now(control_work& work, native_handle handle, int) {
  const int family = family_of(handle);
  if (family < 0) return family;
  if (family != AF_INET && family != AF_INET6) return -EOPNOTSUPP;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return -errno;
  std::size_t at = 0;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != family) continue;
    native_address entry{};
    if (family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      std::memcpy(entry.bytes.data(), &v4->sin_addr, sizeof v4->sin_addr);
    } else {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      entry.v6 = 1;
      entry.scope = v6->sin6_scope_id;
      std::memcpy(entry.bytes.data(), &v6->sin6_addr, sizeof v6->sin6_addr);
    }
    if (at + sizeof entry > work.output_bytes) break;
    std::memcpy(work.output + at, &entry, sizeof entry);
    at += sizeof entry;
  }
  ::freeifaddrs(all);
  work.returned = static_cast<std::uint32_t>(at);
  return over;
}

int routing_interface_now(control_work& work, native_handle, int) {
  const auto to = endpoint::from_native(work.input, work.input_bytes);
  if (!to) return -EINVAL;
  endpoint local;
  if (const int error = local_address_towards(to.value(), local)) return -error;
  if (work.output_bytes < local.size()) return -EFAULT;
  std::memcpy(work.output, local.data(), local.size());
  work.returned = static_cast<std::uint32_t>(local.size());
  return over;
}

}  // namespace

int family_of(native_handle handle) noexcept {
  int family = 0;
  socklen_t size = sizeof family;
  const int fd = static_cast<int>(handle);
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 ? family : -errno;
}

namespace control_system {

void plan(control_work& work) noexcept {
  switch (static_cast<control_id>(work.command)) {
    case control_id::bytes_readable:
    case control_id::bytes_unsent: work.next = &number_steps; return;
    case control_id::keepalive: work.next = &keepalive_steps; return;
    case control_id::tcp_information: work.next = &information_steps; return;
    case control_id::connect_retries: work.next = &retries_steps; return;
    case control_id::address_list: work.next = &address_list_now; return;
    case control_id::routing_interface: work.next = &routing_interface_now; return;
    case control_id::raw: work.next = &raw_steps; return;
    default: work.next = &not_supported; return;
  }
}

int ask(native_handle handle, control_work& work) noexcept { return -perform_work(handle, work); }

bool wait_elsewhere(control_state& state) {
  const auto command = static_cast<control_id>(state.work.command);
  if (command != control_id::address_list_change &&
      command != control_id::routing_interface_change) {
    return false;
  }
  watch_changes(state);
  return true;
}

std::uintptr_t this_thread() noexcept { return static_cast<std::uintptr_t>(::gettid()); }

}  // namespace control_system

}  // namespace fairway::detail
