// The load that `echo_client` makes: connections that keep messages in flight and compare every
// byte that comes back.
#pragma once

#include "latency.hpp"
#include "pattern.hpp"

#include <fairway/fairway.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace samples {

namespace asio = boost::asio;
using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct run_plan {
  std::size_t size, connections, depth, count, seconds;
  bool random;
};

struct totals {
  latency rtt;
  std::size_t requests = 0, bytes = 0, errors = 0, mismatches = 0;
  std::string first_error;
  bool stopping = false;
};

struct message {
  std::size_t bytes;
  clock_type::time_point sent;
};

// One connection: a writer that keeps `depth` messages in flight, and a reader that checks.
struct connection {
  connection(fairway::completion_port& p, fairway::stream s, const run_plan& r, std::size_t number)
      : stream{std::move(s)}, room{p}, plan{r}, sizes{number}, left{share(r, number)} {
    stream.set_timeouts({.read = 30s, .write = 30s});
  }
  static std::size_t share(const run_plan& r, std::size_t number) {
    return r.count / r.connections + (number < r.count % r.connections ? 1 : 0);
  }

  fairway::stream stream;
  fairway::timer room;  // awaited by the writer while `depth` messages are in flight
  const run_plan& plan;
  random_sizes sizes;
  std::size_t left;
  std::deque<message> in_flight;
  bool broken = false;
};

inline void note_error(totals& sum, const boost::system::error_code& ec) {
  if (++sum.errors == 1) sum.first_error = ec.message();
}

inline fairway::task<> write_all(connection& c, totals& sum, const pattern& bytes) {
  std::size_t at = 0;
  while (!sum.stopping && !c.broken && (c.plan.seconds != 0 || c.left != 0)) {
    while (c.in_flight.size() >= c.plan.depth && !c.broken) {
      c.room.expires_at(clock_type::time_point::max());
      (void)co_await c.room.async_wait();
    }
    if (c.broken) break;
    if (c.left != 0) --c.left;
    const std::size_t size = c.plan.random ? c.sizes.next(c.plan.size) : c.plan.size;
    c.in_flight.push_back({size, clock_type::now()});
    if (auto sent = co_await fairway::async_write(c.stream, bytes.at(at, size)); !sent) {
      if (!c.broken) note_error(sum, sent.error());
      break;
    }
    at += size;
  }
  (void)c.stream.shutdown(fairway::shutdown_kind::send);
}

inline fairway::task<> read_all(connection& c, totals& sum, const pattern& bytes) {
  std::vector<char> buffer(std::max<std::size_t>(64 * 1024, c.plan.size));
  std::size_t at = 0;
  std::size_t done = 0;  // bytes of the oldest message that have come back
  for (;;) {
    auto got = co_await c.stream.async_read_some(asio::buffer(buffer));
    if (!got) {
      const bool orderly = got.error() == fairway::condition::eof && c.in_flight.empty();
      if (!orderly) note_error(sum, got.error());
      break;
    }
    if (!bytes.same(at, buffer.data(), got.value())) ++sum.mismatches;
    at += got.value();
    done += got.value();
    const auto now = clock_type::now();
    while (!c.in_flight.empty() && done >= c.in_flight.front().bytes) {
      done -= c.in_flight.front().bytes;
      sum.bytes += c.in_flight.front().bytes;
      sum.rtt.record(now - c.in_flight.front().sent);
      ++sum.requests;
      c.in_flight.pop_front();
    }
    if (c.in_flight.size() < c.plan.depth) c.room.cancel();
  }
  c.broken = true;
  c.room.cancel();
}

}  // namespace samples
