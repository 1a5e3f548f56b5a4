// Two processes for the loopback soaks: a server for each path, forked once, and what a client
// needs to reach it.
#pragma once

#include <fairway/fairway.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace loopback_bench {

namespace asio = boost::asio;
using steady = std::chrono::steady_clock;

enum class kind { tcp, memory };

inline fairway::loopback policy(kind k) {
  return k == kind::memory ? fairway::loopback::shared_memory : fairway::loopback::off;
}

// Two processes on two processors, whatever the scheduler thinks of them.
inline void pin_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) std::perror("sched_setaffinity");
}

// What a client says first. `echo` messages of `size` bytes come back whole; `sink` takes
// everything and answers the end with one byte.
struct request {
  std::uint32_t echo = 0;
  std::uint32_t size = 0;
};

inline fairway::task<> serve(fairway::stream s) {
  request asked;
  if (!co_await fairway::async_read(s, asio::buffer(&asked, sizeof asked))) co_return;
  std::vector<char> room(asked.echo != 0 ? asked.size : 256 * 1024);
  if (asked.echo != 0) {
    if (!co_await fairway::async_write(s, asio::buffer(room, 1))) co_return;
    while (auto got = co_await fairway::async_read(s, asio::buffer(room))) {
      if (!co_await fairway::async_write(s, asio::buffer(room))) co_return;
    }
    co_return;
  }
  while (auto got = co_await s.async_read_some(asio::buffer(room))) {
  }
  (void)co_await fairway::async_write(s, asio::buffer(room, 1));
}

using serving = fairway::task<> (*)(fairway::stream);

inline void run_server(kind k, int tell, serving how) {
  fairway::completion_port port;
  auto l = fairway::listener::open(port, fairway::endpoint::loopback_v4(0),
                                   {.loopback = policy(k)}).value();
  const std::string place = l.local_endpoint().value().to_string();
  if (::write(tell, place.data(), place.size()) < 0) std::exit(1);
  ::close(tell);
  fairway::spawn(port, [](fairway::completion_port& p, fairway::listener& from,
                          serving each) -> fairway::task<> {
    while (auto s = co_await from.async_accept()) fairway::spawn(p, each(std::move(s).value()));
  }(port, l, how));
  port.run();
}

struct server {
  kind over;
  pid_t process;
  fairway::endpoint at;
};

// Before the parent has a port of its own. `processor` < 0: not pinned.
inline server start_server(kind k, int processor, serving how = &serve) {
  int told[2];
  if (::pipe(told) != 0) std::exit(1);
  const pid_t process = ::fork();
  if (process == 0) {
    ::close(told[0]);
    if (processor >= 0) pin_to(processor);
    run_server(k, told[1], how);
    std::exit(0);
  }
  ::close(told[1]);
  char text[200];
  const auto got = ::read(told[0], text, sizeof text);
  ::close(told[0]);
  if (got <= 0) std::exit(1);
  return {k, process,
          fairway::endpoint::parse({text, static_cast<std::size_t>(got)}).value()};
}

inline void stop_server(const server& s) {
  ::kill(s.process, SIGKILL);
  ::waitpid(s.process, nullptr, 0);
}

inline double since_us(steady::time_point begun) {
  return std::chrono::duration<double, std::micro>(steady::now() - begun).count();
}

inline double median(std::vector<double> all) {
  const auto middle = all.begin() + static_cast<long>(all.size() / 2);
  std::nth_element(all.begin(), middle, all.end());
  return *middle;
}

inline fairway::task<fairway::stream> open(fairway::completion_port& port, const server& to,
                                           request what) {
  fairway::connector dial{port, {.loopback = policy(to.over)}};
  auto s = (co_await dial.async_connect(to.at)).value();
  (co_await fairway::async_write(s, asio::buffer(&what, sizeof what))).value();
  char answer = 0;
  if (what.echo != 0) (co_await fairway::async_read(s, asio::buffer(&answer, 1))).value();
  co_return s;
}

inline fairway::task<double> round_trip(fairway::stream& s, std::vector<char>& bytes) {
  const auto begun = steady::now();
  (co_await fairway::async_write(s, asio::buffer(bytes))).value();
  (co_await fairway::async_read(s, asio::buffer(bytes))).value();
  co_return since_us(begun);
}

}  // namespace loopback_bench
