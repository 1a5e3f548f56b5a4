// The limits of the system, without any library: blocking TCP (tcp), TCP with both ends spinning
// (tcp_spin), blocking AF_UNIX (unix), a ring in shared memory with both ends spinning (memory).
//
// Fair because: TCP_NODELAY, one thread an end, a buffer of the message's size, one way 64 KiB, a
// ring of 64 KiB each way as Fairway has, the compiler's flags of all contenders. They are limits:
// they serve one connection, and the spinning ones burn a core each.
#include "pair.hpp"

#include "../servers/posix.h"

#include <atomic>
#include <memory>
#include <new>
#include <sys/socket.h>

namespace {

using bench::pair_outcome;
using bench::pair_plan;

void breathe() { __builtin_ia32_pause(); }

// All of a message by an end's `take`; false when there is no more.
template <class End>
class whole {
 public:
  bool receive(void* bytes, std::size_t size) {
    char* at = static_cast<char*>(bytes);
    while (size > 0) {
      const std::size_t got = static_cast<End*>(this)->take(at, size);
      if (got == 0) return false;
      at += got;
      size -= got;
    }
    return true;
  }
};

class socket_end : public whole<socket_end> {
 public:
  socket_end(int fd, bool spin) : fd_{fd}, flags_{spin ? MSG_DONTWAIT : 0} {}

  void send(const void* bytes, std::size_t size) {
    const char* at = static_cast<const char*>(bytes);
    while (size > 0) {
      const ssize_t sent = ::send(fd_, at, size, flags_ | MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) {
        breathe();
        continue;
      }
      if (sent < 0) bench_give_up("send");
      at += sent;
      size -= static_cast<std::size_t>(sent);
    }
  }
  std::size_t take(void* bytes, std::size_t size) {
    for (;;) {
      const ssize_t got = ::recv(fd_, bytes, size, flags_);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EAGAIN) return 0;
      breathe();
    }
  }
  void finish() { ::shutdown(fd_, SHUT_WR); }

 private:
  int fd_;
  int flags_;
};

// One direction: bytes, and two counters a line apart. Each end keeps a copy of the other's.
struct ring {
  static constexpr std::size_t bytes = 64 * 1024;  // as Fairway's
  alignas(128) std::atomic<std::uint64_t> tail{0};
  alignas(128) std::atomic<std::uint64_t> head{0};
  alignas(128) std::atomic<bool> ended{false};
  alignas(128) char room[bytes];
};

class memory_end : public whole<memory_end> {
 public:
  memory_end(ring& out, ring& in) : out_{out}, in_{in} {}

  void send(const void* bytes, std::size_t size) {
    const char* at = static_cast<const char*>(bytes);
    while (size > 0) {
      while (ring::bytes == tail_ - their_head_) {
        their_head_ = out_.head.load(std::memory_order_acquire);
        if (ring::bytes == tail_ - their_head_) breathe();
      }
      const std::size_t place = tail_ % ring::bytes;
      std::size_t step = std::min<std::size_t>(size, ring::bytes - (tail_ - their_head_));
      step = std::min(step, ring::bytes - place);
      std::memcpy(out_.room + place, at, step);
      tail_ += step;
      out_.tail.store(tail_, std::memory_order_release);
      at += step;
      size -= step;
    }
  }
  std::size_t take(void* bytes, std::size_t size) {
    while (head_ == their_tail_) {
      const bool ended = in_.ended.load(std::memory_order_acquire);
      their_tail_ = in_.tail.load(std::memory_order_acquire);
      if (head_ != their_tail_) break;
      if (ended) return 0;
      breathe();
    }
    const std::size_t place = head_ % ring::bytes;
    std::size_t step = std::min<std::size_t>(size, their_tail_ - head_);
    step = std::min(step, ring::bytes - place);
    std::memcpy(bytes, in_.room + place, step);
    head_ += step;
    in_.head.store(head_, std::memory_order_release);
    return step;
  }
  void finish() { out_.ended.store(true, std::memory_order_release); }

 private:
  ring& out_;
  ring& in_;
  std::uint64_t tail_ = 0, their_head_ = 0, head_ = 0, their_tail_ = 0;
};

int run_memory(const pair_plan& p) {
  void* at = ::mmap(nullptr, 2 * sizeof(ring), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) bench_give_up("mmap");
  std::memset(at, 0, 2 * sizeof(ring));  // the pages are there before anything is measured
  ring* rings = static_cast<ring*>(at);
  std::uninitialized_default_construct_n(rings, 2);
  return bench::run_pair(
      p, [&] { memory_end end{rings[1], rings[0]}; bench::serve_blocking(end, p); },
      [&](pair_outcome& found) {
        memory_end end{rings[0], rings[1]};
        return bench::measure_blocking(end, p, found);
      });
}

void serve_socket(int fd, const pair_plan& p) {
  socket_end end{fd, p.transport == "tcp_spin"};
  bench::serve_blocking(end, p);
}

bool measure_socket(int fd, const pair_plan& p, pair_outcome& found) {
  socket_end end{fd, p.transport == "tcp_spin"};
  return bench::measure_blocking(end, p, found);
}

int run_unix(const pair_plan& p) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) bench_give_up("socketpair");
  return bench::run_pair(
      p, [&] { ::close(fds[0]); serve_socket(fds[1], p); },
      [&](pair_outcome& found) { ::close(fds[1]); return measure_socket(fds[0], p, found); });
}

int connect_to(int listener) {
  sockaddr_in at{};
  socklen_t size = sizeof at;
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0 || fd < 0 ||
      ::connect(fd, reinterpret_cast<const sockaddr*>(&at), size) != 0) {
    bench_give_up("connect");
  }
  bench_no_delay(fd);
  return fd;
}

int run_tcp(const pair_plan& p) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (listener < 0 || ::bind(listener, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0 ||
      ::listen(listener, bench_backlog) != 0) {
    bench_give_up("listen");
  }
  return bench::run_pair(
      p,
      [&] {
        for (;;) {
          const int fd = ::accept(listener, nullptr, nullptr);
          if (fd < 0) bench_give_up("accept");
          bench_no_delay(fd);
          if (p.work != "connect") serve_socket(fd, p);
          ::close(fd);
        }
      },
      [&](pair_outcome& found) {
        if (p.work != "connect") return measure_socket(connect_to(listener), p, found);
        found.begin();
        const bench::limit time{p};
        while (!time.reached(found.messages, 1)) {
          const std::uint64_t begun = bench::now_ns();
          const int fd = connect_to(listener);
          found.times.record(bench::now_ns() - begun);
          ::close(fd);
          ++found.messages;
        }
        found.end();
        return true;
      });
}

}  // namespace

int main(int count, char** words) {
  const pair_plan p = bench::parse_pair(count, words);
  if (p.transport == "memory") return run_memory(p);
  if (p.transport == "unix") return run_unix(p);
  return run_tcp(p);
}
