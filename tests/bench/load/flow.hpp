// Bytes in one direction. To a sink the count that it answers must be ours; from a source every
// byte is compared. A source whose turn it is not waits for room.
#pragma once

#include "turns.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>

namespace bench {

class flow : public turns<flow> {
 public:
  flow(const plan& p, const target& to, outcome& found)
      : turns{p, to, found}, to_sink_{p.work == "sink"} {
    for (std::size_t i = 0; i < p.connections && found.errors == 0; ++i) {
      all_.push_back({open(i, i, true, to_sink_ ? EPOLLOUT : EPOLLIN)});
    }
  }

  void resume() { stopping_ = false; }

  void serve(std::size_t number, std::uint32_t what) {
    if (stopping_) {
      if ((what & (EPOLLERR | EPOLLHUP)) != 0) found_.fail("the server ended a connection");
      return;
    }
    connection& c = all_[number];
    for (int step = 0; step < steps_a_turn; ++step) {
      if (!(to_sink_ ? push(c) : pull(c))) break;
    }
  }

  // What a sink still has to take in is of this turn, and so is its time.
  void settle() {
    if (!to_sink_) return;
    stopping_ = true;
    until(now_ns() + ns_of(settle_seconds_max), 0, [this] { return all_taken_in(); });
    if (!all_taken_in() && found_.errors == 0) found_.fail("the server does not take all in");
    server_.let_rest();
    slice_.after.at_ns = now_ns();
  }

  void finish() {
    if (!to_sink_) return;
    for (const connection& c : all_) expect_count(c);
  }

 private:
  struct connection {
    int fd = -1;
    std::uint64_t at = 0;
  };
  enum { steps_a_turn = 8 };

  bool all_taken_in() const {
    for (const connection& c : all_) {
      int left = 0;
      if (::ioctl(c.fd, SIOCOUTQ, &left) != 0 || left > 0) return false;
    }
    return true;
  }

  void moved(connection& c, ssize_t bytes) {
    c.at += static_cast<std::uint64_t>(bytes);
    if (!measuring_) return;
    slice_.bytes += static_cast<std::uint64_t>(bytes);
    slice_.requests = slice_.bytes / plan_.size;
  }

  // One message, or what fits of it.
  bool push(connection& c) {
    const std::size_t size = plan_.size - static_cast<std::size_t>(c.at % plan_.size);
    const ssize_t sent = ::send(c.fd, bytes_.at(c.at), size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) found_.fail(why("send"));
      return false;
    }
    moved(c, sent);
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
    moved(c, got);
    return size == room_.size();
  }

  void expect_count(const connection& c) {
    ::shutdown(c.fd, SHUT_WR);
    block(c.fd, true);
    const timeval limit{10, 0};
    ::setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    unsigned char answer[8];
    if (::recv(c.fd, answer, sizeof answer, MSG_WAITALL) != 8) return found_.fail(why("count"));
    std::uint64_t total = 0;
    for (int i = 7; i >= 0; --i) total = total << 8 | answer[i];
    if (total != c.at) ++found_.mismatches;
  }

  bool to_sink_;
  bool stopping_ = false;
  std::vector<connection> all_;
};

}  // namespace bench
