// Sends to an echo server, compares every byte that comes back, and measures.
#include "arguments.hpp"
#include "echo_load.hpp"

#include <fairway/fairway.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <list>
#include <optional>
#include <string>

using namespace std::chrono_literals;
using samples::connection, samples::run_plan, samples::totals;

namespace {

constexpr std::string_view help =
    "echo_client: measures an echo server and compares every byte\n"
    "  --connect ENDPOINT  the server, also HOST:SERVICE by name; required\n"
    "  --size BYTES        of a message (64)\n"
    "  --random            sizes from 1 to --size\n"
    "  --connections C     (1)\n"
    "  --depth D           messages in flight on each connection (1)\n"
    "  --count N           messages in all (10000)\n"
    "  --duration S        seconds, instead of --count\n"
    "  --engine NAME       automatic, io_uring, epoll or iocp\n"
    "  --loopback POLICY   off, kernel, shared_memory or both\n"
    "  --json              one JSON object instead of a line\n";

fairway::task<> stop_on_signal(fairway::completion_port& port, totals& sum) {
  fairway::signals quit{port, {fairway::signal_kind::interrupt, fairway::signal_kind::terminate}};
  if (!co_await quit.async_wait()) co_return;
  sum.stopping = true;
  if (co_await quit.async_wait()) port.stop();
}

// Where the server is: an endpoint, or a name that is looked up for every connection.
struct target {
  std::string text;
  std::optional<fairway::endpoint> address;  // empty: `name` counts
  fairway::host_service name;
  fairway::loopback loopback = fairway::loopback::off;
};

target target_of(const std::string& text) {
  if (auto address = fairway::endpoint::parse(text)) return {text, address.value(), {}, {}};
  auto name = fairway::split_host_service(text);
  if (!name) {
    samples::fail("echo_client",
                  "--connect takes HOST:SERVICE, [ADDRESS]:PORT or unix:PATH, not '" + text + "'",
                  2);
  }
  return {text, {}, name.value(), {}};
}

fairway::task<fairway::result<fairway::stream>> connect(fairway::completion_port& port,
                                                        const target& server) {
  fairway::connector dial{port, {.loopback = server.loopback}};
  if (server.address) co_return co_await dial.async_connect(*server.address);
  co_return co_await dial.async_connect(server.name.host, server.name.service);
}

fairway::task<> measure(fairway::completion_port& port, const target& server, const run_plan& plan,
                        totals& sum, const samples::pattern& bytes, std::list<connection>& all) {
  for (std::size_t i = 0; i < plan.connections; ++i) {
    auto made = co_await connect(port, server);
    if (!made) {
      samples::note_error(sum, made.error());
      port.stop();
      co_return;
    }
    all.emplace_back(port, std::move(made).value(), plan, i);
  }
  std::size_t open = all.size();
  fairway::timer end{port};
  for (connection& c : all) {
    fairway::spawn(port, write_all(c, sum, bytes));
    fairway::spawn(port, read_all(c, sum, bytes), [&](std::exception_ptr) {
      if (--open == 0) end.cancel();
    });
  }
  end.expires_after(plan.seconds != 0 ? std::chrono::seconds{plan.seconds} : 24h * 365);
  (void)co_await end.async_wait();
  sum.stopping = true;
  for (connection& c : all) c.room.cancel();
  end.expires_after(60s);
  if (open != 0) (void)co_await end.async_wait();
  port.stop();
}

void print(const totals& sum, const run_plan& plan, fairway::path used,
           fairway::engine_kind engine, double seconds, bool json) {
  const std::string name{fairway::to_string(engine)}, path_name{fairway::to_string(used)};
  const char* const path = path_name.c_str();
  const double rate = static_cast<double>(sum.requests) / seconds;
  const double flow = static_cast<double>(sum.bytes) / seconds;
  const double p50 = sum.rtt.percentile_us(0.5), p99 = sum.rtt.percentile_us(0.99);
  if (json) {
    std::printf("{\"path\":\"%s\",\"engine\":\"%s\",\"size\":%zu,\"connections\":%zu,"
                "\"requests_per_second\":%.1f,\"bytes_per_second\":%.1f,\"rtt_us\":{\"p50\":%.2f,"
                "\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f},\"errors\":%zu,\"mismatches\":%zu}\n",
                path, name.c_str(), plan.size, plan.connections, rate, flow, p50, p99,
                sum.rtt.percentile_us(0.999), sum.rtt.max_us(), sum.errors, sum.mismatches);
  } else {
    std::printf("%s, %s: %zu requests, %.0f a second, p50 %.1f us, p99 %.1f us, %.1f MB/s, "
                "%zu errors, %zu mismatches\n", path, name.c_str(), sum.requests, rate, p50, p99,
                flow / 1e6, sum.errors, sum.mismatches);
  }
}

}  // namespace

int main(int count, char** words) {
  constexpr std::string_view name = "echo_client";
  const samples::arguments given{
      name, help, count, words,
      {"connect", "size", "connections", "depth", "count", "duration", "engine",
       "loopback"},
      {"json", "random"}};
  if (!given.has("connect")) samples::fail(name, "--connect is required", 2);
  target server = target_of(given.text("connect", ""));
  server.loopback = given.loopback();
  const run_plan plan{given.number("size", 64, 1, 16 * 1024 * 1024),
                      given.number("connections", 1, 1, 10'000),
                      given.number("depth", 1, 1, 10'000),
                      given.number("count", 10'000, 1, 1'000'000'000'000),
                      given.number("duration", 0, 0, 1'000'000), given.has("random")};
  try {
    totals sum;
    const samples::pattern bytes{plan.size};
    fairway::completion_port port{given.port()};
    std::list<connection> all;
    fairway::spawn(port, measure(port, server, plan, sum, bytes, all));
    fairway::spawn(port, stop_on_signal(port, sum));
    const auto begun = std::chrono::steady_clock::now();
    port.run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    if (all.size() < plan.connections) {
      samples::fail(name, "cannot connect to " + server.text + ": " +
                              sum.first_error, 1);
    }
    print(sum, plan, all.front().stream.path(), port.engine(), took.count(), given.has("json"));
    if (sum.errors != 0) samples::fail(name, sum.first_error, 1);
    return sum.mismatches == 0 ? 0 : 1;
  } catch (const std::exception& failed) {
    samples::fail(name, failed.what(), 1);
  }
}
