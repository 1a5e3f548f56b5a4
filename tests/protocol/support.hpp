// What the tests of framed share: messages over memory streams, and what came of them.
#pragma once

#include "support/net.hpp"

#include <fairway/protocol/framed.hpp>
#include <fairway/protocol/length_prefix.hpp>
#include <fairway/protocol/line.hpp>
#include <fairway/testing/memory_stream.hpp>

#include <string>
#include <utility>

namespace support {

using fairway::testing::memory_options;
using fairway::testing::memory_stream;
using lines = fairway::framed<memory_stream, fairway::line_codec<>>;

// A framed stream and the bare other end.
struct lines_pair {
  lines framed;
  memory_stream peer;
};
inline lines_pair connect_lines(fairway::completion_port& port, const memory_options& ours = {},
                                const fairway::framed_options& options = {},
                                std::size_t frame_bytes_max = 1024) {
  auto [a, b] = memory_stream::pair(port, ours);
  return {lines{std::move(a), fairway::line_codec<>{frame_bytes_max}, options}, std::move(b)};
}

inline void write_peer(fairway::completion_port& port, memory_stream& peer,
                       std::string_view text) {
  std::size_t sent = 0;
  while (sent < text.size()) {
    outcome wrote;
    peer.async_write_some(asio::buffer(text.data() + sent, text.size() - sent), wrote.record());
    pump(port, [&] { return wrote.done(); });
    REQUIRE_MESSAGE(!wrote.ec, wrote.ec.message());
    sent += wrote.bytes;
  }
}

// What the peer can read without waiting.
inline std::string read_peer(fairway::completion_port& port, memory_stream& peer) {
  std::string all;
  for (;;) {
    std::string room(100'000, '\0');
    outcome got;
    peer.async_read_some(asio::buffer(room), got.record());
    drain(port);
    if (!got.done()) {
      peer.cancel();
      drain(port);
    }
    if (got.ec) return all;
    all.append(room, 0, got.bytes);
  }
}

using line = delivered<std::string>;

struct ending {
  int calls = 0;
  error_code ec;
  auto record() {
    return [this](error_code e) {
      ++calls;
      ec = e;
    };
  }
  bool done() const noexcept { return calls != 0; }
};

}  // namespace support
