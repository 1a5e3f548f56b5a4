// Bytes in one direction. To a sink the count that it answers must be ours; from a source every
// byte is compared.
#pragma once

#include "plan.hpp"

#include <sys/epoll.h>

namespace bench {

class flow {
 public:
  flow(const plan& p, outcome& found)
      : plan_{p}, found_{found}, bytes_{byte_stream::of_pattern()},
        server_{p.pid, p.allocations}, room_(256 * 1024), to_sink_{p.work == "sink"},
        queue_{::epoll_create1(EPOLL_CLOEXEC)} {}
  ~flow() {
    for (const connection& c : all_) ::close(c.fd);
    ::close(queue_);
  }

  void run() {
    if (!open_all()) return;
    until(now_ns() + static_cast<std::uint64_t>(plan_.warm_seconds * 1e9));
    found_.before = server_.look(false);
    const std::uint64_t bytes = moved_;
    until(found_.before.at_ns + static_cast<std::uint64_t>(plan_.seconds * 1e9));
    found_.after = server_.look(true);
    found_.bytes = moved_ - bytes;
    found_.requests = found_.bytes / plan_.size;
    if (to_sink_) {
      for (const connection& c : all_) expect_count(c);
    }
  }

 private:
  struct connection {
    int fd = -1;
    std::uint64_t at = 0;
  };
  enum { steps_a_turn = 8 };

  bool open_all() {
    all_.resize(plan_.connections);
    for (std::size_t i = 0; i < all_.size(); ++i) {
      all_[i].fd = connect_to(plan_, i, true);
      if (all_[i].fd < 0) {
        all_.resize(i);
        found_.fail(why("connect"));
        return false;
      }
      const int flags = ::fcntl(all_[i].fd, F_GETFL);
      ::fcntl(all_[i].fd, F_SETFL, flags | O_NONBLOCK);
      epoll_event event{};
      event.events = to_sink_ ? EPOLLOUT : EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(queue_, EPOLL_CTL_ADD, all_[i].fd, &event);
    }
    return true;
  }

  void until(std::uint64_t deadline) {
    epoll_event events[512];
    while (found_.errors == 0 && now_ns() < deadline) {
      const int ready = ::epoll_wait(queue_, events, 512, 20);
      for (int i = 0; i < ready; ++i) {
        connection& c = all_[events[i].data.u64];
        for (int step = 0; step < steps_a_turn; ++step) {
          if (!(to_sink_ ? push(c) : pull(c))) break;
        }
      }
    }
  }

  // One message, or what fits of it.
  bool push(connection& c) {
    const std::size_t size = plan_.size - static_cast<std::size_t>(c.at % plan_.size);
    const ssize_t sent = ::send(c.fd, bytes_.at(c.at), size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) found_.fail(why("send"));
      return false;
    }
    c.at += static_cast<std::uint64_t>(sent);
    moved_ += static_cast<std::uint64_t>(sent);
    return true;
  }

  bool pull(connection& c) {
    const ssize_t got = ::recv(c.fd, room_.data(), room_.size(), 0);
    if (got <= 0) {
      if (got == 0 || errno != EAGAIN) found_.fail("the server ended a connection");
      return false;
    }
    const auto size = static_cast<std::size_t>(got);
    if (!bytes_.same(c.at, room_.data(), size)) ++found_.mismatches;
    c.at += size;
    moved_ += size;
    return size == room_.size();
  }

  void expect_count(const connection& c) {
    ::shutdown(c.fd, SHUT_WR);
    const int flags = ::fcntl(c.fd, F_GETFL);
    ::fcntl(c.fd, F_SETFL, flags & ~O_NONBLOCK);
    const timeval limit{10, 0};
    ::setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    unsigned char answer[8];
    if (::recv(c.fd, answer, sizeof answer, MSG_WAITALL) != 8) return found_.fail(why("count"));
    std::uint64_t total = 0;
    for (int i = 7; i >= 0; --i) total = total << 8 | answer[i];
    if (total != c.at) ++found_.mismatches;
  }

  const plan& plan_;
  outcome& found_;
  byte_stream bytes_;
  process server_;
  std::vector<unsigned char> room_;
  bool to_sink_;
  int queue_;
  std::vector<connection> all_;
  std::uint64_t moved_ = 0;
};

}  // namespace bench
