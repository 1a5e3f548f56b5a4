// Short connections, `connections` at a time: connect, one message there and back, end of file from
// us, end of file from the server, the next one. A request is one whole connection.
#pragma once

#include "plan.hpp"

#include <sys/epoll.h>

namespace bench {

class churn {
 public:
  churn(const plan& p, outcome& found)
      : plan_{p}, found_{found}, bytes_{byte_stream::of_pattern()},
        server_{p.pid, p.allocations}, room_(p.size + 1), all_(p.connections),
        queue_{::epoll_create1(EPOLL_CLOEXEC)} {}
  ~churn() {
    for (const connection& c : all_) {
      if (c.fd >= 0) ::close(c.fd);
    }
    ::close(queue_);
  }

  void run() {
    for (std::size_t i = 0; i < all_.size(); ++i) begin(i);
    until(now_ns() + static_cast<std::uint64_t>(plan_.warm_seconds * 1e9));
    found_.before = server_.look(false);
    measuring_ = true;
    until(found_.before.at_ns + static_cast<std::uint64_t>(plan_.seconds * 1e9));
    found_.after = server_.look(true);
  }

 private:
  struct connection {
    int fd = -1;
    bool asked = false;
    std::size_t got = 0;
    std::uint64_t begun = 0;
  };

  void begin(std::size_t number) {
    connection& c = all_[number];
    c = {.begun = now_ns()};
    c.fd = connect_to(plan_, made_++, false);
    if (c.fd < 0) return found_.fail(why("connect"));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.u64 = number;
    ::epoll_ctl(queue_, EPOLL_CTL_ADD, c.fd, &event);
  }

  void until(std::uint64_t deadline) {
    epoll_event events[512];
    while (found_.errors == 0 && now_ns() < deadline) {
      const int ready = ::epoll_wait(queue_, events, 512, 20);
      for (int i = 0; i < ready && found_.errors == 0; ++i) serve(events[i].data.u64);
    }
  }

  void serve(std::size_t number) {
    connection& c = all_[number];
    if (!c.asked) {
      const ssize_t sent = ::send(c.fd, bytes_.at(0), plan_.size, MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) return;  // not connected yet
      if (sent != static_cast<ssize_t>(plan_.size)) return found_.fail(why("connect and send"));
      c.asked = true;
    }
    for (;;) {
      const ssize_t got = ::recv(c.fd, room_.data(), room_.size(), 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got < 0) return found_.fail(why("receive"));
      if (got == 0) return end(number);
      const auto size = static_cast<std::size_t>(got);
      if (c.got + size > plan_.size || !bytes_.same(c.got, room_.data(), size)) {
        ++found_.mismatches;
      }
      c.got += size;
      if (c.got >= plan_.size) ::shutdown(c.fd, SHUT_WR);
    }
  }

  void end(std::size_t number) {
    connection& c = all_[number];
    if (c.got != plan_.size) return found_.fail("the server ended a connection");
    ::close(c.fd);
    if (measuring_) {
      ++found_.requests;
      found_.bytes += plan_.size;
      found_.times.record(now_ns() - c.begun);
    }
    begin(number);
  }

  const plan& plan_;
  outcome& found_;
  byte_stream bytes_;
  process server_;
  std::vector<unsigned char> room_;
  std::vector<connection> all_;
  int queue_;
  std::uint64_t made_ = 0;
  bool measuring_ = false;
};

}  // namespace bench
