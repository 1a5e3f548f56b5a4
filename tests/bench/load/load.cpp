// The load generator for every TCP server of the comparison: one thread on epoll, compares every
// byte, reads the server's CPU time and its own at both ends of the measured time. With several
// servers it is the one that gives them their turns: A B C, C B A, A B C, ...
#include "churn.hpp"
#include "exchange.hpp"
#include "flow.hpp"
#include "idle.hpp"

#include <csignal>
#include <memory>
#include <string_view>
#include <sys/resource.h>

namespace {

constexpr const char* help =
    "bench_load --connect ADDRESS:PORT, and\n"
    "  --pid N             the server, whose CPU time and memory are read\n"
    "  --allocations FILE  where the counting allocator of the server keeps its number\n"
    "the three again for each further server, and\n"
    "  --work NAME         echo, sink, source, churn, idle, redis_ping, redis_set, redis_get\n"
    "  --size BYTES        of a message (64)\n"
    "  --connections N     to each server (1)\n"
    "  --depth N           messages in flight on each (1)\n"
    "  --turns N           of each server (1); of several there is one before that does not count\n"
    "  --seconds S         measured in each turn (1); --warm S before that (0.1)\n"
    "  --whole 1           a turn ends when what was in flight at that time is answered\n"
    "  --count N           requests to measure instead of a time\n"
    "  --pause MS          echo: after each answer (0)\n"
    "  --poll 1            never sleep while measuring; needs a processor of its own\n"
    "Prints one JSON object; the exit status is 1 when something broke or a byte was wrong.\n";

[[noreturn]] void usage_error(const char* what) {
  std::fprintf(stderr, "bench_load: %s\n%s", what, help);
  std::exit(2);
}

bench::plan parse(int count, char** words) {
  bench::plan p;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--help") {
      std::fputs(help, stdout);
      std::exit(0);
    }
    if (++i == count) usage_error("an option needs a value");
    const char* value = words[i];
    if (word == "--connect") {
      char* at[] = {words[0], const_cast<char*>("--listen"), words[i]};
      const bench_arguments given = bench_parse(3, at);
      p.servers.push_back({bench_address(&given), 0, nullptr});
    } else if (word == "--work") {
      p.work = value;
    } else if (word == "--size") {
      p.size = std::strtoull(value, nullptr, 10);
    } else if (word == "--connections") {
      p.connections = std::strtoull(value, nullptr, 10);
    } else if (word == "--depth") {
      p.depth = std::strtoull(value, nullptr, 10);
    } else if (word == "--seconds") {
      p.seconds = std::strtod(value, nullptr);
    } else if (word == "--warm") {
      p.warm_seconds = std::strtod(value, nullptr);
    } else if (word == "--count") {
      p.count = std::strtoull(value, nullptr, 10);
    } else if (word == "--pause") {
      p.pause_ms = static_cast<int>(std::strtol(value, nullptr, 10));
    } else if (word == "--turns") {
      p.turns = std::strtoull(value, nullptr, 10);
    } else if (word == "--poll") {
      p.poll = value[0] == '1';
    } else if (word == "--whole") {
      p.whole = value[0] == '1';
    } else if (word == "--pid" && !p.servers.empty()) {
      p.servers.back().pid = static_cast<pid_t>(std::strtol(value, nullptr, 10));
    } else if (word == "--allocations" && !p.servers.empty()) {
      p.servers.back().allocations = value;
    } else {
      usage_error("unknown option");
    }
  }
  if (p.servers.empty() || p.servers.front().at.sin_port == 0) usage_error("--connect is needed");
  if (p.size == 0 || p.size > bench_bulk_bytes || p.depth == 0 || p.connections == 0) {
    usage_error("a number is out of range");
  }
  return p;
}

void print(const bench::histogram::summary& t) {
  std::printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f", t.p50_us,
              t.p99_us, t.p999_us, t.max_us);
}

void print(const char* when, const bench::condition& c) {
  if (c.line_ns == 0) return;
  std::printf("\"line_ns_%s\": %.1f, \"units_us_%s\": %.2f, ", when, c.line_ns, when,
              c.units_us);
}

void print(const bench::slice& s, const bench::target& to) {
  const auto span = static_cast<double>(s.after.at_ns - s.before.at_ns);
  const double requests = s.requests != 0 ? static_cast<double>(s.requests) : 1;
  const auto cpu = static_cast<double>(s.after.cpu_ns - s.before.cpu_ns);
  const auto own = static_cast<double>(s.after.own_cpu_ns - s.before.own_cpu_ns);
  std::printf("{\"requests\": %llu, \"seconds\": %.6f, \"requests_per_second\": %.1f, ",
              static_cast<unsigned long long>(s.requests), span / 1e9,
              static_cast<double>(s.timed) / span * 1e9);
  std::printf("\"bytes_per_second\": %.0f, ", static_cast<double>(s.bytes) / span * 1e9);
  std::printf("\"cpu_us\": %.4f, \"client_cpu_us\": %.4f, ", cpu / requests / 1000,
              own / requests / 1000);
  std::printf("\"server_busy\": %.4f, \"client_busy\": %.4f, ",
              cpu / static_cast<double>(s.settled_ns - s.before.at_ns), own / span);
  if (to.allocations != nullptr) {
    std::printf("\"allocations\": %.6f, ",
                static_cast<double>(s.after.allocations - s.before.allocations) / requests);
  }
  print("before", s.begun);
  print("after", s.ended);
  print(s.times);
  std::printf("}");
}

// All that is known of one server: its turns, and what only the sum of them tells.
void print(const bench::plan& p, const bench::target& to, const bench::outcome& o) {
  std::printf("{\"errors\": %llu, \"mismatches\": %llu, \"first_error\": \"%s\", ",
              static_cast<unsigned long long>(o.errors),
              static_cast<unsigned long long>(o.mismatches), o.first_error.c_str());
  std::uint64_t user = 0, system = 0;
  std::printf("\"rounds\": [");
  for (const bench::slice& s : o.slices) {
    user += s.after.user_ticks - s.before.user_ticks;
    system += s.after.system_ticks - s.before.system_ticks;
    print(s, to);
    if (&s != &o.slices.back()) std::printf(",\n ");
  }
  std::printf("], ");
  if (user + system > 0) {
    std::printf("\"user_share\": %.4f, ",
                static_cast<double>(user) / static_cast<double>(user + system));
  }
  if (p.work == "idle") {
    std::printf("\"bytes_a_connection\": %.0f, \"idle_cpu_us\": %.1f, \"idle_wakes\": %.0f, ",
                o.bytes_a_connection, o.idle_cpu_us, o.idle_switches);
  }
  if (!o.slices.empty()) {
    std::printf("\"resident_kib\": %llu, \"threads\": %llu, ",
                static_cast<unsigned long long>(o.slices.back().after.resident_kib),
                static_cast<unsigned long long>(o.slices.back().after.threads));
  }
  print(o.times.look());
  std::printf("}");
}

template <class Work>
void take_turns(const bench::plan& p, std::vector<bench::outcome>& found) {
  std::vector<std::unique_ptr<Work>> all;
  for (std::size_t i = 0; i < found.size(); ++i) {
    all.push_back(std::make_unique<Work>(p, p.servers[i], found[i]));
  }
  const auto each = [&](bool backwards) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::size_t whose = backwards ? all.size() - 1 - i : i;
      if (found[whose].errors == 0) all[whose]->turn();
    }
  };
  if (p.count == 0 && p.turns > 1) {  // what a server does once, for its first requests
    each(true);
    for (bench::outcome& one : found) one.forget();
  }
  for (std::size_t turn = 0; turn < p.turns; ++turn) each(turn % 2 == 1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (found[i].errors == 0) all[i]->finish();
  }
}

}  // namespace

int main(int count, char** words) {
  const bench::plan p = parse(count, words);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<bench::outcome> found(p.servers.size());
  if (p.work == "sink" || p.work == "source") {
    take_turns<bench::flow>(p, found);
  } else if (p.work == "churn") {
    take_turns<bench::churn>(p, found);
  } else if (p.work == "idle") {
    for (std::size_t i = 0; i < found.size(); ++i) bench::idle{p, p.servers[i], found[i]}.run();
  } else {
    take_turns<bench::exchange>(p, found);
  }
  bool right = true;
  std::printf("{\"servers\": [");
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0) std::printf(",\n");
    print(p, p.servers[i], found[i]);
    right = right && found[i].errors == 0 && found[i].mismatches == 0;
  }
  std::printf("]}\n");
  return right ? 0 : 1;
}
