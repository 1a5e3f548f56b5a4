// The same work between two processes over TCP, a unix-domain socket and shared memory, in one run:
// a row a work, with the ratio to TCP.
//   loopback_paths [ROUNDS [FACTOR [pinned|sizes]...]]
// Each of the ROUNDS does all work over each path in turn; the table has the medians, of the ratios
// as well. FACTOR divides the amounts. `pinned`: the two processes each on a processor. `sizes`:
// instead round trips of 1 byte to 1 MiB, hot and parked.

#include "loopback_pair.hpp"

#include <string_view>

using namespace loopback_bench;

namespace {

struct settings {
  std::size_t rounds = 5;
  std::size_t factor = 1;
  bool pinned = false;
  bool sizes = false;
};

struct work {
  const char* name;
  std::vector<double> by_round[3];
};

struct round_of {
  fairway::completion_port& port;
  const server& to;
  const settings& how;
  std::vector<double> figures;
  std::string path;

  std::size_t amount(std::size_t memory, std::size_t others) const {
    return (to.over == kind::memory ? memory : others) / how.factor + 1;
  }

  fairway::task<> round_trips() {
    auto s = co_await open(port, to, {1, 64});
    std::vector<char> bytes(64);
    for (int i = 0; i < 1000; ++i) co_await round_trip(s, bytes);
    std::vector<double> all(amount(100'000, 4'000));
    const auto before = port.statistics().kernel_entries;
    for (double& one : all) one = co_await round_trip(s, bytes);
    const auto entries = static_cast<double>(port.statistics().kernel_entries - before);
    path = fairway::to_string(s.path());
    figures.push_back(median(all));
    figures.push_back(entries / static_cast<double>(all.size()));
    figures.push_back(co_await parked(port, s, bytes, 100 / how.factor + 1));
  }

  // Messages a second.
  fairway::task<double> push(std::size_t size, std::size_t count) {
    auto s = co_await open(port, to, {});
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

  fairway::task<double> connects() {
    std::vector<double> all(amount(1'000, 1'000));
    for (double& one : all) {
      const auto begun = steady::now();
      fairway::connector dial{port, {.loopback = policy(to.over)}};
      auto s = (co_await dial.async_connect(to.at)).value();
      one = since_us(begun);
    }
    co_return median(std::move(all));
  }

  fairway::task<> table() {
    co_await round_trips();
    figures.push_back(co_await push(64, amount(1'000'000, 40'000)) / 1e6);
    figures.push_back(co_await push(65'536, amount(16'000, 2'000)) * 65'536 / 1e6);
    figures.push_back(co_await connects());
    port.stop();
  }

  fairway::task<> sweep() {
    for (std::size_t size = 1; size <= 1024 * 1024; size *= size == 1 ? 16 : 4) {
      auto s = co_await open(port, to, {1, static_cast<std::uint32_t>(size)});
      std::vector<char> bytes(size);
      for (int i = 0; i < 20; ++i) co_await round_trip(s, bytes);
      const std::size_t trips = amount(4'000, 1'000) / (1 + size / 16'384);
      std::vector<double> all(std::max<std::size_t>(trips, 20));
      for (double& one : all) one = co_await round_trip(s, bytes);
      figures.push_back(median(std::move(all)));
      figures.push_back(co_await parked(port, s, bytes, 30));
    }
    port.stop();
  }
};

// One process end for each round and path, so that no round has the memory of another.
std::vector<double> one_round(const server& to, const settings& how, std::string& path) {
  fairway::completion_port port;
  round_of r{port, to, how, {}, {}};
  fairway::spawn(port, how.sizes ? r.sweep() : r.table());
  port.run();
  path = r.path;
  return r.figures;
}

void print(const work& w) {
  std::printf("%-16s", w.name);
  std::vector<double> ratios[3];
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    std::printf(" %12.4g", median(w.by_round[k]));
    for (std::size_t i = 0; i < w.by_round[k].size(); ++i) {
      ratios[k].push_back(w.by_round[k][i] / w.by_round[0][i]);
    }
  }
  const auto [least, most] = std::minmax_element(ratios[2].begin(), ratios[2].end());
  std::printf(" %10.3f %10.3f   (%.3f to %.3f)\n", median(ratios[1]), median(ratios[2]), *least,
              *most);
}

settings parse(int count, char** words) {
  settings how;
  std::size_t numbers = 0;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    how.pinned |= word == "pinned";
    how.sizes |= word == "sizes";
    if (word == "pinned" || word == "sizes") continue;
    (numbers++ == 0 ? how.rounds : how.factor) =
        std::max<std::size_t>(std::strtoull(words[i], nullptr, 10), 1);
  }
  return how;
}

std::vector<work> works_of(const settings& how) {
  if (!how.sizes) {
    return {{"hot rtt us", {}},      {"entries a rtt", {}}, {"parked rtt us", {}},
            {"64 B Mmsg/s", {}}, {"64 KiB MB/s", {}},   {"connect us", {}}};
  }
  return {{"1 B hot us", {}},     {"1 B parked", {}},     {"16 B hot us", {}},
          {"16 B parked", {}},    {"64 B hot us", {}},    {"64 B parked", {}},
          {"256 B hot us", {}},   {"256 B parked", {}},   {"1 KiB hot us", {}},
          {"1 KiB parked", {}},   {"4 KiB hot us", {}},   {"4 KiB parked", {}},
          {"16 KiB hot us", {}},  {"16 KiB parked", {}},  {"64 KiB hot us", {}},
          {"64 KiB parked", {}},  {"256 KiB hot us", {}}, {"256 KiB parked", {}},
          {"1 MiB hot us", {}},   {"1 MiB parked", {}}};
}

}  // namespace

int main(int count, char** words) {
  const settings how = parse(count, words);
  std::vector<work> works = works_of(how);
  std::vector<server> servers;
  for (const kind k : kinds) servers.push_back(start_server(k, how.pinned ? 1 : -1));
  if (how.pinned) pin_to(0);
  std::string path;
  for (std::size_t i = 0; i < how.rounds; ++i) {
    for (std::size_t k = 0; k < kinds.size(); ++k) {
      const std::vector<double> figures = one_round(servers[k], how, path);
      for (std::size_t w = 0; w < works.size(); ++w) works[w].by_round[k].push_back(figures.at(w));
    }
  }
  for (const server& s : servers) stop_server(s);
  std::printf("%-16s %12s %12s %12s %10s %10s\n", how.pinned ? "pinned" : "", "tcp", "local",
              path.empty() ? "memory" : path.c_str(), "l / tcp", "m / tcp");
  for (const work& w : works) print(w);
  return 0;
}
