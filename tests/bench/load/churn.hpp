// Short connections, `connections` at a time: connect, one message there and back, end of file from
// us, end of file from the server, the next one. A request is one whole connection.
#pragma once

#include "turns.hpp"

namespace bench {

class churn : public turns<churn> {
 public:
  churn(const plan& p, const target& to, outcome& found)
      : turns{p, to, found}, all_(p.connections) {}

  void resume() {
    stopping_ = false;
    for (std::size_t i = 0; i < all_.size(); ++i) begin(i);
  }

  void serve(std::size_t number, std::uint32_t) {
    connection& c = all_[number];
    if (!c.asked) {
      const ssize_t sent = ::send(c.fd, bytes_.at(0), plan_.size, MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) return;  // not connected yet
      if (sent != static_cast<ssize_t>(plan_.size)) return found_.fail(why("connect and send"));
      c.asked = true;
    }
    for (;;) {
      const ssize_t got = ::recv(c.fd, room_.data(), plan_.size + 1, 0);
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

  void settle() {
    stopping_ = true;
    until(now_ns() + ns_of(settle_seconds_max), 0, [this] { return open_ == 0; });
    if (open_ != 0 && found_.errors == 0) found_.fail("connections do not end");
  }

  void finish() {}

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
    c.fd = open(number, made_++, false, EPOLLIN | EPOLLOUT | EPOLLET);
    ++open_;
  }

  void end(std::size_t number) {
    connection& c = all_[number];
    if (c.got != plan_.size) return found_.fail("the server ended a connection");
    close(number);
    --open_;
    note(c.begun, now_ns());
    if (!stopping_) begin(number);
  }

  std::vector<connection> all_;
  std::size_t open_ = 0;
  std::uint64_t made_ = 0;
  bool stopping_ = false;
};

}  // namespace bench
