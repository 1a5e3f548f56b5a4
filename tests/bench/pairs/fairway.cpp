// Fairway with itself: over tcp, a unix-domain socket (unix) and the loopback fast path (memory).
// What the stream really went over is in the answer: a path that was not built is TCP.
//
// Fair because: the same program for the three, its public coroutine interface, default options
// (TCP_NODELAY; rings of 64 KiB), a buffer of the message's size, one way the common 64 KiB, the
// compiler's flags of all contenders, no assertions.
#include "pair.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>
#include <fairway/io.hpp>
#include <fairway/net/connector.hpp>
#include <fairway/net/listener.hpp>
#include <fairway/net/stream.hpp>
#include <fairway/task.hpp>

#include <array>
#include <chrono>
#include <string_view>
#include <vector>

namespace asio = boost::asio;

namespace {

using bench::pair_outcome;
using bench::pair_plan;

fairway::loopback policy(const pair_plan& p) {
  return p.transport == "memory" ? fairway::loopback::shared_memory : fairway::loopback::off;
}

// Whole messages, as the client sends them whole: neither end writes while the other one does.
fairway::task<> answer_all(fairway::stream client, std::size_t size) {
  bench::message_bytes room(size);
  for (;;) {
    auto got = co_await fairway::async_read(client, asio::buffer(room));
    if (!got) co_return;
    auto sent = co_await fairway::async_write(client, asio::buffer(room));
    if (!sent) co_return;
  }
}

fairway::task<> take_all(fairway::stream client) {
  bench::message_bytes room(bench_bulk_bytes);
  std::uint64_t total = 0;
  while (auto got = co_await client.async_read_some(asio::buffer(room))) total += got.value();
  std::array<unsigned char, 8> answer;
  bench_count_bytes(total, answer.data());
  (void)co_await fairway::async_write(client, asio::buffer(answer));
}

fairway::task<> accept_all(fairway::completion_port& port, fairway::listener& listener,
                           const pair_plan& p) {
  while (auto accepted = co_await listener.async_accept()) {
    fairway::stream client = std::move(accepted).value();
    fairway::spawn(port, p.work == "one_way" ? take_all(std::move(client))
                                             : answer_all(std::move(client), p.size));
  }
}

// The child tells through a pipe where it listens: the place that is measured, then one for plain
// TCP, which connects are compared with.
void run_server(const pair_plan& p, int tell) {
  fairway::completion_port port;
  const auto where = p.transport == "unix"
                         ? fairway::endpoint::local("@fairway-bench-" +
                                                    std::to_string(::getpid())).value()
                         : fairway::endpoint::loopback_v4(0);
  auto listener = fairway::listener::open(port, where, {.loopback = policy(p)}).value();
  auto plain = fairway::listener::open(port, fairway::endpoint::loopback_v4(0)).value();
  const std::string at = listener.local_endpoint().value().to_string() + " " +
                         plain.local_endpoint().value().to_string();
  if (::write(tell, at.data(), at.size()) < 0) bench_give_up("write");
  ::close(tell);
  fairway::spawn(port, accept_all(port, listener, p));
  fairway::spawn(port, accept_all(port, plain, p));
  port.run();
}

// Medians of ten parts.
std::vector<double> tenths_us(std::vector<std::uint64_t>& all) {
  std::vector<double> found;
  const auto tenth = static_cast<std::ptrdiff_t>(all.size() / 10);
  for (std::ptrdiff_t i = 0; tenth > 0 && i < 10; ++i) {
    const auto middle = all.begin() + i * tenth + tenth / 2;
    std::nth_element(all.begin() + i * tenth, middle, all.begin() + (i + 1) * tenth);
    found.push_back(static_cast<double>(*middle) / 1000);
  }
  return found;
}

// Connects of one kind before those of the other.
constexpr std::uint64_t in_turn = 20;

struct client {
  fairway::completion_port& port;
  const pair_plan& plan;
  fairway::endpoint server, plain;
  pair_outcome& found;
  bench::message_bytes out = bench::message_of(plan), in = bench::message_bytes(plan.size);

  fairway::task<fairway::stream> open() {
    fairway::connector dial{port, {.loopback = policy(plan)}};
    co_return (co_await dial.async_connect(server)).value();
  }

  fairway::task<> round_trip(fairway::stream& s) {
    (co_await fairway::async_write(s, asio::buffer(out))).value();
    (co_await fairway::async_read(s, asio::buffer(in))).value();
  }

  fairway::task<> round_trips() {
    auto s = co_await open();
    const bool parked = plan.work == "parked";
    fairway::timer pause{port};
    for (std::uint64_t i = 0; i < bench::warm_up(plan); ++i) co_await round_trip(s);
    const auto entries = port.statistics().kernel_entries;
    found.begin();
    const bench::limit time{plan};
    while (!time.reached(found.messages, parked ? 1 : 16)) {
      if (parked) {
        pause.expires_after(std::chrono::milliseconds{bench::parked_pause_ms});
        (void)co_await pause.async_wait();
      }
      const std::uint64_t begun = bench::now_ns();
      (co_await fairway::async_write(s, asio::buffer(out))).value();
      (co_await fairway::async_read(s, asio::buffer(in))).value();
      found.times.record(bench::now_ns() - begun);
      ++found.messages;
      if (in != out) ++found.mismatches;
    }
    found.end();
    note(s);
    count(entries);
    if (plan.work == "idle") co_await rest(pause);
  }

  // A second of silence, after what the round trips caused is over.
  fairway::task<> rest(fairway::timer& pause) {
    const bench::process server_process{found.server, nullptr};
    pause.expires_after(std::chrono::milliseconds{300});
    (void)co_await pause.async_wait();
    const bench::usage before = server_process.look(true);
    pause.expires_after(std::chrono::seconds{1});
    (void)co_await pause.async_wait();
    const bench::usage after = server_process.look(true);
    found.idle_cpu_us = static_cast<double>(after.cpu_ns - before.cpu_ns) / 1000;
    found.idle_wakes = static_cast<double>(after.switches - before.switches);
  }

  fairway::task<> one_way() {
    auto s = co_await open();
    const auto entries = port.statistics().kernel_entries;
    found.begin();
    const bench::limit time{plan};
    while (!time.reached(found.messages, 64)) {
      (co_await fairway::async_write(s, asio::buffer(out))).value();
      ++found.messages;
    }
    (void)s.shutdown(fairway::shutdown_kind::send);
    std::array<unsigned char, 8> answer{}, wanted{};
    bench_count_bytes(found.messages * plan.size, wanted.data());
    (co_await fairway::async_read(s, asio::buffer(answer))).value();
    found.end();
    if (answer != wanted) ++found.mismatches;
    note(s);
    count(entries);
  }

  fairway::task<> connects() {
    {
      auto first = co_await open();  // what a pair of processes does once
      co_await round_trip(first);
      note(first);
    }
    const auto& to = plan.work == "stranger" ? plain : server;
    std::vector<std::uint64_t> all, others;
    bench::histogram plain_times;
    const auto entries = port.statistics().kernel_entries;
    found.begin();
    const bench::limit time{plan};
    while (!time.reached(found.messages, 1)) {
      all.push_back(co_await one_connect(to, policy(plan)));
      found.times.record(all.back());
      ++found.messages;
      if (plan.transport != "memory" || found.messages % in_turn != 0) continue;
      for (std::uint64_t i = 0; i < in_turn; ++i) {
        others.push_back(co_await one_connect(plain, fairway::loopback::off));
        plain_times.record(others.back());
      }
    }
    found.end();
    if (others.empty()) count(entries);
    found.tenths_us = tenths_us(all);
    found.plain_tenths_us = tenths_us(others);
    if (!others.empty()) found.plain_us = plain_times.percentile_us(0.5);
  }

  fairway::task<std::uint64_t> one_connect(fairway::endpoint to, fairway::loopback how) {
    const std::uint64_t begun = bench::now_ns();
    fairway::connector dial{port, {.loopback = how}};
    auto s = (co_await dial.async_connect(to)).value();
    co_return bench::now_ns() - begun;
  }

  void note(const fairway::stream& s) {
    found.path = fairway::to_string(s.path());
    found.reason = fairway::to_string(s.path_reason());
  }

  void count(std::uint64_t entries_before) {
    found.kernel_entries =
        static_cast<double>(port.statistics().kernel_entries - entries_before) /
        static_cast<double>(found.messages);
  }

  fairway::task<> measure() {
    if (plan.work == "one_way") {
      co_await one_way();
    } else if (plan.work == "connect" || plan.work == "stranger") {
      co_await connects();
    } else {
      co_await round_trips();
    }
    port.stop();
  }
};

}  // namespace

int main(int count, char** words) {
  const pair_plan p = bench::parse_pair(count, words);
  int told[2];
  if (::pipe(told) != 0) bench_give_up("pipe");
  return bench::run_pair(
      p, [&] { ::close(told[0]); run_server(p, told[1]); },
      [&](pair_outcome& found) {
        ::close(told[1]);
        char text[200];
        const ssize_t got = ::read(told[0], text, sizeof text);
        if (got <= 0) return false;
        fairway::completion_port port;
        const std::string_view told_us{text, static_cast<std::size_t>(got)};
        const std::size_t space = told_us.find(' ');
        client c{port, p, fairway::endpoint::parse(told_us.substr(0, space)).value(),
                 fairway::endpoint::parse(told_us.substr(space + 1)).value(), found};
        fairway::spawn(port, c.measure());
        port.run();
        return true;
      });
}
