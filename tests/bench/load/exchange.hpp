// Requests and answers on many connections, each with `depth` messages in flight; every byte that
// comes back is compared. Edge-triggered epoll: one receive and one send a turn of a connection.
#pragma once

#include "turns.hpp"

namespace bench {

class exchange : public turns<exchange> {
 public:
  exchange(const plan& p, const target& to, outcome& found)
      : turns{p, to, found}, talk_{conversation_of(p)} {
    for (std::size_t i = 0; i < p.connections && found.errors == 0; ++i) {
      connection& c = all_.emplace_back();
      c.fd = open(i, i, true, EPOLLIN | EPOLLOUT | EPOLLET);
      c.begun.resize(p.depth);
    }
  }

  void resume() {
    stopping_ = false;
    for (connection& c : all_) ask(c, now_ns());
  }

  void serve(std::size_t number, std::uint32_t what) {
    connection& c = all_[number];
    if ((what & EPOLLIN) != 0 && !take(c)) return;
    if (plan_.pause_ms > 0) ::poll(nullptr, 0, plan_.pause_ms);
    ask(c, now_);
  }

  void settle() {
    stopping_ = true;
    until(now_ns() + ns_of(settle_seconds_max), 0, [this] { return in_flight_ == 0; });
    if (in_flight_ != 0 && found_.errors == 0) found_.fail("answers are missing");
  }

  // Nothing may follow the last answer but the end.
  void finish() {
    for (const connection& c : all_) {
      ::shutdown(c.fd, SHUT_WR);
      block(c.fd, true);
      const timeval limit{5, 0};
      ::setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      const ssize_t got = ::recv(c.fd, room_.data(), room_.size(), 0);
      if (got > 0) ++found_.mismatches;
      if (got < 0 && found_.errors == 0) found_.fail(why("the end of a connection"));
    }
  }

 private:
  struct connection {
    int fd = -1;
    std::uint64_t sent = 0, received = 0, asked = 0, answered = 0;
    std::vector<std::uint64_t> begun;  // a ring of `depth` times
  };

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
        note(c.begun[c.answered % plan_.depth], now_);
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

  conversation talk_;
  std::vector<connection> all_;
  std::uint64_t in_flight_ = 0;
  std::uint64_t now_ = now_ns();
  bool stopping_ = false;
};

}  // namespace bench
