#include <fairway/net/socket_options.hpp>

#include <doctest/doctest.h>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/multicast.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/ip/unicast.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <set>
#include <string>

// Inside the library's namespace, because the system's headers have a `linger` of their own.
namespace fairway {

namespace {

using namespace std::chrono_literals;
namespace ip = boost::asio::ip;

// Asio's sockets, so that the library is measured with a ruler of somebody else's.
template <class Protocol>
struct open_socket {
  explicit open_socket(Protocol protocol) : socket(context, protocol) {}
  std::uintptr_t handle() { return static_cast<std::uintptr_t>(socket.native_handle()); }
  boost::asio::io_context context;
  typename Protocol::socket socket;
};

// Sets and reads back. An option that the system (an emulated one, too) does not know is skipped.
template <class Option>
void keeps(std::uintptr_t handle, const Option& option) {
  CAPTURE(to_string(Option::id));
  const auto set = set_option(handle, option);
  if (!set && set.error() == condition::not_supported) {
    std::printf("SKIP: this system has no %s\n", std::string{to_string(Option::id)}.c_str());
    return;
  }
  REQUIRE(set.has_value());
  const auto got = get_option<Option>(handle);
  REQUIRE(got.has_value());
  CHECK(got.value().value == option.value);
}

template <class Option>
void refuses(std::uintptr_t handle, const Option& option) {
  CAPTURE(to_string(Option::id));
  const auto set = set_option(handle, option);
  REQUIRE_FALSE(set.has_value());
  CHECK(set.error() == boost::asio::error::invalid_argument);
}

template <class Option>
void lacks(std::uintptr_t handle) {
  CAPTURE(to_string(Option::id));
  CHECK_FALSE(is_supported(Option::id));
  Option option;
  option.value = decltype(option.value){Option::least};
  CHECK(set_option(handle, option).error() == boost::asio::error::operation_not_supported);
  CHECK(get_option<Option>(handle).error() == boost::asio::error::operation_not_supported);
}

// No descriptor and no handle has this number.
constexpr std::uintptr_t no_socket = 0x7ffffff0;

}  // namespace

TEST_CASE("every option has a name of its own") {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < option_count; ++i) names.insert(to_string(static_cast<option_id>(i)));
  CHECK(names.size() == option_count);
  CHECK(names.count("unknown") == 0);
  CHECK(to_string(static_cast<option_id>(option_count)) == "unknown");
  CHECK_FALSE(is_supported(static_cast<option_id>(option_count)));
}

TEST_CASE("TCP options are set and read back") {
  open_socket tcp{ip::tcp::v4()};
  keeps(tcp.handle(), no_delay{true});
  keeps(tcp.handle(), no_delay{false});
  keeps(tcp.handle(), keep_alive{true});
  keeps(tcp.handle(), keep_alive_idle{77s});
  keeps(tcp.handle(), keep_alive_interval{11s});
  keeps(tcp.handle(), keep_alive_count{5});
  keeps(tcp.handle(), user_timeout{12345ms});
  keeps(tcp.handle(), cork{true});
  keeps(tcp.handle(), ip_ttl{33});
  keeps(tcp.handle(), ip_ttl{255});
}

TEST_CASE("what Fairway sets is what Asio reads") {
  open_socket tcp{ip::tcp::v4()};
  REQUIRE(set_option(tcp.handle(), no_delay{true}).has_value());
  REQUIRE(set_option(tcp.handle(), keep_alive{true}).has_value());
  ip::tcp::no_delay delay;
  boost::asio::socket_base::keep_alive alive;
  tcp.socket.get_option(delay);
  tcp.socket.get_option(alive);
  CHECK(delay.value());
  CHECK(alive.value());
}

TEST_CASE("what Asio sets is what Fairway reads") {
  open_socket tcp{ip::tcp::v6()};
  tcp.socket.set_option(ip::v6_only{true});
  tcp.socket.set_option(ip::unicast::hops{9});
  tcp.socket.set_option(boost::asio::socket_base::linger{true, 3});
  CHECK(get_option<v6_only>(tcp.handle()).value().value);
  CHECK(get_option<unicast_hops>(tcp.handle()).value().value == 9);
  const auto lingering = get_option<linger>(tcp.handle()).value();
  CHECK(lingering.on);
  CHECK(lingering.timeout == 3s);
}

TEST_CASE("IPv6 options are set and read back") {
  open_socket tcp{ip::tcp::v6()};
  keeps(tcp.handle(), v6_only{true});
  keeps(tcp.handle(), v6_only{false});
  keeps(tcp.handle(), unicast_hops{17});
}

TEST_CASE("options of binding are set and read back") {
  open_socket shared{ip::tcp::v4()};
  keeps(shared.handle(), reuse_address{true});
  keeps(shared.handle(), reuse_port{true});
  open_socket alone{ip::tcp::v4()};
  keeps(alone.handle(), exclusive_address_use{true});
}

TEST_CASE("a close that resets can be asked for, one that waits cannot") {
  open_socket tcp{ip::tcp::v4()};
  REQUIRE(set_option(tcp.handle(), linger{true}).has_value());
  CHECK(get_option<linger>(tcp.handle()).value().on);
  CHECK(get_option<linger>(tcp.handle()).value().timeout == 0s);
  refuses(tcp.handle(), linger{true, 1s});
  REQUIRE(set_option(tcp.handle(), linger{}).has_value());
  CHECK_FALSE(get_option<linger>(tcp.handle()).value().on);
}

TEST_CASE("buffers get at least the size that was asked for") {
  open_socket tcp{ip::tcp::v4()};
  REQUIRE(set_option(tcp.handle(), receive_buffer_bytes{65536}).has_value());
  CHECK(get_option<receive_buffer_bytes>(tcp.handle()).value().value >= 65536);
  REQUIRE(set_option(tcp.handle(), send_buffer_bytes{65536}).has_value());
  CHECK(get_option<send_buffer_bytes>(tcp.handle()).value().value >= 65536);
}

TEST_CASE("a value out of range is refused before the system sees it") {
  // Were the system asked, it would answer "not a socket".
  refuses(no_socket, keep_alive_idle{0s});
  refuses(no_socket, keep_alive_idle{32768s});
  refuses(no_socket, keep_alive_idle{std::chrono::seconds::max()});
  refuses(no_socket, keep_alive_interval{-1s});
  refuses(no_socket, keep_alive_count{0});
  refuses(no_socket, keep_alive_count{128});
  refuses(no_socket, send_buffer_bytes{0});
  refuses(no_socket, receive_buffer_bytes{-1});
  refuses(no_socket, user_timeout{-1ms});
  refuses(no_socket, user_timeout{std::chrono::milliseconds{0x80000000}});
  refuses(no_socket, ip_ttl{0});
  refuses(no_socket, ip_ttl{256});
  refuses(no_socket, unicast_hops{-2});
  refuses(no_socket, unicast_hops{256});
  refuses(no_socket, ip_unicast_if{-1});
  refuses(no_socket, ipv6_unicast_if{0x1000000});
  refuses(no_socket, multicast_hops{256});
  refuses(no_socket, join_group{ip::make_address("127.0.0.1")});
  refuses(no_socket, leave_group{ip::make_address("::1")});
  refuses(no_socket, join_group{ip::make_address("239.1.1.1"), 0x1000000});
}

TEST_CASE("an option of what is no socket is an error that says so") {
  CHECK(set_option(no_socket, no_delay{true}).error() == condition::not_a_socket);
  CHECK(get_option<no_delay>(no_socket).error() == condition::not_a_socket);
  CHECK(set_option(no_socket, linger{}).error() == condition::not_a_socket);
  CHECK(get_option<linger>(no_socket).error() == condition::not_a_socket);
  CHECK(set_option(no_socket, multicast_hops{1}).error() == condition::not_a_socket);
}

TEST_CASE("an option that the platform lacks is not supported") {
  open_socket tcp{ip::tcp::v4()};
#if defined(_WIN32)
  lacks<busy_poll>(tcp.handle());
  lacks<cork>(tcp.handle());
  lacks<incoming_cpu>(tcp.handle());
  lacks<quick_ack>(tcp.handle());
  lacks<reuse_port>(tcp.handle());
  lacks<user_timeout>(tcp.handle());
#else
  lacks<conditional_accept>(tcp.handle());
  lacks<exclusive_address_use>(tcp.handle());
  lacks<port_scalability>(tcp.handle());
  lacks<tcp_urgent_bsd>(tcp.handle());
#endif
}

TEST_CASE("options of the loopback control code's list are there or answer not supported") {
  open_socket v4{ip::tcp::v4()};
  open_socket v6{ip::tcp::v6()};
  keeps(v4.handle(), ip_ttl{64});
  keeps(v4.handle(), ip_unicast_if{1});
  keeps(v6.handle(), unicast_hops{64});
  keeps(v6.handle(), v6_only{true});
  keeps(v4.handle(), tcp_urgent_bsd{true});
  keeps(v4.handle(), conditional_accept{true});
  // Wine takes no interface index here, and sets what it then cannot read.
  for (const auto& set : {set_option(v6.handle(), ipv6_unicast_if{1}),
                          set_option(v4.handle(), port_scalability{true})}) {
    if (!set) {
      const bool expected = set.error() == condition::not_supported ||
                            set.error() == condition::invalid_argument;
      CHECK(expected);
    }
  }
}

#if defined(__linux__)
TEST_CASE("an interface index arrives in the byte order that the kernel expects") {
  open_socket v4{ip::tcp::v4()};
  open_socket v6{ip::tcp::v6()};
  keeps(v4.handle(), ip_unicast_if{1});
  keeps(v6.handle(), ipv6_unicast_if{1});
  // In the other byte order this would be interface 1.
  CHECK_FALSE(set_option(v4.handle(), ip_unicast_if{0x00ffffff}).has_value());
}

TEST_CASE("Linux options are set and read back") {
  open_socket tcp{ip::tcp::v4()};
  keeps(tcp.handle(), incoming_cpu{0});
  CHECK(set_option(tcp.handle(), quick_ack{true}).has_value());
  CHECK(get_option<busy_poll>(tcp.handle()).has_value());
}
#endif

TEST_CASE("datagram options are set and read back, by the socket's family") {
  for (const auto protocol : {ip::udp::v4(), ip::udp::v6()}) {
    open_socket udp{protocol};
    keeps(udp.handle(), broadcast{true});
    keeps(udp.handle(), multicast_loop{false});
    keeps(udp.handle(), multicast_loop{true});
    keeps(udp.handle(), multicast_hops{3});
    ip::multicast::hops theirs;
    udp.socket.get_option(theirs);
    CHECK(theirs.value() == 3);
  }
}

TEST_CASE("the interface for groups can be set and not read") {
  for (const auto protocol : {ip::udp::v4(), ip::udp::v6()}) {
    open_socket udp{protocol};
    CHECK(set_option(udp.handle(), multicast_interface{0}).has_value());
    CHECK(get_option<multicast_interface>(udp.handle()).error() == condition::not_supported);
  }
}

TEST_CASE("a group is joined once and left once") {
  const auto group = ip::make_address("239.255.77.77");
  open_socket udp{ip::udp::v4()};
  udp.socket.bind({ip::address_v4::any(), 0});
  const auto joined = set_option(udp.handle(), join_group{group});
  if (!joined) {
    // A machine without a route for groups: "no such device" or the like.
    std::printf("SKIP: no group can be joined here: %s\n", joined.error().message().c_str());
    return;
  }
  CHECK_FALSE(set_option(udp.handle(), join_group{group}).has_value());
  CHECK(set_option(udp.handle(), leave_group{group}).has_value());
  CHECK_FALSE(set_option(udp.handle(), leave_group{group}).has_value());
}

#if defined(__linux__)
TEST_CASE("a datagram to a group that was joined on an interface arrives") {
  for (const std::string address : {"239.255.77.78", "ff11::7778"}) {
    CAPTURE(address);
    const auto group = ip::make_address(address);
    const auto protocol = group.is_v6() ? ip::udp::v6() : ip::udp::v4();
    open_socket receiver{protocol};
    open_socket sender{protocol};
    receiver.socket.bind({protocol, 0});
    constexpr std::uint32_t loopback_interface = 1;
    REQUIRE(set_option(receiver.handle(), join_group{group, loopback_interface}).has_value());
    REQUIRE(set_option(sender.handle(), multicast_interface{loopback_interface}).has_value());
    REQUIRE(set_option(sender.handle(), multicast_loop{true}).has_value());
    const ip::udp::endpoint to{group, receiver.socket.local_endpoint().port()};
    boost::system::error_code ec;
    sender.socket.send_to(boost::asio::buffer("ping", 4), to, 0, ec);
    if (ec == condition::unreachable) {
      std::printf("SKIP: the loopback interface has no route to %s\n", address.c_str());
      continue;
    }
    REQUIRE_FALSE(ec.failed());
    // On the loopback interface it has arrived when the send returns.
    receiver.socket.non_blocking(true);
    std::array<char, 8> room{};
    CHECK(receiver.socket.receive(boost::asio::buffer(room)) == 4);
    REQUIRE(set_option(receiver.handle(), leave_group{group, loopback_interface}).has_value());
  }
}
#endif

}  // namespace fairway
