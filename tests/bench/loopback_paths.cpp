// The same work between two processes over TCP, a unix-domain socket and shared memory, in one run:
// a row a work, with the ratio to TCP. loopback_paths [FACTOR], which divides the amounts.

#include <fairway/fairway.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

enum class kind { tcp, local, memory };

struct figures {
  double hot_us = 0, parked_us = 0, messages = 0, bulk = 0, connect_us = 0;
  double kernel_entries = 0;  // of the client, for one hot round trip
  std::string path;
};

fairway::endpoint place(kind k) {
  if (k != kind::local) return fairway::endpoint::loopback_v4(0);
  return fairway::endpoint::local("@fairway-bench-" + std::to_string(::getpid())).value();
}

fairway::loopback policy(kind k) {
  return k == kind::memory ? fairway::loopback::shared_memory : fairway::loopback::off;
}

// The first byte says what the connection is for: 'e' sends everything back, 's' takes everything
// and answers the end with one byte.
fairway::task<> serve(fairway::stream s) {
  std::vector<char> room(256 * 1024);
  auto first = co_await s.async_read_some(asio::buffer(room, 1));
  if (!first) co_return;
  const bool echo = room[0] == 'e';
  if (echo && !co_await fairway::async_write(s, asio::buffer(room, 1))) co_return;
  while (auto got = co_await s.async_read_some(asio::buffer(room))) {
    if (echo && !co_await fairway::async_write(s, asio::buffer(room, got.value()))) co_return;
  }
  if (!echo) (void)co_await fairway::async_write(s, asio::buffer(room, 1));
}

void run_server(kind k, int tell) {
  fairway::completion_port port;
  auto l = fairway::listener::open(port, place(k), {.loopback = policy(k)}).value();
  const std::string at = l.local_endpoint().value().to_string();
  if (::write(tell, at.data(), at.size()) < 0) std::exit(1);
  ::close(tell);
  fairway::spawn(port, [](fairway::completion_port& p, fairway::listener& from) -> fairway::task<> {
    while (auto s = co_await from.async_accept()) fairway::spawn(p, serve(std::move(s).value()));
  }(port, l));
  port.run();
}

double since_us(steady::time_point begun) {
  return std::chrono::duration<double, std::micro>(steady::now() - begun).count();
}

double median(std::vector<double>& all) {
  std::nth_element(all.begin(), all.begin() + static_cast<long>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

struct client {
  fairway::completion_port& port;
  kind over;
  fairway::endpoint server;
  std::size_t factor;
  figures result;

  fairway::task<fairway::stream> open(char what) {
    fairway::connector dial{port, {.loopback = policy(over)}};
    auto s = (co_await dial.async_connect(server)).value();
    (co_await fairway::async_write(s, asio::buffer(&what, 1))).value();
    if (what == 'e') (co_await fairway::async_read(s, asio::buffer(&what, 1))).value();
    co_return s;
  }

  fairway::task<double> round_trip(fairway::stream& s) {
    std::array<char, 64> bytes{};
    const auto begun = steady::now();
    (co_await fairway::async_write(s, asio::buffer(bytes))).value();
    (co_await fairway::async_read(s, asio::buffer(bytes))).value();
    co_return since_us(begun);
  }

  fairway::task<> round_trips() {
    auto s = co_await open('e');
    const std::size_t count = (over == kind::memory ? 200'000 : 20'000) / factor;
    for (int i = 0; i < 1000; ++i) co_await round_trip(s);
    std::vector<double> all(count);
    const auto before = port.statistics().kernel_entries;
    for (double& one : all) one = co_await round_trip(s);
    result.kernel_entries = static_cast<double>(port.statistics().kernel_entries - before) /
                            static_cast<double>(count);
    result.hot_us = median(all);
    result.path = fairway::to_string(s.path());
    all.resize(400 / factor + 1);
    fairway::timer pause{port};
    for (double& one : all) {
      pause.expires_after(2ms);
      (void)co_await pause.async_wait();
      one = co_await round_trip(s);
    }
    result.parked_us = median(all);
  }

  fairway::task<double> push(std::size_t size, std::size_t count) {
    auto s = co_await open('s');
    const std::vector<char> bytes(size);
    const auto begun = steady::now();
    for (std::size_t i = 0; i < count; ++i) {
      (co_await fairway::async_write(s, asio::buffer(bytes))).value();
    }
    (void)s.shutdown(fairway::shutdown_kind::send);
    char answer = 0;
    (co_await fairway::async_read(s, asio::buffer(&answer, 1))).value();
    co_return static_cast<double>(count) / since_us(begun) * 1e6;
  }

  fairway::task<> connects() {
    std::vector<double> all(4000 / factor + 1);
    for (double& one : all) {
      const auto begun = steady::now();
      fairway::connector dial{port, {.loopback = policy(over)}};
      auto s = (co_await dial.async_connect(server)).value();
      one = since_us(begun);
    }
    result.connect_us = median(all);
  }

  fairway::task<> measure() {
    co_await round_trips();
    result.messages = co_await push(64, (over == kind::memory ? 4'000'000 : 400'000) / factor);
    result.bulk = co_await push(65'536, 8'000 / factor) * 65'536 / 1e6;
    co_await connects();
    port.stop();
  }
};

figures run(kind k, std::size_t factor) {
  int told[2];
  if (::pipe(told) != 0) std::exit(1);
  const pid_t server = ::fork();
  if (server == 0) {
    ::close(told[0]);
    run_server(k, told[1]);
    std::exit(0);
  }
  ::close(told[1]);
  char text[200];
  const auto got = ::read(told[0], text, sizeof text);
  ::close(told[0]);
  if (got <= 0) std::exit(1);
  const auto at = fairway::endpoint::parse({text, static_cast<std::size_t>(got)}).value();
  fairway::completion_port port;
  client c{port, k, at, factor, {}};
  fairway::spawn(port, c.measure());
  port.run();
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return c.result;
}

}  // namespace

int main(int count, char** words) {
  const std::size_t factor = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1;
  const figures tcp = run(kind::tcp, factor);
  std::printf("%-14s %12s %10s %12s %10s %12s %12s\n", "path", "hot rtt us", "entries",
              "parked us", "Mmsg/s", "bulk MB/s", "connect us");
  for (const kind k : {kind::tcp, kind::local, kind::memory}) {
    const figures f = k == kind::tcp ? tcp : run(k, factor);
    std::printf("%-14s %12.2f %10.4f %12.1f %10.3f %12.0f %12.1f\n", f.path.c_str(), f.hot_us,
                f.kernel_entries, f.parked_us, f.messages / 1e6, f.bulk, f.connect_us);
    if (k == kind::tcp) continue;
    std::printf("%-14s %12.3f %10s %12.2f %10.1f %12.2f %12.2f\n", "  to tcp",
                f.hot_us / tcp.hot_us, "", f.parked_us / tcp.parked_us, f.messages / tcp.messages,
                f.bulk / tcp.bulk, f.connect_us / tcp.connect_us);
  }
  return 0;
}
