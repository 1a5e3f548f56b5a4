// The stock codecs, without a stream.

#include <fairway/protocol/delimiter.hpp>
#include <fairway/protocol/fixed_size.hpp>
#include <fairway/protocol/length_prefix.hpp>
#include <fairway/protocol/line.hpp>
#include <fairway/testing/codec_torture.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

using namespace fairway;
using fairway::testing::torture;
using texts = std::vector<std::string>;

namespace {

template <class Codec>
auto decode(Codec& codec, std::string_view text) {
  return codec.decode(std::as_bytes(std::span{text.data(), text.size()}));
}
template <class Codec>
auto end(Codec& codec, std::string_view text) {
  return decode_eof(codec, std::as_bytes(std::span{text.data(), text.size()}));
}
template <class Codec, class Message>
std::string wire(const Codec& codec, const Message& message) {
  return testing::encode_all(codec, std::vector<Message>{message}).value();
}
template <class Codec>
boost::system::error_code refusal(const Codec& codec, const std::string& message) {
  auto made = testing::encode_all(codec, texts{message});
  return made ? boost::system::error_code{} : made.error();
}
void check(const testing::torture_report& report) {
  INFO(report.text());
  CHECK(report.ok());
  CHECK(report.tries > 10);
}

const texts mixed{"", "a", "hello", std::string(300, 'x'), "", "\x01\x02\xff"};

}  // namespace

TEST_CASE("a line ends with LF or CR LF, and the last one with the stream") {
  line_codec<> codec;
  auto got = decode(codec, "one\r\ntwo\n");
  REQUIRE(got.value().message);
  CHECK(*got.value().message == "one");
  CHECK(got.value().consumed == 5);
  CHECK(*decode(codec, "two\n").value().message == "two");
  CHECK(!decode(codec, "thr").value().message);
  CHECK(*end(codec, "three").value().message == "three");
  CHECK(end(codec, "").error() == boost::asio::error::eof);
}

TEST_CASE("a line with an LF in it is not written") {
  CHECK(refusal(line_codec<>{}, "a\nb") == boost::asio::error::invalid_argument);
  CHECK(refusal(line_codec<>{100, line_end::crlf}, "a\nb") ==
        boost::asio::error::invalid_argument);
  CHECK(wire(line_codec<>{100, line_end::crlf}, std::string{"a"}) == "a\r\n");
}

TEST_CASE("a line may be as long as the limit with its end, and no longer") {
  line_codec<> codec{4};
  CHECK(*decode(codec, "abc\n").value().message == "abc");
  CHECK(decode(codec, "abcd\n").error() == error::frame_too_large);
  CHECK(decode(codec, "abcd").error() == error::frame_too_large);
  CHECK(refusal(line_codec<>{4}, "abcd") == error::frame_too_large);
  CHECK(refusal(line_codec<>{5, line_end::crlf}, "abcd") == error::frame_too_large);
}

TEST_CASE("line codecs stand torture") {
  check(torture([] { return line_codec<>{1000}; }, mixed,
                {.oversize = std::string(1000, 'a') + "\n"}));
  check(torture([] { return line_codec<std::string_view>{1000, line_end::crlf}; }, mixed));
}

TEST_CASE("a delimiter is found across pieces, also when its beginning repeats") {
  delimiter_codec<> codec{"aab"};
  CHECK(!decode(codec, "xaa").value().message);
  CHECK(!decode(codec, "xaaa").value().message);
  auto got = decode(codec, "xaaab");
  REQUIRE(got.value().message);
  CHECK(*got.value().message == "xa");
  CHECK(got.value().consumed == 5);
}

TEST_CASE("a payload in which the delimiter would occur too early is not written") {
  CHECK(refusal(delimiter_codec<>{"--"}, "a--b") == boost::asio::error::invalid_argument);
  CHECK(refusal(delimiter_codec<>{"--"}, "a-") == boost::asio::error::invalid_argument);
  CHECK(refusal(delimiter_codec<>{"aba"}, "xab") == boost::asio::error::invalid_argument);
  CHECK(!refusal(delimiter_codec<>{"--"}, "-a"));
}

TEST_CASE("an end behind the last delimiter is not an end between frames") {
  delimiter_codec<> codec{";"};
  CHECK(end(codec, "").error() == boost::asio::error::eof);
  CHECK(end(codec, "x").error() == error::frame_truncated);
}

TEST_CASE("delimiter codecs stand torture") {
  check(torture([] { return delimiter_codec<>{"\r\n.\r\n", 1000}; }, mixed,
                {.oversize = std::string(996, 'a') + "\r\n.\r\n"}));
  check(torture([] { return delimiter_codec<std::vector<std::byte>>{"|"}; },
                std::vector<std::vector<std::byte>>{{}, {std::byte{1}}, {}}));
}

TEST_CASE("fixed frames have their size and no other") {
  CHECK(refusal(fixed_size_codec<>{4}, "abc") == boost::asio::error::invalid_argument);
  CHECK(refusal(fixed_size_codec<>{4}, "abcde") == boost::asio::error::invalid_argument);
  fixed_size_codec<> codec{4};
  CHECK(decode(codec, "ab").value().need == 2);
  CHECK(end(codec, "ab").error() == error::frame_truncated);
  check(torture([] { return fixed_size_codec<>{4}; }, texts{"abcd", "efgh", "ijkl"}));
}

TEST_CASE("a length has the format that was chosen") {
  using enum length_format;
  using namespace std::string_literals;
  const std::pair<length_format, std::string> forms[] = {
      {u8, "\x03"s},         {u16_big, "\0\x03"s},
      {u16_little, "\x03\0"s}, {u32_big, "\0\0\0\x03"s},
      {u32_little, "\x03\0\0\0"s}, {u64_big, "\0\0\0\0\0\0\0\x03"s},
      {u64_little, "\x03\0\0\0\0\0\0\0"s}, {varint, "\x03"s}};
  for (const auto& form : forms) {
    const length_format format = form.first;
    CHECK(wire(length_prefix_codec<>{{.format = format}}, "abc"s) == form.second + "abc");
    const std::size_t longest = format == u8 ? 200 : 300;
    check(torture([format] { return length_prefix_codec<>{{.format = format}}; },
                  texts{"", "a", std::string(longest, 'x'), ""}));
  }
}

TEST_CASE("varints carry on into the next byte, up to 64 bits") {
  using namespace std::string_literals;
  const length_prefix_options options{.format = length_format::varint,
                                      .frame_bytes_max = 100'000};
  CHECK(wire(length_prefix_codec<>{options}, std::string(300, 'x')).substr(0, 2) == "\xac\x02");
  length_prefix_codec<> codec{options};
  CHECK(decode(codec, "\x80").value().need == 1);
  CHECK(decode(codec, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").error() ==
        error::frame_too_large);
  CHECK(decode(codec, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").error() ==
        error::protocol_violation);
  CHECK(decode(codec, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80").error() ==
        error::protocol_violation);
}

TEST_CASE("an adjustment corrects what the length counts") {
  using namespace std::string_literals;
  const length_prefix_options whole{.format = length_format::u16_big, .adjustment = -2};
  CHECK(wire(length_prefix_codec<>{whole}, "abc"s) == "\0\x05"s "abc"s);
  length_prefix_codec<> codec{whole};
  CHECK(*decode(codec, "\0\x05"s "abc"s).value().message == "abc");
  CHECK(decode(codec, "\0\x01"s).error() == error::protocol_violation);
  const length_prefix_options trailer{.format = length_format::u8, .adjustment = 2};
  length_prefix_codec<> with_trailer{trailer};
  CHECK(*decode(with_trailer, "\x01" "abc").value().message == "abc");
  CHECK(refusal(length_prefix_codec<>{trailer}, "a") == boost::asio::error::invalid_argument);
  check(torture([&] { return length_prefix_codec<>{whole}; }, mixed));
  check(torture([&] { return length_prefix_codec<>{trailer}; }, texts{"ab", "abc"}));
}

TEST_CASE("an adjustment at the edge of what a number holds does not overflow") {
  using namespace std::string_literals;
  for (const std::int64_t by : {std::numeric_limits<std::int64_t>::max(),
                                std::numeric_limits<std::int64_t>::min() + 1}) {
    length_prefix_codec<> codec{{.format = length_format::u64_big, .adjustment = by}};
    CHECK(!decode(codec, "\xff\xff\xff\xff\xff\xff\xff\xff"s));
    const auto most = decode(codec, "\x7f\xff\xff\xff\xff\xff\xff\xff"s);
    if (by > 0) {
      CHECK(most.error() == error::frame_too_large);
    } else {
      REQUIRE(most.has_value());
      CHECK(*most.value().message == "");
    }
  }
}

TEST_CASE("with bytes before the length the message is the whole frame") {
  using namespace std::string_literals;
  const length_prefix_options typed{.format = length_format::u16_big, .offset = 1};
  CHECK(wire(length_prefix_codec<>{typed}, "T??abc"s) == "T\0\x03"s "abc"s);
  length_prefix_codec<> codec{typed};
  CHECK(decode(codec, "T").value().need == 2);
  CHECK(*decode(codec, "T\0\x01"s "a..."s).value().message == "T\0\x01"s "a"s);
  CHECK(refusal(length_prefix_codec<>{typed}, "T") == boost::asio::error::invalid_argument);
  check(torture([&] { return length_prefix_codec<>{typed}; },
                texts{"T\0\x03"s "abc"s, "U\0\0"s}));
}

TEST_CASE("a declared length over the limit is refused before its bytes come") {
  using namespace std::string_literals;
  length_prefix_codec<> codec{{.frame_bytes_max = 100}};
  CHECK(decode(codec, "\0\0\0\x60"s).value().need == 96);
  CHECK(decode(codec, "\0\0\0\x61"s).error() == error::frame_too_large);
  CHECK(refusal(length_prefix_codec<>{{.frame_bytes_max = 100}}, std::string(97, 'x')) ==
        error::frame_too_large);
  CHECK(refusal(length_prefix_codec<>{{.format = length_format::u8}}, std::string(256, 'x')) ==
        error::frame_too_large);
  check(torture([] { return length_prefix_codec<>{{.frame_bytes_max = 100}}; },
                texts{"a", std::string(96, 'x')},
                {.oversize = "\0\0\0\x61"s + std::string(97, 'x')}));
}

TEST_CASE("the torture finds a codec that breaks a rule") {
  struct greedy : line_codec<> {
    result<decoded<std::string>> decode(std::span<const std::byte> bytes) {
      if (bytes.empty()) return need_bytes{1};
      return decoded<std::string>{std::string(1, static_cast<char>(bytes[0])), 0};
    }
  };
  CHECK(!torture([] { return greedy{}; }, texts{"a"}).ok());
  struct forgets : line_codec<> {  // looks at the newest piece only
    result<decoded<std::string>> decode(std::span<const std::byte> bytes) {
      auto got = line_codec<>::decode(bytes);
      if (got && got.value().message && bytes.size() == 3) got.value().message->clear();
      return got;
    }
  };
  CHECK(!torture([] { return forgets{}; }, texts{"ab", "cdef"}).ok());
}

TEST_CASE("bytes that came one at a time are not looked at again") {
  const auto cost = [](std::size_t size) {
    const std::string text(size, 'x');
    std::clock_t best = std::numeric_limits<std::clock_t>::max();
    for (int round = 0; round < 3; ++round) {
      delimiter_codec<std::string_view> codec{"\n", size + 1};
      std::size_t whole = 0;
      const std::clock_t start = std::clock();  // of this process, not of a busy machine
      for (std::size_t i = 1; i <= size; ++i) {
        whole += decode(codec, std::string_view{text}.substr(0, i)).value().message ? 1 : 0;
      }
      best = std::min(best, std::clock() - start);
      CHECK(whole == 0);
    }
    return best;
  };
  // Four times the bytes: four times the time, sixteen if it looked again.
  CHECK(cost(4 * 1024 * 1024) < 8 * std::max<std::clock_t>(cost(1024 * 1024), 1));
}
