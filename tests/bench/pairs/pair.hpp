// Two processes of one library with itself, for what no common load generator can speak: messages
// of ZeroMQ, shared memory, unix-domain sockets, the fast path. The parent is the client.
//
//   PAIR --transport NAME --work round_trip|parked|one_way|connect|... [--size BYTES] [--seconds S]
//        [--count N] [--server-core N] [--client-core N]
//
// round_trip  one message there and back, again and again; every byte is compared
// parked      the same with 2 ms of sleep between, so that both ends have to be woken
// one_way     messages in one direction; at the end the server answers how many bytes it took
// connect     connect and close, a connection at a time
// stranger    the same to a listener without the fast path (Fairway only)
// idle        a second of doing nothing after some round trips (Fairway only)
// With --count, so many round trips or connections and no time: for counting system calls.
#pragma once

#include "../load/histogram.hpp"
#include "../load/process.hpp"
#include "../servers/common.h"

#include <boost/align/aligned_allocator.hpp>

#include <csignal>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <vector>

namespace bench {

using message_bytes =
    std::vector<char, boost::alignment::aligned_allocator<char, bench_boundary>>;

struct pair_plan {
  std::string transport, work;
  std::size_t size = 64;
  double seconds = 1;
  std::uint64_t count = 0;
  int server_core = -1, client_core = -1;
};

struct pair_outcome {
  histogram times;
  std::uint64_t messages = 0;
  std::uint64_t mismatches = 0;
  double seconds = 0;
  double kernel_entries = -1;  // of the client a message, where the library counts them
  // connect: medians of the first tenth to the last one; the same of plain TCP, taken in turn with
  // them, where a library has a faster path.
  std::vector<double> tenths_us, plain_tenths_us;
  double plain_us = -1;
  double idle_cpu_us = -1, idle_wakes = -1;  // idle: of the server in a second
  pid_t server = 0;
  usage before, after;
  std::string path, reason;

  // Around what is measured.
  void begin() { before = process{server, nullptr}.look(false); }
  void end() {
    after = process{server, nullptr}.look(true);
    seconds = static_cast<double>(after.at_ns - before.at_ns) / 1e9;
  }
};

inline pair_plan parse_pair(int count, char** words) {
  bench_arguments given{};
  given.count = count;
  given.words = words;
  const auto word = [&](const char* name, const char* otherwise) {
    return bench_word(&given, name, otherwise);
  };
  pair_plan p;
  p.transport = word("--transport", "tcp");
  p.work = word("--work", "round_trip");
  p.size = std::strtoull(word("--size", "64"), nullptr, 10);
  p.seconds = std::strtod(word("--seconds", "1"), nullptr);
  p.count = std::strtoull(word("--count", "0"), nullptr, 10);
  p.server_core = std::atoi(word("--server-core", "-1"));
  p.client_core = std::atoi(word("--client-core", "-1"));
  return p;
}

inline void pin(int core) {
  if (core < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

// Says when a measurement is over; looks at the clock only now and then.
class limit {
 public:
  explicit limit(const pair_plan& p)
      : count_{p.count}, end_{now_ns() + static_cast<std::uint64_t>(p.seconds * 1e9)} {}
  bool reached(std::uint64_t done, std::uint64_t every) const {
    if (count_ != 0) return done >= count_;
    return done % every == 0 && now_ns() >= end_;
  }

 private:
  std::uint64_t count_, end_;
};

constexpr int parked_pause_ms = 2;

inline std::uint64_t warm_up(const pair_plan& p) {
  return p.work == "parked" ? 10 : 1000 / (1 + p.size / 16384);
}

inline message_bytes message_of(const pair_plan& p) {
  message_bytes made(p.size);
  for (std::uint32_t i = 0; i < made.size(); ++i) made[i] = static_cast<char>(bench_pattern(i));
  return made;
}

inline void print_list(const char* name, const std::vector<double>& list) {
  std::printf("\"%s\": [", name);
  for (std::size_t i = 0; i < list.size(); ++i) std::printf("%s%.2f", i == 0 ? "" : ", ", list[i]);
  std::printf("], ");
}

inline void print_pair(const pair_plan& p, const pair_outcome& o) {
  const auto server_cpu_ns = static_cast<double>(o.after.cpu_ns - o.before.cpu_ns);
  const auto client_cpu_ns = static_cast<double>(o.after.own_cpu_ns - o.before.own_cpu_ns);
  const double messages = o.messages != 0 ? static_cast<double>(o.messages) : 1;
  std::printf("{\"transport\": \"%s\", \"work\": \"%s\", \"size\": %zu, ", p.transport.c_str(),
              p.work.c_str(), p.size);
  std::printf("\"path\": \"%s\", \"reason\": \"%s\", \"mismatches\": %llu, ", o.path.c_str(),
              o.reason.c_str(), static_cast<unsigned long long>(o.mismatches));
  if (o.plain_us < 0) {  // otherwise others had a part of the time
    std::printf("\"requests_per_second\": %.1f, \"bytes_per_second\": %.0f, ",
                messages / o.seconds, messages * static_cast<double>(p.size) / o.seconds);
    std::printf("\"cpu_us\": %.4f, \"client_cpu_us\": %.4f, ", server_cpu_ns / messages / 1000,
                client_cpu_ns / messages / 1000);
  }
  std::printf("\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f, \"max_us\": %.3f, ",
              o.times.percentile_us(0.5), o.times.percentile_us(0.99),
              o.times.percentile_us(0.999), o.times.max_us());
  if (o.kernel_entries >= 0) std::printf("\"kernel_entries\": %.5f, ", o.kernel_entries);
  if (!o.tenths_us.empty()) {
    std::printf("\"flat\": %.3f, ", o.tenths_us.back() / o.tenths_us.front());
    print_list("tenths_us", o.tenths_us);
    print_list("plain_tenths_us", o.plain_tenths_us);
  }
  if (o.plain_us > 0) {
    std::printf("\"to_plain\": %.4f, ", o.times.percentile_us(0.5) / o.plain_us);
  }
  const std::uint64_t user = o.after.user_ticks - o.before.user_ticks;
  const std::uint64_t system = o.after.system_ticks - o.before.system_ticks;
  if (o.plain_us < 0 && user + system > 0) {
    const double share = static_cast<double>(user) / static_cast<double>(user + system);
    std::printf("\"user_us\": %.4f, \"system_us\": %.4f, ",
                share * server_cpu_ns / messages / 1000,
                (1 - share) * server_cpu_ns / messages / 1000);
  }
  if (o.after.resident_kib > 0) {  // it has not ended yet
    std::printf("\"resident_kib\": %llu, \"threads\": %llu, ",
                static_cast<unsigned long long>(o.after.resident_kib),
                static_cast<unsigned long long>(o.after.threads));
  }
  if (o.idle_wakes >= 0) {
    std::printf("\"idle_cpu_us\": %.1f, \"idle_wakes\": %.0f, ", o.idle_cpu_us, o.idle_wakes);
  }
  std::printf("\"messages\": %llu}\n", static_cast<unsigned long long>(o.messages));
}

// Forks the server, measures in the parent, prints. `Server` is called in the child and does not
// return in time; `Client` fills in an outcome.
template <class Server, class Client>
int run_pair(const pair_plan& p, Server server, Client client) {
  const pid_t child = ::fork();
  if (child < 0) bench_give_up("fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(p.server_core);
    server();
    std::exit(0);
  }
  pin(p.client_core);
  pair_outcome found;
  found.server = child;
  const bool done = client(found);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (!done) return 1;
  print_pair(p, found);
  return found.mismatches == 0 ? 0 : 1;
}

// The works for an end with blocking calls: send(bytes, size), receive(bytes, size) of exactly so
// many, and for one_way finish() by the client and take() by the server, which is 0 at the end.
template <class End>
void serve_blocking(End& end, const pair_plan& p) {
  message_bytes room(std::max<std::size_t>(p.size, bench_bulk_bytes));
  if (p.work != "one_way") {
    while (end.receive(room.data(), p.size)) end.send(room.data(), p.size);
    return;
  }
  std::uint64_t total = 0;
  while (const std::size_t got = end.take(room.data(), room.size())) total += got;
  unsigned char answer[8];
  bench_count_bytes(total, answer);
  end.send(answer, sizeof answer);
}

template <class End>
bool measure_blocking(End& end, const pair_plan& p, pair_outcome& found) {
  const message_bytes out = message_of(p);
  message_bytes in(p.size);
  if (p.work == "one_way") {
    found.begin();
    const limit time{p};
    while (!time.reached(found.messages, 64)) {
      end.send(out.data(), p.size);
      ++found.messages;
    }
    end.finish();
    unsigned char answer[8], wanted[8];
    bench_count_bytes(found.messages * p.size, wanted);
    if (!end.receive(answer, sizeof answer) || std::memcmp(answer, wanted, 8) != 0) {
      ++found.mismatches;
    }
    found.end();
    return true;
  }
  const bool parked = p.work == "parked";
  for (std::uint64_t i = 0; i < warm_up(p); ++i) {
    end.send(out.data(), p.size);
    if (!end.receive(in.data(), p.size)) return false;
  }
  found.begin();
  const limit time{p};
  while (!time.reached(found.messages, parked ? 1 : 16)) {
    if (parked) ::poll(nullptr, 0, parked_pause_ms);
    const std::uint64_t begun = now_ns();
    end.send(out.data(), p.size);
    if (!end.receive(in.data(), p.size)) return false;
    found.times.record(now_ns() - begun);
    ++found.messages;
    if (in != out) ++found.mismatches;
  }
  found.end();
  return true;
}

}  // namespace bench
