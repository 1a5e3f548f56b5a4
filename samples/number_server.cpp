// A protocol of one's own: a client sends lists of numbers and gets their sums.
#include "serving.hpp"

#include <string>

// [README protocol]
#include <fairway/protocol/framed.hpp>
#include <fairway/server/server.hpp>

#include <cstdint>
#include <vector>

// On the wire: a byte with the count, then so many 4-byte numbers; back comes an 8-byte sum.
struct sums {
  using message = std::vector<std::uint32_t>;  // what is read
  using outgoing = std::uint64_t;              // what is written

  static constexpr std::size_t frame_bytes_max() { return 1 + 255 * 4; }

  fairway::result<fairway::decoded<message>> decode(std::span<const std::byte> bytes) {
    const std::size_t size = bytes.empty() ? 1 : 1 + 4 * std::to_integer<std::size_t>(bytes[0]);
    if (bytes.size() < size) return fairway::need_bytes{size - bytes.size()};
    message numbers;
    for (std::size_t at = 1; at < size; at += 4) {
      std::uint32_t number = 0;
      for (std::byte b : bytes.subspan(at, 4)) {
        number = number << 8 | std::to_integer<std::uint32_t>(b);
      }
      numbers.push_back(number);
    }
    if (numbers.empty()) return fairway::error::protocol_violation;
    return fairway::decoded<message>{std::move(numbers), size};
  }

  fairway::result<void> encode(std::uint64_t sum, fairway::gather& out) const {
    for (int shift = 56; shift >= 0; shift -= 8) out.copy(static_cast<char>(sum >> shift));
    return boost::outcome_v2::success();
  }
};

fairway::task<> serve(fairway::connection& client) {
  fairway::framed peer{client.stream(), sums{}};
  while (auto numbers = co_await peer.async_read()) {
    std::uint64_t sum = 0;
    for (std::uint32_t number : numbers.value()) sum += number;
    if (!co_await peer.async_write(sum)) break;
  }
  (void)co_await peer.async_flush();
}

fairway::result<fairway::drain_report> run(const fairway::endpoint& where) {
  fairway::port_group ports;
  fairway::server server{ports, serve};
  BOOST_OUTCOME_TRY(const auto bound, server.listen(where));
  std::printf("listening on %s\n", bound.to_string().c_str());
  std::fflush(stdout);
  server.drain_on_signals();  // the first SIGINT or SIGTERM drains, the second one stops
  ports.run();
  return server.report();
}
// [README protocol]

int main(int count, char** words) {
  constexpr std::string_view name = "number_server";
  constexpr std::string_view help =
      "number_server: sums lists of numbers\n"
      "  --listen ENDPOINT  where (127.0.0.1:0)\n";
  const samples::arguments given{name, help, count, words, {"listen"}};
  try {
    auto done = run(given.endpoint("listen", "127.0.0.1:0"));
    if (!done) samples::fail(name, done.error().message(), 1);
    std::fprintf(stderr, "number_server: drained, %s\n", done.value().text().c_str());
  } catch (const std::exception& failed) {
    samples::fail(name, failed.what(), 1);
  }
}
