// What a fuzzer does to each codec: the same bytes in one piece, one at a time and in odd pieces
// must give the same messages and the same error, and messages that were read and written again
// must be read equal.
#pragma once

#include <fairway/protocol/delimiter.hpp>
#include <fairway/protocol/fixed_size.hpp>
#include <fairway/protocol/length_prefix.hpp>
#include <fairway/protocol/line.hpp>
#include <fairway/testing/codec_torture.hpp>

#include "../../samples/resp.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz {

template <class Message>
struct played {
  std::vector<Message> messages;
  boost::system::error_code ec;
  std::string wrong;  // a rule that the codec broke
};

inline std::string keep(const std::string& message) { return message; }
inline std::string keep(const resp::command& words) {
  std::string all;
  for (std::string_view word : words) all += std::to_string(word.size()) + ":" + std::string{word};
  return all;
}

template <class Codec>
played<std::string> play(Codec codec, std::string_view data, std::size_t step) {
  fairway::testing::detail::feeder<Codec> feeder{std::move(codec)};
  played<std::string> result;
  const auto add = [&](const auto& message) { result.messages.push_back(keep(message)); };
  for (std::size_t at = 0; at < data.size();) {
    const std::size_t size = step == 0 ? data.size() : 1 + (at * 7) % step;
    feeder.feed(data.substr(at, size), add);
    at += size;
  }
  feeder.end(add);
  result.ec = feeder.ec;
  result.wrong = feeder.wrong;
  return result;
}

// Returns what is wrong; empty: nothing.
template <class Make>
std::string check(Make make, std::string_view data, bool writes_back) {
  const auto whole = play(make(), data, 0);
  if (!whole.wrong.empty()) return whole.wrong;
  for (const std::size_t step : {1u, 5u}) {
    const auto pieces = play(make(), data, step);
    if (!pieces.wrong.empty()) return pieces.wrong;
    if (pieces.messages != whole.messages) return "other messages when it comes in pieces";
    if (pieces.ec != whole.ec) return "another error when it comes in pieces";
  }
  if constexpr (requires { make().encode(std::string{}, std::declval<fairway::gather&>()); }) {
    if (!writes_back) return {};
    const auto bytes = fairway::testing::encode_all(make(), whole.messages);
    if (!bytes) return "cannot write what it read: " + bytes.error().message();
    if (play(make(), bytes.value(), 0).messages != whole.messages) {
      return "reads back other messages than it wrote";
    }
  }
  return {};
}

struct target {
  std::string_view name;
  std::string (*check)(std::string_view data);
};

inline std::string length_prefixes(std::string_view data) {
  using enum fairway::length_format;
  using fairway::length_prefix_options;
  // The first byte chooses.
  const std::size_t choice = data.empty() ? 0 : static_cast<unsigned char>(data[0]);
  const std::array forms{u8, u16_big, u16_little, u32_big, u32_little, u64_big, u64_little, varint};
  const std::int64_t adjustments[] = {0, -4, 4, -1};
  const length_prefix_options options{.format = forms[choice % 8],
                                      .offset = (choice >> 5) & 1,
                                      .adjustment = adjustments[(choice >> 3) & 3],
                                      .whole_frame = (choice >> 6 & 1) != 0,
                                      .frame_bytes_max = 300};
  return check([&] { return fairway::length_prefix_codec<>{options}; },
               data.substr(data.empty() ? 0 : 1), true);
}
inline std::string delimiters(std::string_view data) {
  return check([] { return fairway::delimiter_codec<>{"aab", 100}; }, data, true);
}
// A line's CR before LF is not read back.
inline std::string lines(std::string_view data) {
  return check([] { return fairway::line_codec<>{100}; }, data, false);
}
inline std::string fixed_sizes(std::string_view data) {
  return check([] { return fairway::fixed_size_codec<>{7}; }, data, true);
}
inline std::string resp_commands(std::string_view data) {
  return check([] { return resp::codec{}; }, data, false);
}

inline constexpr target targets[] = {{"length_prefix", &length_prefixes},
                                     {"delimiter", &delimiters},
                                     {"line", &lines},
                                     {"fixed_size", &fixed_sizes},
                                     {"resp", &resp_commands}};

}  // namespace fuzz
