// What the load generator is told, what it finds out, and the bytes it sends and expects.
#pragma once

#include "gauge.hpp"
#include "histogram.hpp"
#include "process.hpp"

#include "../servers/posix.h"

#include <boost/align/aligned_allocator.hpp>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

namespace bench {

using aligned_bytes =
    std::vector<unsigned char, boost::alignment::aligned_allocator<unsigned char, bench_boundary>>;

// A server that is measured.
struct target {
  sockaddr_in at{};
  pid_t pid = 0;                      // 0: nobody's CPU time and memory are read
  const char* allocations = nullptr;  // where its counting allocator keeps its number
};

struct plan {
  std::string work = "echo";
  std::vector<target> servers;
  std::size_t size = 64;         // of one message
  std::size_t connections = 1;   // to each server
  std::size_t depth = 1;         // messages in flight on each connection
  std::size_t turns = 1;         // of each server
  double warm_seconds = 0.1;     // of each turn, not measured
  double seconds = 1;            // of each turn
  std::uint64_t count = 0;       // requests to measure instead of a time; 0: by time
  int pause_ms = 0;              // echo: after each answer, so that the server is asleep
  // A turn lasts until all that was in flight when its time was up has been answered: for works
  // that have seconds of it.
  bool whole = false;
  // Never sleeps while it measures: otherwise a server pays for waking the load generator, now and
  // then, and on a virtual machine that costs more than a request.
  bool poll = false;
};

// One turn of one server.
struct slice {
  usage before, after;
  condition begun, ended;
  std::uint64_t requests = 0;    // all, those that were in flight at the end too
  std::uint64_t timed = 0;       // within the time
  std::uint64_t settled_ns = 0;  // when the last was answered
  std::uint64_t bytes = 0;       // of payload, one direction
  histogram::summary times;
};

// What one server did.
struct outcome {
  std::vector<slice> slices;
  histogram times;               // of all slices
  std::uint64_t errors = 0;
  std::uint64_t mismatches = 0;
  std::string first_error;
  double bytes_a_connection = 0; // idle only
  double idle_cpu_us = 0;        // idle only: of the server in a second
  double idle_switches = 0;      // idle only: times it woke in that second

  void fail(const std::string& what) {
    if (++errors == 1) first_error = what;
  }
  void forget() {
    slices.clear();
    times = {};
  }
};

// An endless stream of bytes that repeats, with at least 64 KiB to look at from every place.
class byte_stream {
 public:
  explicit byte_stream(aligned_bytes once) : period_{once.size()} {
    bytes_ = std::move(once);
    while (bytes_.size() < period_ + bench_bulk_bytes) {
      bytes_.push_back(bytes_[bytes_.size() - period_]);
    }
  }
  static byte_stream of_pattern() {
    aligned_bytes once(bench_bulk_bytes);
    for (std::uint32_t i = 0; i < once.size(); ++i) once[i] = bench_pattern(i);
    return byte_stream{std::move(once)};
  }
  static byte_stream of_text(const std::string& text) {
    return byte_stream{aligned_bytes(text.begin(), text.end())};
  }

  const unsigned char* at(std::uint64_t place) const { return bytes_.data() + place % period_; }

  bool same(std::uint64_t place, const unsigned char* bytes, std::size_t size) const {
    while (size > 0) {
      const std::size_t step = std::min<std::size_t>(size, bench_bulk_bytes);
      if (std::memcmp(at(place), bytes, step) != 0) return false;
      place += step;
      bytes += step;
      size -= step;
    }
    return true;
  }

 private:
  std::size_t period_;
  aligned_bytes bytes_;
};

// What a connection sends and what it must get back, message by message.
struct conversation {
  byte_stream out, in;
  std::size_t out_size, in_size;
};

inline conversation conversation_of(const plan& p) {
  // A binary key-value exchange in the protocol of Redis: the same command and answer each time.
  const std::string value(p.size, 'v');
  const std::string length = std::to_string(p.size);
  std::string command, answer;
  if (p.work == "redis_ping") {
    command = "*1\r\n$4\r\nPING\r\n";
    answer = "+PONG\r\n";
  } else if (p.work == "redis_set") {
    command = "*3\r\n$3\r\nSET\r\n$5\r\nbench\r\n$" + length + "\r\n" + value + "\r\n";
    answer = "+OK\r\n";
  } else if (p.work == "redis_get") {
    command = "*2\r\n$3\r\nGET\r\n$5\r\nbench\r\n";
    answer = "$" + length + "\r\n" + value + "\r\n";
  } else {
    return {byte_stream::of_pattern(), byte_stream::of_pattern(), p.size, p.size};
  }
  return {byte_stream::of_text(command), byte_stream::of_text(answer), command.size(),
          answer.size()};
}

// A connected socket, or -1 with errno. `number` spreads the source over addresses, so that no
// amount of closed connections uses up the ports.
inline int connect_to(const target& to, std::uint64_t number, bool blocking) {
  const int one = 1;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (blocking ? 0 : SOCK_NONBLOCK), 0);
  if (fd < 0) return -1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(0x7f010001u + static_cast<std::uint32_t>(number % 250 * 256));
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0 &&
      (::connect(fd, reinterpret_cast<const sockaddr*>(&to.at), sizeof to.at) == 0 ||
       errno == EINPROGRESS)) {
    return fd;
  }
  const int why = errno;
  ::close(fd);
  errno = why;
  return -1;
}

inline std::string why(const char* what) {
  return std::string{what} + ": " + std::strerror(errno);
}

}  // namespace bench
