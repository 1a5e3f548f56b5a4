// io_uring refused by a seccomp filter, as in containers: epoll, the same behaviour, one reason.
#include "support/child.hpp"
#include "support/pump.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

#include <doctest/doctest.h>

#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <string>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using fairway::completion_port;
using fairway::engine_kind;

namespace {

// Makes a system call fail with `error` in this process, for ever (seccomp(2)).
bool refuse(long call, int error) {
  const auto number = static_cast<unsigned>(call);
  const auto answer = SECCOMP_RET_ERRNO | static_cast<unsigned>(error);
  sock_filter filter[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number},
      {BPF_RET | BPF_K, 0, 0, answer},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog program{4, filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool refuse_io_uring(int error) { return refuse(SYS_io_uring_setup, error); }

int use_a_port(int error) {
  if (!refuse_io_uring(error)) return 1;
  ::unsetenv("FAIRWAY_ENGINE");
  completion_port port;
  if (port.engine() != engine_kind::epoll) return 2;
  if (port.engine_reason().find("io_uring refused") == std::string_view::npos) return 3;
  fairway::timer soon{port, 1ms};
  fairway::timer hour{port, 1h};
  int ends = 0;
  soon.async_wait([&](error_code ec) {
    if (!ec) ++ends;
    hour.cancel();
  });
  hour.async_wait([&](error_code ec) {
    if (ec) ++ends;
  });
  asio::post(port, [&] { ++ends; });
  if (!support::run_dry(port)) return 4;
  return ends == 3 ? 0 : 5;
}

int insist_on_io_uring(int error) {
  if (!refuse_io_uring(error)) return 1;
  fairway::port_options options;
  options.engine = engine_kind::io_uring;
  try {
    completion_port port{options};
  } catch (const boost::system::system_error&) {
    return 0;
  }
  return 2;
}

int wait_without_exact_times(int error) {
  if (!refuse_io_uring(error) || !refuse(SYS_epoll_pwait2, error)) return 1;
  ::unsetenv("FAIRWAY_ENGINE");
  completion_port port;
  fairway::timer soon{port, 50ms};
  bool fired = false;
  soon.async_wait([&](error_code ec) { fired = !ec; });
  const auto due = soon.expiry();
  if (!support::run_dry(port) || !fired) return 2;
  if (std::chrono::steady_clock::now() < due) return 3;
  return port.statistics().kernel_entries < 20 ? 0 : 4;
}

}  // namespace

TEST_CASE("a port works on epoll, and says why, when io_uring is refused") {
  for (int error : {EPERM, ENOSYS, ENOMEM, EACCES}) {
    CAPTURE(error);
    CHECK(support::in_child([error] { return use_a_port(error); }) == 0);
  }
}

TEST_CASE("asking for io_uring where it is refused is an error") {
  for (int error : {EPERM, ENOSYS, ENOMEM}) {
    CAPTURE(error);
    CHECK(support::in_child([error] { return insist_on_io_uring(error); }) == 0);
  }
}

TEST_CASE("a port on epoll waits for a timer without spinning where exact waits are refused too") {
  for (int error : {EPERM, ENOSYS}) {
    CAPTURE(error);
    CHECK(support::in_child([error] { return wait_without_exact_times(error); }) == 0);
  }
}
