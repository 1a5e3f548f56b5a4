// The load generator for every TCP server of the comparison: one thread on epoll, compares every
// byte, reads the server's CPU time and its own at both ends of the measured time.
#include "churn.hpp"
#include "exchange.hpp"
#include "flow.hpp"
#include "idle.hpp"

#include <csignal>
#include <string_view>
#include <sys/resource.h>

namespace {

constexpr const char* help =
    "bench_load --connect ADDRESS:PORT, and\n"
    "  --work NAME         echo, sink, source, churn, idle, redis_ping, redis_set, redis_get\n"
    "  --size BYTES        of a message (64)\n"
    "  --connections N     (1)\n"
    "  --depth N           messages in flight on each (1)\n"
    "  --seconds S         measured (1); --warm S before that (0.1)\n"
    "  --count N           echo: requests to measure instead of a time\n"
    "  --pid N             the server, whose CPU time and memory are read\n"
    "  --allocations FILE  where the counting allocator of the server keeps its number\n"
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
      p.server = bench_address(&given);
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
    } else if (word == "--pid") {
      p.pid = static_cast<pid_t>(std::strtol(value, nullptr, 10));
    } else if (word == "--allocations") {
      p.allocations = value;
    } else {
      usage_error("unknown option");
    }
  }
  if (p.server.sin_port == 0) usage_error("--connect is needed");
  if (p.size == 0 || p.size > bench_bulk_bytes || p.depth == 0 || p.connections == 0) {
    usage_error("a number is out of range");
  }
  return p;
}

void print(const bench::plan& p, const bench::outcome& o) {
  const auto span = static_cast<double>(o.after.at_ns - o.before.at_ns);
  const double requests = o.requests != 0 ? static_cast<double>(o.requests) : 1;
  const auto cpu = static_cast<double>(o.after.cpu_ns - o.before.cpu_ns);
  const auto own = static_cast<double>(o.after.own_cpu_ns - o.before.own_cpu_ns);
  const auto user = static_cast<double>(o.after.user_ticks - o.before.user_ticks);
  const auto system = static_cast<double>(o.after.system_ticks - o.before.system_ticks);
  const double user_share = user + system > 0 ? user / (user + system) : 0;
  std::printf("{\"work\": \"%s\", \"size\": %zu, \"connections\": %zu, \"depth\": %zu, ",
              p.work.c_str(), p.size, p.connections, p.depth);
  std::printf("\"errors\": %llu, \"mismatches\": %llu, \"first_error\": \"%s\", ",
              static_cast<unsigned long long>(o.errors),
              static_cast<unsigned long long>(o.mismatches), o.first_error.c_str());
  std::printf("\"requests\": %llu, \"seconds\": %.6f, \"requests_per_second\": %.1f, ",
              static_cast<unsigned long long>(o.requests), span / 1e9, requests / span * 1e9);
  std::printf("\"bytes_per_second\": %.0f, ", static_cast<double>(o.bytes) / span * 1e9);
  std::printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f, ",
              o.times.percentile_us(0.5), o.times.percentile_us(0.99),
              o.times.percentile_us(0.999), o.times.max_us());
  std::printf("\"cpu_us\": %.4f, \"user_us\": %.4f, \"system_us\": %.4f, ", cpu / requests / 1000,
              cpu / requests / 1000 * user_share, cpu / requests / 1000 * (1 - user_share));
  std::printf("\"server_busy\": %.4f, \"client_busy\": %.4f, ", cpu / span, own / span);
  if (p.allocations != nullptr) {
    std::printf("\"allocations\": %.6f, ",
                static_cast<double>(o.after.allocations - o.before.allocations) / requests);
  }
  if (p.work == "idle") {
    std::printf("\"bytes_a_connection\": %.0f, \"idle_cpu_us\": %.1f, \"idle_wakes\": %.0f, ",
                o.bytes_a_connection, o.idle_cpu_us, o.idle_switches);
  }
  std::printf("\"resident_kib\": %llu, \"threads\": %llu}\n",
              static_cast<unsigned long long>(o.after.resident_kib),
              static_cast<unsigned long long>(o.after.threads));
}

}  // namespace

int main(int count, char** words) {
  const bench::plan p = parse(count, words);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::signal(SIGPIPE, SIG_IGN);
  bench::outcome found;
  if (p.work == "sink" || p.work == "source") {
    bench::flow{p, found}.run();
  } else if (p.work == "churn") {
    bench::churn{p, found}.run();
  } else if (p.work == "idle") {
    bench::idle{p, found}.run();
  } else {
    bench::exchange{p, found}.run();
  }
  print(p, found);
  return found.errors == 0 && found.mismatches == 0 ? 0 : 1;
}
