// Frames of a 4-byte length and a body of 64 bytes, in memory. One item is one message. Names are
// WORK/CONTENDER.
//
//   frames         encoded and decoded: two framed streams over a stream in memory and the port
//                  that runs them, beside a loop that does no more than the bytes need
//   frames_decode  decoded only: the codec alone, beside the same loop
//
// Fair because: each makes a string of every message, and looks at the length before it trusts it.
#include <fairway/fairway.hpp>
#include <fairway/protocol/framed.hpp>
#include <fairway/protocol/length_prefix.hpp>
#include <fairway/testing/memory_stream.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int messages = 256;
const std::string body(64, 'b');

// The bytes of a length, the high ones first.
void append_length(std::vector<char>& out, std::size_t size) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift));
}

void encode_by_hand(std::vector<char>& wire) {
  wire.clear();
  for (int i = 0; i < messages; ++i) {
    append_length(wire, body.size());
    wire.insert(wire.end(), body.begin(), body.end());
  }
}

std::size_t length_at(const char* bytes) {
  std::size_t size = 0;
  for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(bytes[i]);
  return size;
}

// Returns the bytes of all bodies.
std::size_t decode_by_hand(const std::vector<char>& wire) {
  std::size_t at = 0, bytes = 0;
  while (at + 4 <= wire.size()) {
    const std::size_t size = length_at(wire.data() + at);
    if (size > wire.size() - at - 4) break;
    std::string message{wire.data() + at + 4, size};
    benchmark::DoNotOptimize(message);
    bytes += message.size();
    at += 4 + size;
  }
  return bytes;
}

void ended(benchmark::State& state, std::size_t bytes) {
  if (bytes != messages * body.size()) state.SkipWithError("wrong bytes");
}

void frames_by_hand(benchmark::State& state) {
  std::vector<char> wire;
  for (auto _ : state) {
    encode_by_hand(wire);
    ended(state, decode_by_hand(wire));
  }
  state.SetItemsProcessed(state.iterations() * messages);
}
BENCHMARK(frames_by_hand)->Name("frames/by_hand");

void decode_alone_by_hand(benchmark::State& state) {
  std::vector<char> wire;
  encode_by_hand(wire);
  for (auto _ : state) ended(state, decode_by_hand(wire));
  state.SetItemsProcessed(state.iterations() * messages);
}
BENCHMARK(decode_alone_by_hand)->Name("frames_decode/by_hand");

void decode_alone(benchmark::State& state) {
  std::vector<char> wire;
  encode_by_hand(wire);
  fairway::length_prefix_codec<> codec;
  for (auto _ : state) {
    auto rest = std::as_bytes(std::span{wire});
    std::size_t bytes = 0;
    while (!rest.empty()) {
      auto one = codec.decode(rest).value();
      benchmark::DoNotOptimize(*one.message);
      bytes += one.message->size();
      rest = rest.subspan(one.consumed);
    }
    ended(state, bytes);
  }
  state.SetItemsProcessed(state.iterations() * messages);
}
BENCHMARK(decode_alone)->Name("frames_decode/fairway_codec");

using peer = fairway::framed<fairway::testing::memory_stream, fairway::length_prefix_codec<>>;

fairway::task<> write_messages(peer& out) {
  for (int i = 0; i < messages; ++i) (co_await out.async_write(body)).value();
}

fairway::task<> read_messages(peer& in, std::size_t& bytes) {
  for (int i = 0; i < messages; ++i) bytes += (co_await in.async_read()).value().size();
}

void frames_framed(benchmark::State& state) {
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
    ended(state, bytes);
  }
  state.SetItemsProcessed(state.iterations() * messages);
}
BENCHMARK(frames_framed)->Name("frames/fairway_framed");

}  // namespace

BENCHMARK_MAIN();
