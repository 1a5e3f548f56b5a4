// Requests and answers on many connections, each with `depth` messages in flight; every byte that
// comes back is compared. Edge-triggered epoll: one receive and one send a turn of a connection.
#pragma once

#include "plan.hpp"

#include <sys/epoll.h>

namespace bench {

class exchange {
 public:
  exchange(const plan& p, outcome& found)
      : plan_{p}, found_{found}, talk_{conversation_of(p)}, server_{p.pid, p.allocations},
        room_(256 * 1024), queue_{::epoll_create1(EPOLL_CLOEXEC)} {}
  ~exchange() {
    for (const connection& c : all_) ::close(c.fd);
    ::close(queue_);
  }

  void run() {
    if (!open_all()) return;
    const std::uint64_t begun = now_ns();
    until(begun + ns(plan_.warm_seconds), 0);
    found_.before = server_.look(false);
    measuring_ = true;
    until(found_.before.at_ns + ns(plan_.seconds), plan_.count);
    found_.after = server_.look(true);
    measuring_ = false;
    stopping_ = true;
    until(now_ns() + ns(10), 0);
    if (in_flight_ != 0 && found_.errors == 0) found_.fail("answers are missing");
    for (const connection& c : all_) expect_end(c);
  }

 private:
  struct connection {
    int fd = -1;
    std::uint64_t sent = 0, received = 0, asked = 0, answered = 0;
    std::vector<std::uint64_t> begun;  // a ring of `depth` times
  };

  static std::uint64_t ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

  bool open_all() {
    all_.resize(plan_.connections);
    for (std::size_t i = 0; i < all_.size(); ++i) {
      connection& c = all_[i];
      c.fd = connect_to(plan_, i, true);
      if (c.fd < 0) {
        all_.resize(i);
        found_.fail(why("connect"));
        return false;
      }
      c.begun.resize(plan_.depth);
      const int flags = ::fcntl(c.fd, F_GETFL);
      ::fcntl(c.fd, F_SETFL, flags | O_NONBLOCK);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.u64 = i;
      ::epoll_ctl(queue_, EPOLL_CTL_ADD, c.fd, &event);
    }
    for (connection& c : all_) ask(c, now_ns());
    return true;
  }

  // Until the time has come, `count` answers have (unless zero), nothing is left to wait for, or
  // something broke.
  void until(std::uint64_t deadline, std::uint64_t count) {
    epoll_event events[512];
    while (found_.errors == 0 && !(stopping_ && in_flight_ == 0)) {
      const std::uint64_t now = now_ns();
      if (now >= deadline && count == 0) return;
      if (count != 0 && found_.requests >= count) return;
      if (count != 0 && now > deadline + ns(60)) return found_.fail("too slow");
      const int ready = ::epoll_wait(queue_, events, 512, 20);
      for (int i = 0; i < ready; ++i) serve(all_[events[i].data.u64], events[i].events);
    }
  }

  void serve(connection& c, std::uint32_t what) {
    if ((what & EPOLLIN) != 0 && !take(c)) return;
    ask(c, now_);
  }

  bool take(connection& c) {
    for (;;) {
      const ssize_t got = ::recv(c.fd, room_.data(), room_.size(), 0);
      now_ = now_ns();
      if (got < 0 && errno == EAGAIN) return true;
      if (got <= 0) {
        found_.fail(got == 0 ? "the server ended a connection" : why("receive"));
        return false;
      }
      const auto size = static_cast<std::size_t>(got);
      if (!talk_.in.same(c.received, room_.data(), size)) ++found_.mismatches;
      c.received += size;
      while (c.answered < c.asked && c.received >= (c.answered + 1) * talk_.in_size) {
        if (measuring_) {
          found_.times.record(now_ - c.begun[c.answered % plan_.depth]);
          ++found_.requests;
          found_.bytes += plan_.size;
        }
        ++c.answered;
        --in_flight_;
      }
      if (size < room_.size()) return true;
    }
  }

  void ask(connection& c, std::uint64_t now) {
    while (!stopping_ && c.asked - c.answered < plan_.depth) {
      c.begun[c.asked % plan_.depth] = now;
      ++c.asked;
      ++in_flight_;
    }
    for (;;) {
      const std::uint64_t left = c.asked * talk_.out_size - c.sent;
      if (left == 0) return;
      const std::size_t size = std::min<std::uint64_t>(left, bench_bulk_bytes);
      const ssize_t sent = ::send(c.fd, talk_.out.at(c.sent), size, MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) return;
      if (sent < 0) return found_.fail(why("send"));
      c.sent += static_cast<std::uint64_t>(sent);
    }
  }

  // Nothing may follow the last answer but the end.
  void expect_end(const connection& c) {
    ::shutdown(c.fd, SHUT_WR);
    const int flags = ::fcntl(c.fd, F_GETFL);
    ::fcntl(c.fd, F_SETFL, flags & ~O_NONBLOCK);
    const timeval limit{5, 0};
    ::setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const ssize_t got = ::recv(c.fd, room_.data(), room_.size(), 0);
    if (got > 0) ++found_.mismatches;
    if (got < 0 && found_.errors == 0) found_.fail(why("the end of a connection"));
  }

  const plan& plan_;
  outcome& found_;
  conversation talk_;
  process server_;
  std::vector<unsigned char> room_;
  int queue_;
  std::vector<connection> all_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t now_ = now_ns();
  bool measuring_ = false, stopping_ = false;
};

}  // namespace bench
