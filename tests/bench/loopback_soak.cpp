// What shared memory is to stand for long: each word below runs one trial and prints its figures.
//   loopback_soak pauses COUNT [LIMIT [PROCESSOR]]
//     COUNT hot round trips of 64 bytes with random pauses of both ends, asleep and at work; the
//     slowest answer, and how many took over LIMIT ms (100). Ends with an error when there were
//     any. Both processes on PROCESSOR when it is given, else each on one.
//   loopback_soak short COUNT
//     COUNT connections over TCP and COUNT over shared memory, one after the other, of 64 bytes
//     each way: the time of a connect over every tenth part of them, each part of both in turn, and
//     what is in use afterwards. Both processes pinned.
//   loopback_soak beside IDLE
//     a round trip over TCP, alone and beside a hot ring and IDLE idle connections of the same two
//     ports: median and p99.
//   loopback_soak idle COUNT SECONDS
//     CPU time and wake-ups of a port with COUNT idle connections.

#include "loopback_pair.hpp"

#include <array>
#include <random>
#include <string_view>

#include <dirent.h>
#include <poll.h>
#include <sys/resource.h>

using namespace loopback_bench;
using namespace std::chrono_literals;

namespace {

class pauses {
 public:
  explicit pauses(unsigned seed) : random_{seed} {}
  // Mostly nothing; now and then the processor is given away, or a while of work, up to more than
  // the other end looks; rarely a sleep with the thread blocked.
  void perhaps() {
    const unsigned dice = random_() & 0xfff;
    if (dice == 0) {
      ::poll(nullptr, 0, static_cast<int>(1 + random_() % 3));
    } else if (dice < 16) {
      ::sched_yield();
    } else if (dice < 64) {
      const auto until = steady::now() + std::chrono::microseconds{random_() % 150};
      while (steady::now() < until) {
      }
    }
  }

 private:
  std::minstd_rand random_;
};

fairway::task<> echo_with_pauses(fairway::stream s) {
  request asked;
  pauses now_and_then{1};
  if (!co_await fairway::async_read(s, asio::buffer(&asked, sizeof asked))) co_return;
  std::vector<char> room(asked.size);
  if (!co_await fairway::async_write(s, asio::buffer(room, 1))) co_return;
  while (auto got = co_await fairway::async_read(s, asio::buffer(room))) {
    now_and_then.perhaps();
    if (!co_await fairway::async_write(s, asio::buffer(room))) co_return;
  }
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* const all = ::opendir("/proc/self/fd");
  while (::readdir(all) != nullptr) ++count;
  ::closedir(all);
  return count;
}

double cpu_ms() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto ms = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
  };
  return ms(used.ru_utime) + ms(used.ru_stime);
}

double percentile(std::vector<double>& all, double part) {
  const auto at = static_cast<std::size_t>(part * static_cast<double>(all.size() - 1));
  std::nth_element(all.begin(), all.begin() + static_cast<long>(at), all.end());
  return all[at];
}

template <class Work>
void run(Work work) {
  fairway::completion_port port;
  fairway::spawn(port, [](fairway::completion_port& p, Work& what) -> fairway::task<> {
    co_await what(p);
    p.stop();
  }(port, work));
  port.run();
}

int ping_with_pauses(std::size_t count, double limit_ms, int processor) {
  const server s = start_server(kind::memory, processor < 0 ? 1 : processor, &echo_with_pauses);
  pin_to(processor < 0 ? 0 : processor);
  double worst = 0;
  std::size_t stalls = 0;
  const auto begun = steady::now();
  run([&](fairway::completion_port& p) -> fairway::task<> {
    auto ring = co_await open(p, s, {1, 64});
    std::vector<char> bytes(64);
    pauses now_and_then{2};
    for (std::size_t i = 0; i < count; ++i) {
      now_and_then.perhaps();
      const double one = co_await round_trip(ring, bytes);
      worst = std::max(worst, one);
      if (one > limit_ms * 1e3) ++stalls;
    }
    std::printf("%s, %.4f entries a round trip, ",
                std::string{fairway::to_string(ring.path())}.c_str(),
                static_cast<double>(p.statistics().kernel_entries) / static_cast<double>(count));
  });
  stop_server(s);
  std::printf("%zu round trips in %.1f s, slowest %.1f ms, %zu over %.0f ms\n", count,
              since_us(begun) / 1e6, worst / 1e3, stalls, limit_ms);
  return stalls == 0 ? 0 : 1;
}

fairway::task<double> connects(fairway::completion_port& p, const server& to, std::size_t count) {
  std::vector<char> bytes(64);
  std::vector<double> all(std::max<std::size_t>(count, 1));
  for (double& one : all) {
    const auto begun = steady::now();
    fairway::connector dial{p, {.loopback = policy(to.over)}};
    auto made = (co_await dial.async_connect(to.at)).value();
    one = since_us(begun);
    const request asked{1, 64};
    (co_await fairway::async_write(made, asio::buffer(&asked, sizeof asked))).value();
    (co_await fairway::async_read(made, asio::buffer(bytes, 1))).value();
    co_await round_trip(made, bytes);
  }
  co_return median(std::move(all));
}

// In turns, part by part: what the machine does meanwhile, it does to both.
int connect_often(std::size_t count) {
  const std::array servers{start_server(kind::tcp, 1), start_server(kind::memory, 1)};
  pin_to(0);
  run([&](fairway::completion_port& p) -> fairway::task<> {
    std::printf("us a connect, tcp and memory, with the ratio:\n");
    for (int part = 0; part < 10; ++part) {
      const double tcp = co_await connects(p, servers[0], count / 10);
      const double memory = co_await connects(p, servers[1], count / 10);
      std::printf("  %.1f %.1f %.2f\n", tcp, memory, memory / tcp);
    }
  });
  std::printf("%zu descriptors, %zu bytes shared\n", open_descriptors(),
              fairway::loopback_memory());
  for (const server& s : servers) stop_server(s);
  return 0;
}

int beside_a_hot_ring(std::size_t idle) {
  const server ring = start_server(kind::memory, -1);
  server tcp = ring;
  tcp.over = kind::tcp;  // a client that does not ask
  run([&](fairway::completion_port& p) -> fairway::task<> {
    auto measured = co_await open(p, tcp, {1, 64});
    std::vector<char> bytes(64);
    double alone = 0;
    for (const bool beside : {false, true}) {
      std::vector<fairway::stream> idlers;
      bool stop = false;
      bool stopped = !beside;
      std::size_t hot = 0;
      if (beside) {
        for (std::size_t i = 0; i < idle; ++i) idlers.push_back(co_await open(p, ring, {1, 64}));
        for (auto& s : idlers) fairway::spawn(p, [](fairway::stream& of) -> fairway::task<> {
            char one = 0;
            (void)co_await of.async_read_some(asio::buffer(&one, 1));
          }(s));
        fairway::spawn(p, [](fairway::stream s, bool& end, bool& ended,
                             std::size_t& trips) -> fairway::task<> {
          std::vector<char> room(64);
          while (!end) {
            co_await round_trip(s, room);
            ++trips;
          }
          ended = true;
        }(co_await open(p, ring, {1, 64}), stop, stopped, hot));
      }
      std::vector<double> all(20'000);
      for (int i = 0; i < 1'000; ++i) co_await round_trip(measured, bytes);
      hot = 0;
      const auto begun = steady::now();
      for (double& one : all) one = co_await round_trip(measured, bytes);
      const double seconds = since_us(begun) / 1e6;
      const double p99 = percentile(all, 0.99);
      if (!beside) alone = p99;
      std::printf("%-7s tcp p50 %.1f us, p99 %.1f us (%.2f of alone), ring %.2f M/s\n",
                  beside ? "beside" : "alone", percentile(all, 0.5), p99, p99 / alone,
                  static_cast<double>(hot) / seconds / 1e6);
      stop = true;
      fairway::timer pause{p};
      while (!stopped) {
        pause.expires_after(1ms);
        (void)co_await pause.async_wait();
      }
      for (auto& s : idlers) s.close();
      pause.expires_after(10ms);
      (void)co_await pause.async_wait();
    }
  });
  stop_server(ring);
  return 0;
}

int stay_idle(std::size_t count, unsigned seconds) {
  const server s = start_server(kind::memory, -1);
  run([&](fairway::completion_port& p) -> fairway::task<> {
    std::vector<fairway::stream> all;
    std::vector<char> bytes(64);
    for (std::size_t i = 0; i < count; ++i) all.push_back(co_await open(p, s, {1, 64}));
    for (auto& one : all) {
      co_await round_trip(one, bytes);
      fairway::spawn(p, [](fairway::stream& of) -> fairway::task<> {
        char nothing = 0;
        (void)co_await of.async_read_some(asio::buffer(&nothing, 1));
      }(one));
    }
    fairway::timer pause{p};
    pause.expires_after(100ms);
    (void)co_await pause.async_wait();
    const double before = cpu_ms();
    const auto entries = p.statistics().kernel_entries;
    pause.expires_after(std::chrono::seconds{seconds});
    (void)co_await pause.async_wait();
    std::printf("%zu idle connections for %u s: %.2f ms of CPU, %llu entries into the kernel\n",
                count, seconds, cpu_ms() - before,
                static_cast<unsigned long long>(p.statistics().kernel_entries - entries));
    for (auto& one : all) one.close();
    pause.expires_after(10ms);
    (void)co_await pause.async_wait();
  });
  stop_server(s);
  return 0;
}

std::size_t number(char** words, int count, int at, std::size_t otherwise) {
  return count > at ? std::strtoull(words[at], nullptr, 10) : otherwise;
}

}  // namespace

int main(int count, char** words) {
  const std::string_view what = count > 1 ? words[1] : "";
  if (what == "pauses") {
    const int processor = count > 4 ? static_cast<int>(number(words, count, 4, 0)) : -1;
    return ping_with_pauses(number(words, count, 2, 100'000),
                            static_cast<double>(number(words, count, 3, 100)), processor);
  }
  if (what == "short") return connect_often(number(words, count, 2, 4'000));
  if (what == "beside") return beside_a_hot_ring(number(words, count, 2, 1'000));
  if (what == "idle") {
    return stay_idle(number(words, count, 2, 1'000),
                     static_cast<unsigned>(number(words, count, 3, 5)));
  }
  std::fprintf(stderr, "loopback_soak pauses COUNT [LIMIT [PROCESSOR]] | short COUNT | "
                       "beside IDLE | idle COUNT SECONDS\n");
  return 2;
}
