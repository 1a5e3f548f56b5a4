#include <fairway/net/endpoint.hpp>

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

using fairway::condition;
using fairway::endpoint;
using fairway::endpoint_family;
namespace ip = boost::asio::ip;

namespace {

std::string canonical(std::string_view text) {
  const auto parsed = endpoint::parse(text);
  return parsed ? parsed.value().to_string() : "error: " + parsed.error().message();
}

endpoint read(std::string_view text) { return endpoint::parse(text).value(); }

// The bytes of a unix-domain address: the family, then a path of any bytes.
std::vector<unsigned char> local_bytes(std::string_view path) {
  const endpoint any = endpoint::local("x").value();
  std::vector<unsigned char> bytes(2 + path.size());
  std::memcpy(bytes.data(), any.data(), 2);
  std::copy(path.begin(), path.end(), bytes.begin() + 2);
  return bytes;
}

}  // namespace

TEST_CASE("an endpoint without arguments is any IPv4 address and port 0") {
  CHECK(endpoint{} == endpoint::any_v4(0));
  CHECK(endpoint{}.to_string() == "0.0.0.0:0");
}

TEST_CASE("an endpoint is copied as bytes and takes no more than 128") {
  static_assert(sizeof(endpoint) <= 128);
  static_assert(std::is_trivially_copyable_v<endpoint>);
}

TEST_CASE("text that says an endpoint is read") {
  CHECK(canonical("127.0.0.1:80") == "127.0.0.1:80");
  CHECK(canonical("255.255.255.255:65535") == "255.255.255.255:65535");
  CHECK(canonical("0.0.0.0:0") == "0.0.0.0:0");
  CHECK(canonical("[::1]:80") == "[::1]:80");
  CHECK(canonical("[::]:0") == "[::]:0");
  CHECK(canonical("[1:2:3:4:5:6:7:8]:9") == "[1:2:3:4:5:6:7:8]:9");
  CHECK(canonical("[1::]:9") == "[1::]:9");
  CHECK(canonical("[1:2:3:4:5:6:1.2.3.4]:9") == "[1:2:3:4:5:6:102:304]:9");
  CHECK(canonical("[::1.2.3.4]:9") == "[::102:304]:9");
  CHECK(canonical("unix:/run/some.sock") == "unix:/run/some.sock");
  CHECK(canonical("unix:relative path") == "unix:relative path");
  CHECK(canonical("unix:@name") == "unix:@name");
}

TEST_CASE("IPv6 is printed as RFC 5952 says") {
  CHECK(canonical("[2001:DB8::0001]:1") == "[2001:db8::1]:1");
  CHECK(canonical("[2001:db8:0:0:1:0:0:1]:1") == "[2001:db8::1:0:0:1]:1");
  CHECK(canonical("[2001:0:0:1:0:0:0:1]:1") == "[2001:0:0:1::1]:1");
  CHECK(canonical("[2001:db8:0:1:1:1:1:1]:1") == "[2001:db8:0:1:1:1:1:1]:1");
  CHECK(canonical("[1:0:0:0:0:0:0:0]:1") == "[1::]:1");
  CHECK(canonical("[0:0:0:0:0:0:0:2]:1") == "[::2]:1");
  CHECK(canonical("[::ffff:1.2.3.4]:1") == "[::ffff:1.2.3.4]:1");
  CHECK(canonical("[::ffff:102:304]:1") == "[::ffff:1.2.3.4]:1");
}

TEST_CASE("text that says no endpoint is refused as an invalid argument") {
  for (const std::string_view text :
       {"", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1:65536", "127.0.0.1:080", "127.0.0.1: 80", " 127.0.0.1:80", "127.0.0.1:80 ",
        "127.1:80", "127.0.0.1.1:80", "127.0.0.256:80", "127.0.0.01:80", "0x7f.0.0.1:80",
        "1.2.3.4:80:80", "localhost:80", "*:80", "::1:80", "[::1]", "[::1]80", "[::1:80", "::1]:80",
        "[]:80", "[127.0.0.1]:80", "[::1]]:80", "[[::1]:80", "[:::]:80", "[::1::]:80", "[1:2]:80",
        "[1:2:3:4:5:6:7]:80", "[1:2:3:4:5:6:7:8:9]:80", "[1:2:3:4::5:6:7:8]:80", "[12345::]:80",
        "[1:]:80", "[:1]:80", "[g::]:80", "[::-1]:80", "[::1.2.3]:80", "[::1.2.3.4:5]:80",
        "[1:2:3:4:5:6:7:1.2.3.4]:80", "[::1%]:80", "[::1%-1]:80", "[fe80::1%1x]:80",
        "[::1%4294967296]:80", "[fe80::1%no_such_interface]:80", "unix:", "unix:@",
        "tcp:127.0.0.1:80"}) {
    CAPTURE(text);
    const auto parsed = endpoint::parse(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error() == condition::invalid_argument);
  }
}

TEST_CASE("a zero byte is part of no endpoint") {
  using namespace std::string_view_literals;
  CHECK_FALSE(endpoint::parse("127.0.0.1:80\0"sv).has_value());
  CHECK_FALSE(endpoint::parse("127.0.0.1\0:80"sv).has_value());
  CHECK_FALSE(endpoint::parse("[::1%1\0]:80"sv).has_value());
  CHECK_FALSE(endpoint::parse("unix:/tmp/a\0b"sv).has_value());
}

TEST_CASE("random text is an endpoint that prints to itself, or an error") {
  std::mt19937 random{20240607};
  constexpr std::string_view alphabet = "0123456789abcdef::..[]%@u/-";
  for (int i = 0; i < 200000; ++i) {
    std::string text(random() % 24, ' ');
    for (char& each : text) each = alphabet[random() % alphabet.size()];
    if (random() % 2 == 0) text = "[" + text + "]:80";
    const auto parsed = endpoint::parse(text);
    if (!parsed) continue;
    const auto again = endpoint::parse(parsed.value().to_string());
    REQUIRE(again.has_value());
    REQUIRE(again.value() == parsed.value());
  }
}

TEST_CASE("random IPv6 addresses are printed and read back unchanged") {
  std::mt19937 random{11};
  for (int i = 0; i < 20000; ++i) {
    ip::address_v6::bytes_type bytes{};
    // Mostly zeros, so that every length and place of a gap comes up.
    for (auto& each : bytes) each = random() % 4 == 0 ? static_cast<unsigned char>(random()) : 0;
    const endpoint made{ip::address_v6{bytes}, static_cast<std::uint16_t>(random())};
    const auto again = endpoint::parse(made.to_string());
    REQUIRE(again.has_value());
    REQUIRE(again.value() == made);
  }
}

TEST_CASE("an IPv6 scope is kept") {
  const endpoint scoped = read("[fe80::1%7]:80");
  CHECK(scoped.address().to_v6().scope_id() == 7);
  CHECK(scoped.to_string() == "[fe80::1%7]:80");
  CHECK(scoped != read("[fe80::1]:80"));
  CHECK(scoped.with_port(81) == read("[fe80::1%7]:81"));
  CHECK(endpoint::from_native(scoped.data(), scoped.size()).value() == scoped);
  CHECK(read("[fe80::1%0]:80") == read("[fe80::1]:80"));
}

#if defined(__linux__)
TEST_CASE("an IPv6 scope may be the name of an interface") {
  CHECK(read("[fe80::1%lo]:80").address().to_v6().scope_id() != 0);
}
#endif

TEST_CASE("an endpoint has the bytes that Asio's endpoint has") {
  const ip::tcp::endpoint v4{ip::make_address("10.1.2.3"), 4660};
  const ip::tcp::endpoint v6{ip::make_address_v6("2001:db8::1"), 4660};
  for (const auto& theirs : {v4, v6}) {
    const endpoint ours{theirs};
    REQUIRE(ours.size() == theirs.size());
    CHECK(std::memcmp(ours.data(), theirs.data(), ours.size()) == 0);
    CHECK(ours.tcp() == theirs);
    CHECK(ours.udp() == ip::udp::endpoint{theirs.address(), theirs.port()});
    CHECK(endpoint{ours.udp()} == ours);
    CHECK(endpoint::from_native(theirs.data(), theirs.size()).value() == ours);
  }
}

TEST_CASE("family, address and port are what was given") {
  const endpoint v4 = read("10.1.2.3:258");
  CHECK(v4.family() == endpoint_family::v4);
  CHECK(v4.is_ip());
  CHECK(v4.address() == ip::make_address("10.1.2.3"));
  CHECK(v4.port() == 258);
  CHECK(v4.with_port(1).to_string() == "10.1.2.3:1");
  CHECK(v4.path().empty());
  CHECK(endpoint::any_v6(5).to_string() == "[::]:5");
  CHECK(endpoint::any_v6(5).family() == endpoint_family::v6);
  CHECK(endpoint::loopback_v6(5).to_string() == "[::1]:5");
  CHECK(endpoint::loopback_v4(5).to_string() == "127.0.0.1:5");
}

TEST_CASE("a unix-domain endpoint has a path and no port") {
  const endpoint file = endpoint::local("/run/x.sock").value();
  CHECK(file.family() == endpoint_family::local);
  CHECK_FALSE(file.is_ip());
  CHECK(file.path() == "/run/x.sock");
  CHECK(file.port() == 0);
  CHECK(file.with_port(9) == file);
  CHECK(file.address() == ip::address{});
  CHECK(file.tcp() == ip::tcp::endpoint{ip::address_v4{}, 0});
  CHECK(endpoint::local("@x").value().path() == "@x");
  CHECK(endpoint::local("@x").value() != endpoint::local("x").value());
}

TEST_CASE("a unix-domain path has at most 107 bytes") {
  const std::string longest(107, 'p');
  CHECK(endpoint::local(longest).value().path() == longest);
  CHECK(endpoint::local(longest).value().size() == 110);
  CHECK(endpoint::local("@" + longest.substr(1)).value().size() == 109);
  CHECK(endpoint::local(longest + "p").error() == boost::asio::error::name_too_long);
  CHECK(endpoint::parse("unix:" + longest + "p").error() == boost::asio::error::name_too_long);
}

TEST_CASE("loopback is 127.0.0.0/8, ::1 and mapped IPv4 loopback") {
  for (const auto text : {"127.0.0.1:1", "127.255.255.255:1", "[::1]:1", "[::ffff:127.9.9.9]:1"}) {
    CAPTURE(text);
    CHECK(read(text).is_loopback());
  }
  for (const auto text : {"126.255.255.255:1", "128.0.0.0:1", "0.0.0.0:1", "[::]:1", "[::2]:1",
                          "[::127.0.0.1]:1", "[::ffff:128.0.0.1]:1", "unix:/x", "unix:@x"}) {
    CAPTURE(text);
    CHECK_FALSE(read(text).is_loopback());
  }
}

TEST_CASE("a native address of a wrong size or family is refused") {
  const endpoint v4 = endpoint::loopback_v4(1);
  const endpoint v6 = endpoint::loopback_v6(1);
  CHECK_FALSE(endpoint::from_native(nullptr, 16).has_value());
  for (std::size_t size = 0; size < v4.size(); ++size) {
    CHECK(endpoint::from_native(v4.data(), size).error() == condition::invalid_argument);
  }
  for (std::size_t size = 0; size < v6.size(); ++size) {
    CHECK(endpoint::from_native(v6.data(), size).error() == condition::invalid_argument);
  }
  std::array<unsigned char, 128> room{};
  for (const unsigned char family : {0, 3, 9, 17, 99, 255}) {
    room[0] = family;
    CHECK(endpoint::from_native(room.data(), room.size()).error() == condition::invalid_argument);
  }
  const auto too_long = local_bytes(std::string(110, 'p'));
  CHECK_FALSE(endpoint::from_native(too_long.data(), too_long.size()).has_value());
  CHECK_FALSE(endpoint::from_native(too_long.data(), 1).has_value());
}

TEST_CASE("bytes beyond an address and its padding do not matter") {
  std::array<unsigned char, 128> room;
  room.fill(0xee);
  const endpoint v4 = endpoint::loopback_v4(1);
  std::memcpy(room.data(), v4.data(), 8);  // the last eight are padding
  CHECK(endpoint::from_native(room.data(), room.size()).value() == v4);
  room.fill(0xee);
  const endpoint v6 = endpoint::loopback_v6(1);
  std::memcpy(room.data(), v6.data(), v6.size());
  std::memset(room.data() + 4, 0x33, 4);  // the flow label
  const endpoint same = endpoint::from_native(room.data(), room.size()).value();
  CHECK(same == v6);
  CHECK(std::hash<endpoint>{}(same) == std::hash<endpoint>{}(v6));
}

TEST_CASE("a native unix-domain path ends where its first zero byte is") {
  using namespace std::string_view_literals;
  const endpoint path = endpoint::local("/x").value();
  for (const std::string_view given : {"/x"sv, "/x\0"sv, "/x\0junk"sv}) {
    const auto bytes = local_bytes(given);
    CHECK(endpoint::from_native(bytes.data(), bytes.size()).value() == path);
  }
  // A bound path may fill the structure; the system then counts a zero byte after it.
  const std::string full(108, 'p');
  const auto exact = local_bytes(full);
  const auto counted = local_bytes(full + '\0');
  const endpoint filled = endpoint::from_native(exact.data(), exact.size()).value();
  CHECK(filled.path() == full);
  CHECK(filled.size() == 110);
  CHECK(endpoint::from_native(counted.data(), counted.size()).value() == filled);
}

TEST_CASE("an abstract name is all its bytes, and an unnamed socket has none") {
  using namespace std::string_view_literals;
  const auto name = local_bytes("\0a\0b\n"sv);
  const endpoint abstract = endpoint::from_native(name.data(), name.size()).value();
  CHECK(abstract.path() == "@a\0b\n"sv);
  CHECK(abstract.to_string() == "unix:@a\\x00b\\x0a");
  CHECK(abstract.size() == name.size());
  const auto none = local_bytes("");
  const endpoint unnamed = endpoint::from_native(none.data(), none.size()).value();
  CHECK(unnamed.family() == endpoint_family::local);
  CHECK(unnamed.path().empty());
  CHECK(unnamed.to_string() == "unix:");
}

TEST_CASE("random native bytes are an endpoint that stays the same, or an error") {
  std::mt19937 random{5};
  for (int i = 0; i < 100000; ++i) {
    std::vector<unsigned char> bytes(random() % 130);
    for (auto& each : bytes) each = static_cast<unsigned char>(random() % 3 == 0 ? 0 : random());
    if (!bytes.empty()) bytes[0] = static_cast<unsigned char>(random() % 24);
    if (bytes.size() > 1) bytes[1] = 0;
    const auto made = endpoint::from_native(bytes.data(), bytes.size());
    if (!made) continue;
    const endpoint& e = made.value();
    REQUIRE(e.size() <= endpoint::native_bytes_max);
    REQUIRE(endpoint::from_native(e.data(), e.size()).value() == e);
    REQUIRE(e.with_port(e.port()) == e);
    REQUIRE_FALSE(e.to_string().empty());
  }
}

TEST_CASE("endpoints are ordered by family, address, scope and port, or by path") {
  const std::vector<endpoint> ordered = {
      read("1.2.3.4:9"),      read("1.2.3.5:1"),      read("1.2.3.5:2"),      read("255.0.0.0:0"),
      read("[::]:9"),         read("[::1]:1"),        read("[fe80::1]:9"),    read("[fe80::1%1]:1"),
      read("[fe80::1%2]:1"),  read("unix:@a"),        read("unix:@ab"),       read("unix:/a"),
      read("unix:/a/b"),      read("unix:/b")};
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    for (std::size_t j = 0; j < ordered.size(); ++j) {
      CAPTURE(ordered[i].to_string());
      CAPTURE(ordered[j].to_string());
      CHECK((ordered[i] < ordered[j]) == (i < j));
      CHECK((ordered[i] == ordered[j]) == (i == j));
    }
  }
  const std::unordered_set<endpoint> set(ordered.begin(), ordered.end());
  CHECK(set.size() == ordered.size());
  CHECK(set.count(read("1.2.3.5:2")) == 1);
}

TEST_CASE("host and service are split at the last colon") {
  const auto name = fairway::split_host_service("example.org:https").value();
  CHECK(name.host == "example.org");
  CHECK(name.service == "https");
  const auto v6 = fairway::split_host_service("[::1]:80").value();
  CHECK(v6.host == "::1");
  CHECK(v6.service == "80");
  CHECK(fairway::split_host_service("[fe80::1%eth0]:80").value().host == "fe80::1%eth0");
}

TEST_CASE("text that is no host and service is refused as an invalid argument") {
  for (const std::string_view text :
       {"", ":", "host", "host:", ":80", "::1:80", "[::1]", "[::1]:", "[]:80", "[::1:80", "::1]:80",
        "[::1]x:80", "a:b:c", "ho st:80", "host:80\n", "host:8 0", "host:[80]", "[[::1]]:80"}) {
    CAPTURE(text);
    const auto split = fairway::split_host_service(text);
    REQUIRE_FALSE(split.has_value());
    CHECK(split.error() == condition::invalid_argument);
  }
}
