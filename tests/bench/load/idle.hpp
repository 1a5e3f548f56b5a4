// Many connections that do nothing: what each costs in memory, and whether anybody is woken. Each
// has echoed one message before and echoes one after.
#pragma once

#include "plan.hpp"

#include <poll.h>

namespace bench {

class idle {
 public:
  idle(const plan& p, const target& to, outcome& found)
      : plan_{p}, to_{to}, found_{found}, bytes_{byte_stream::of_pattern()},
        server_{to.pid, to.allocations}, room_(p.size) {}
  ~idle() {
    for (const int fd : all_) ::close(fd);
  }

  void run() {
    // The first ones pay for what a server makes once.
    if (!open_up_to(first_ones)) return;
    slice s;
    s.before = server_.look(true);
    if (!open_up_to(first_ones + plan_.connections)) return;
    s.after = server_.look(true);
    s.requests = plan_.connections;
    found_.slices.push_back(s);
    found_.bytes_a_connection = (static_cast<double>(s.after.resident_kib) -
                                 static_cast<double>(s.before.resident_kib)) *
                                1024 / static_cast<double>(plan_.connections);
    const auto pause = static_cast<std::uint64_t>(plan_.seconds * 1000);
    ::poll(nullptr, 0, static_cast<int>(pause));  // what opening caused is over
    const usage quiet = server_.look(true);
    ::poll(nullptr, 0, 1000);
    const usage later = server_.look(true);
    found_.idle_cpu_us = static_cast<double>(later.cpu_ns - quiet.cpu_ns) / 1000;
    found_.idle_switches = static_cast<double>(later.switches - quiet.switches);
    for (const int fd : all_) {
      if (!echo(fd)) return;
    }
  }

 private:
  enum { first_ones = 64 };

  bool open_up_to(std::size_t count) {
    while (all_.size() < count) {
      const int fd = connect_to(to_, all_.size(), true);
      if (fd < 0) {
        found_.fail(why("connect"));
        return false;
      }
      all_.push_back(fd);
      if (!echo(fd)) return false;
    }
    return true;
  }

  bool echo(int fd) {
    const auto size = static_cast<ssize_t>(plan_.size);
    if (::send(fd, bytes_.at(0), plan_.size, MSG_NOSIGNAL) != size ||
        ::recv(fd, room_.data(), plan_.size, MSG_WAITALL) != size) {
      found_.fail(why("echo"));
      return false;
    }
    if (!bytes_.same(0, room_.data(), plan_.size)) ++found_.mismatches;
    return true;
  }

  const plan& plan_;
  const target& to_;
  outcome& found_;
  byte_stream bytes_;
  process server_;
  aligned_bytes room_;
  std::vector<int> all_;
};

}  // namespace bench
