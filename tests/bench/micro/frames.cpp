// Frames of a 4-byte length and a body of 64 bytes, in memory: Fairway's framed streams over a
// stream in memory, its codec alone, and the least that a hand-written loop has to do. One item is
// one message, encoded and decoded. Without the protocol layer only the last is there.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#if __has_include(<fairway/protocol/framed.hpp>)
#include <fairway/fairway.hpp>
#include <fairway/protocol/framed.hpp>
#include <fairway/protocol/length_prefix.hpp>
#include <fairway/testing/memory_stream.hpp>
#endif

namespace {

constexpr int messages = 256;
const std::string body(64, 'b');

// The bytes of a length, the high ones first.
void append_length(std::vector<char>& out, std::size_t size) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift));
}

std::size_t length_at(const char* bytes) {
  std::size_t size = 0;
  for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(bytes[i]);
  return size;
}

void by_hand(benchmark::State& state) {
  std::vector<char> wire;
  for (auto _ : state) {
    wire.clear();
    for (int i = 0; i < messages; ++i) {
      append_length(wire, body.size());
      wire.insert(wire.end(), body.begin(), body.end());
    }
    std::size_t at = 0, bytes = 0;
    while (at + 4 <= wire.size()) {
      const std::size_t size = length_at(wire.data() + at);
      const std::string message{wire.data() + at + 4, size};
      bytes += message.size();
      at += 4 + size;
    }
    if (bytes != messages * body.size()) state.SkipWithError("wrong bytes");
  }
  state.SetItemsProcessed(state.iterations() * messages);
}
BENCHMARK(by_hand)->Name("frames/by_hand");

#if __has_include(<fairway/protocol/framed.hpp>)

void codec_decode(benchmark::State& state) {
  std::vector<char> wire;
  for (int i = 0; i < messages; ++i) {
    append_length(wire, body.size());
    wire.insert(wire.end(), body.begin(), body.end());
  }
  fairway::length_prefix_codec<> codec;
  for (auto _ : state) {
    auto rest = std::as_bytes(std::span{wire});
    std::size_t bytes = 0;
    while (!rest.empty()) {
      auto one = codec.decode(rest);
      bytes += one.value().message->size();
      rest = rest.subspan(one.value().consumed);
    }
    if (bytes != messages * body.size()) state.SkipWithError("wrong bytes");
  }
  state.SetItemsProcessed(state.iterations() * messages);
}
BENCHMARK(codec_decode)->Name("frames_decode/fairway_codec");

using peer = fairway::framed<fairway::testing::memory_stream, fairway::length_prefix_codec<>>;

fairway::task<> write_messages(peer& out) {
  for (int i = 0; i < messages; ++i) (co_await out.async_write(body)).value();
}

fairway::task<> read_messages(peer& in, std::size_t& bytes) {
  for (int i = 0; i < messages; ++i) bytes += (co_await in.async_read()).value().size();
}

void framed(benchmark::State& state) {
  fairway::completion_port port;
  auto ends = fairway::testing::memory_stream::pair(port);
  peer out{std::move(ends.first), {}};
  peer in{std::move(ends.second), {}};
  for (auto _ : state) {
    std::size_t bytes = 0;
    fairway::spawn(port, write_messages(out));
    fairway::spawn(port, read_messages(in, bytes));
    port.restart();
    port.run();
    if (bytes != messages * body.size()) state.SkipWithError("wrong bytes");
  }
  state.SetItemsProcessed(state.iterations() * messages);
}
BENCHMARK(framed)->Name("frames/fairway_framed");

#endif

}  // namespace

BENCHMARK_MAIN();
