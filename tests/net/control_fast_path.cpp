// SIO_LOOPBACK_FAST_PATH, row by row of Microsoft's page. What no system at hand does is played by
// a provider in front of it (support/providers.hpp), and the case says so.

#include "support/environment.hpp"
#include "support/net.hpp"
#include "support/providers.hpp"

#include <algorithm>

using namespace support;
using fairway::async_control;
using fairway::condition;
using fairway::dispatch;
using fairway::endpoint;
using fairway::endpoint_family;
using fairway::loopback;
using fairway::path;
using fairway::path_reason;
using fairway::unconnected_socket;

namespace {

using done = delivered<fairway::control_done>;

fairway::port_options with(fairway::transport_provider& provider) {
  fairway::port_options options;
  options.provider = &provider;
  return options;
}

done ask(fairway::completion_port& port, unconnected_socket& socket, dispatch how) {
  done got;
  async_control(socket, fairway::loopback_fast_path{true}, how, got.record());
  pump(port, [&] { return got.done(); });
  return got;
}

struct connected {
  fairway::listener listener;
  fairway::stream accepted;
  fairway::stream stream;
};

connected connect(fairway::completion_port& port, loopback listening, loopback connecting,
                  const endpoint& local = endpoint::loopback_v4(0)) {
  connected made;
  made.listener = listen(port, local, {.loopback = listening});
  fairway::connector dial{port, {.loopback = connecting}};
  delivered<fairway::stream> got;
  dial.async_connect(made.listener.local_endpoint().value(), got.record());
  made.accepted = accept(port, made.listener);
  pump(port, [&] { return got.done(); });
  REQUIRE_FALSE(got.ec);
  made.stream = std::move(got.value);
  return made;
}

std::size_t place(const recording_provider& p, std::string_view step, std::size_t from = 0) {
  for (std::size_t i = from; i < p.steps.size(); ++i) {
    if (p.steps[i].starts_with(step)) return i;
  }
  return p.steps.size();
}

std::size_t count(const recording_provider& p, std::string_view step) {
  return static_cast<std::size_t>(std::count_if(
      p.steps.begin(), p.steps.end(), [&](const auto& s) { return s.starts_with(step); }));
}

}  // namespace

TEST_CASE("the arguments are the page's: a Boolean in, nothing out, a place for the byte count") {
  recording_provider provider;
  fairway::completion_port port{with(provider)};
  auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
  (void)fairway::control(socket, fairway::loopback_fast_path{true});
  (void)fairway::control(socket, fairway::loopback_fast_path{false});
  (void)ask(port, socket, dispatch::routine);
  (void)ask(port, socket, dispatch::overlapped);
  REQUIRE(provider.calls.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& call = provider.calls[i];
    CHECK(call.code == 0x98000010);
    CHECK(call.input.size() == 4);
    CHECK(call.input.front() == std::byte{i == 1 ? std::uint8_t{0} : std::uint8_t{1}});
    CHECK_FALSE(call.has_output);
    CHECK(call.output_bytes == 0);
    CHECK(call.has_bytes_returned);
    CHECK(call.overlapped == (i >= 2));
    CHECK(call.routine == (i == 2));
    CHECK(call.thread != 0);
  }
}

TEST_CASE("an output that is too small is an invalid argument, and no bytes") {
  // A double: Wine and Linux do not know the code.
  fast_path_provider provider;
  fairway::completion_port port{with(provider)};
  auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
  fairway::raw_control wrong{.code = 0x98000010, .input = {std::byte{1}}, .output_bytes = 1};
  delivered<fairway::raw_control::output> got;
  async_control(socket, wrong, got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::invalid_argument);
  CHECK(got.value.bytes == 0);
  CHECK(got.value.data.empty());
}

TEST_CASE("only TCP sockets: others are refused before any call") {
  recording_provider provider;
  fairway::completion_port port{with(provider)};
  auto datagram = fairway::datagram::open(port, endpoint::loopback_v4(0)).value();
  CHECK(fairway::control(datagram, fairway::loopback_fast_path{}).error() ==
        fairway::error::wrong_kind_of_socket);
  CHECK(fairway::control(datagram, fairway::loopback_fast_path{}).error() ==
        condition::invalid_argument);
#if defined(__linux__)
  auto unix_domain = unconnected_socket::open(port, endpoint_family::local).value();
  CHECK(ask(port, unix_domain, dispatch::overlapped).ec == fairway::error::wrong_kind_of_socket);
#endif
  CHECK(provider.calls.empty());
}

TEST_CASE("asking after connect, listen or accept is an error that says so, without a call") {
  recording_provider provider;
  fairway::completion_port port{with(provider)};
  auto made = connect(port, loopback::off, loopback::off);
  const auto check = [](const auto& answer) {
    CHECK(answer.error() == fairway::error::too_late);
    CHECK(answer.error() == condition::invalid_argument);
    CHECK(answer.error().message().find("before") != std::string::npos);
  };
  check(fairway::control(made.stream, fairway::loopback_fast_path{}));
  check(fairway::control(made.accepted, fairway::loopback_fast_path{}));
  check(fairway::control(made.listener, fairway::loopback_fast_path{}));
  CHECK(provider.calls.empty());
}

TEST_CASE("the options ask once on each side: before bind and listen, before connect") {
  // A double for a system that has the path.
  std::vector<endpoint> ends{endpoint::loopback_v4(0)};
  if (has_ipv6()) ends.push_back(endpoint::loopback_v6(0));
  for (const endpoint& local : ends) {
    fast_path_provider provider;
    fairway::completion_port port{with(provider)};
    auto made = connect(port, loopback::kernel, loopback::kernel, local);
    CHECK(count(provider, "ioctl loopback_fast_path") == 2);
    const auto first = place(provider, "ioctl loopback_fast_path");
    CHECK(first < place(provider, "bind"));
    CHECK(place(provider, "bind") < place(provider, "listen"));
    const auto second = place(provider, "ioctl loopback_fast_path", first + 1);
    CHECK(second < place(provider, "connect"));
    CHECK(made.listener.path() == path::kernel_fast_path);
    CHECK(made.stream.path() == path::kernel_fast_path);
    CHECK(made.stream.path_reason() == path_reason::none);
    // Accepted sockets inherit.
    CHECK(made.accepted.path() == path::kernel_fast_path);
    for (const auto& call : provider.calls) CHECK_FALSE(call.overlapped);
  }
}

TEST_CASE("every way to connect asks: to one address, to several, by name, on a given socket") {
  fast_path_provider provider;
  fairway::completion_port port{with(provider)};
  auto l = listen(port, endpoint::loopback_v4(0), {.loopback = loopback::kernel});
  const endpoint there = l.local_endpoint().value();
  const std::string service = std::to_string(there.port());
  for (const int way : {0, 1, 2, 3, 4}) {
    CAPTURE(way);
    provider.steps.clear();
    fairway::connector dial{port, {.loopback = loopback::kernel}};
    delivered<fairway::stream> got;
    const std::vector<endpoint> several{endpoint::loopback_v4(1), there};
    if (way == 0) dial.async_connect(there, got.record());
    if (way == 1) dial.async_connect(std::span<const endpoint>{several}, got.record());
    if (way == 2) dial.async_connect("127.0.0.1", service, got.record());
    if (way == 3) dial.async_connect("localhost", service, got.record());
    if (way == 4) {
      auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
      dial.async_connect(std::move(socket), there, got.record());
    }
    auto accepted = accept(port, l);
    pump(port, [&] { return got.done(); });
    REQUIRE_FALSE(got.ec);
    CHECK(got.value.path() == path::kernel_fast_path);
    // Once an attempt, right before it.
    CHECK(count(provider, "ioctl loopback_fast_path") == count(provider, "connect"));
    for (std::size_t at = 0; at < provider.steps.size(); ++at) {
      if (provider.steps[at].starts_with("connect")) {
        CHECK(provider.steps[at - 1] == "ioctl loopback_fast_path");
      }
    }
  }
}

TEST_CASE("it is asked for loopback targets only, and never unless wanted") {
  fast_path_provider provider;
  fairway::completion_port port{with(provider)};
  auto plain = connect(port, loopback::off, loopback::off);
  CHECK(plain.stream.path() == path::tcp);
  CHECK(plain.stream.path_reason() == path_reason::not_asked);
  fairway::connector dial{port, {.timeout = 1s, .loopback = loopback::kernel}};
  delivered<fairway::stream> got;
  // Not a loopback address, and nobody's: the broadcast address is refused at once.
  dial.async_connect(endpoint::parse("255.255.255.255:9").value(), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec);
  CHECK(count(provider, "ioctl") == 0);
}

TEST_CASE("a system without the path, or one that fails, is ordinary TCP with the reason kept") {
  struct row {
    condition what;
    path_reason why;
  };
  // The errors of the page; each by a double, the first also by the real system below.
  for (const row& r : {row{condition::not_supported, path_reason::not_supported},
                       row{condition::invalid_argument, path_reason::invalid_argument},
                       row{condition::access_denied, path_reason::access_denied},
                       row{condition::network_down, path_reason::network_down},
                       row{condition::in_progress, path_reason::in_progress},
                       row{condition::interrupted, path_reason::interrupted},
                       row{condition::aborted, path_reason::interrupted},
                       row{condition::bad_address, path_reason::refused_by_system},
                       row{condition::not_a_socket, path_reason::refused_by_system}}) {
    failing_provider provider{fairway::control_id::loopback_fast_path,
                              fairway::native_error(r.what)};
    fairway::completion_port port{with(provider)};
    auto made = connect(port, loopback::kernel, loopback::kernel);
    for (const fairway::stream* s : {&made.stream, &made.accepted}) {
      CHECK(s->path() == path::tcp);
      CHECK(s->path_reason() == r.why);
    }
    outcome put;
    made.stream.async_write_some(asio::buffer("x", 1), put.record());
    std::array<char, 4> room{};
    outcome got;
    made.accepted.async_read_some(asio::buffer(room), got.record());
    pump(port, [&] { return put.done() && got.done(); });
    CHECK(got.bytes == 1);
  }
  fairway::completion_port port;
  auto made = connect(port, loopback::kernel, loopback::kernel);
  CHECK(made.stream.path() == path::tcp);
  CHECK(made.stream.path_reason() == path_reason::not_supported);
  CHECK(made.accepted.path_reason() == path_reason::not_supported);
  CHECK_FALSE(to_string(made.stream.path_reason()).empty());
}

TEST_CASE("the command by hand reports each error of the page itself") {
  // Doubles; the real system gives not_supported, invalid_argument, not_a_socket and bad_address
  // elsewhere in these tests.
  for (const condition what :
       {condition::access_denied, condition::bad_address, condition::in_progress,
        condition::interrupted, condition::invalid_argument, condition::network_down,
        condition::not_a_socket, condition::not_supported, condition::aborted}) {
    CAPTURE(static_cast<int>(what));
    failing_provider provider{fairway::control_id::loopback_fast_path,
                              fairway::native_error(what)};
    fairway::completion_port port{with(provider)};
    auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
    CHECK(ask(port, socket, dispatch::routine).ec == what);
    CHECK(ask(port, socket, dispatch::overlapped).ec == what);
    CHECK(fairway::control(socket, fairway::loopback_fast_path{}).error() == what);
  }
}

TEST_CASE("pending is pending: the answer comes later, from the provider") {
  fast_path_provider provider;
  provider.leaves_pending = true;
  fairway::completion_port port{with(provider)};
  for (const auto how : {dispatch::routine, dispatch::overlapped}) {
    auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
    done got;
    async_control(socket, fairway::loopback_fast_path{}, how, got.record());
    drain(port);
    CHECK_FALSE(got.done());
    REQUIRE(provider.pending.size() == 1);
    auto call = provider.pending.front().first;
    std::thread elsewhere([&] { call.complete(0, 0); });
    elsewhere.join();
    pump(port, [&] { return got.done(); });
    CHECK_FALSE(got.ec);
    call.complete(0, 0);  // over: ignored
    drain(port);
    CHECK(got.calls == 1);
    provider.pending.clear();
  }
}

TEST_CASE("operation aborted: by cancel, close, SIO_FLUSH and the end of the port") {
  fast_path_provider provider;
  provider.leaves_pending = true;
  for (const int way : {0, 1, 2}) {
    CAPTURE(way);
    fairway::completion_port port{with(provider)};
    auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
    done got;
    async_control(socket, fairway::loopback_fast_path{}, got.record());
    drain(port);
    REQUIRE(provider.pending.size() == 1);
    if (way == 0) socket.cancel();
    if (way == 1) socket.close();
    if (way == 2) CHECK(fairway::control(socket, fairway::flush{}).has_value());
    pump(port, [&] { return got.done(); });
    CHECK(got.ec == condition::aborted);
    CHECK(provider.pending.empty());
  }
  unconnected_socket socket;
  {
    fairway::completion_port port{with(provider)};
    socket = unconnected_socket::open(port, endpoint_family::v4).value();
    async_control(socket, fairway::loopback_fast_path{},
                  [](error_code, fairway::control_done) { FAIL("called"); });
    drain(port);
    REQUIRE(provider.pending.size() == 1);
  }
  CHECK(provider.pending.empty());
}

TEST_CASE("FAIRWAY_LOOPBACK=off forbids the path") {
  const environment_variable off{"FAIRWAY_LOOPBACK", "off"};
  fast_path_provider provider;
  fairway::completion_port port{with(provider)};
  auto made = connect(port, loopback::kernel, loopback::both);
  CHECK(made.stream.path() == path::tcp);
  CHECK(made.stream.path_reason() == path_reason::refused_by_environment);
  CHECK(made.accepted.path_reason() == path_reason::refused_by_environment);
  auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
  CHECK(fairway::control(socket, fairway::loopback_fast_path{}).error() ==
        condition::access_denied);
  CHECK(count(provider, "ioctl") == 0);
}

TEST_CASE("the path by hand, on both ends, is what the streams tell") {
  fast_path_provider provider;
  fairway::completion_port port{with(provider)};
  auto a = unconnected_socket::open(port, endpoint_family::v4).value();
  auto b = unconnected_socket::open(port, endpoint_family::v4).value();
  REQUIRE_FALSE(ask(port, a, dispatch::routine).ec);
  REQUIRE(fairway::control(b, fairway::loopback_fast_path{}).has_value());
  auto l = fairway::listener::open(std::move(a), endpoint::loopback_v4(0)).value();
  fairway::connector dial{port};
  delivered<fairway::stream> got;
  dial.async_connect(std::move(b), l.local_endpoint().value(), got.record());
  auto accepted = accept(port, l);
  pump(port, [&] { return got.done(); });
  REQUIRE_FALSE(got.ec);
  CHECK(got.value.path() == path::kernel_fast_path);
  CHECK(accepted.path() == path::kernel_fast_path);
  CHECK(count(provider, "ioctl") == 2);
}

TEST_CASE("on the fast path the page's options work, and others say that they would do nothing") {
  fast_path_provider provider;
  fairway::completion_port port{with(provider)};
  auto made = connect(port, loopback::kernel, loopback::kernel);
  for (fairway::stream* s : {&made.stream, &made.accepted}) {
    CHECK(s->set_option(fairway::ip_ttl{64}).has_value());
    CHECK(s->set_option(fairway::receive_buffer_bytes{65536}).has_value());
    CHECK(s->set_option(fairway::ip_unicast_if{0}).has_value());
    const auto refused = s->set_option(fairway::no_delay{true});
    CHECK(refused.error() == fairway::error::option_off_fast_path);
    CHECK(refused.error() == condition::not_supported);
    CHECK(s->set_option(fairway::keep_alive{true}).error() ==
          fairway::error::option_off_fast_path);
    CHECK(s->set_option(fairway::linger{true, 0s}).error() ==
          fairway::error::option_off_fast_path);
    // What was set by default elsewhere was left alone here.
    CHECK_FALSE(s->get_option<fairway::no_delay>().value().value);
  }
  auto plain = connect(port, loopback::off, loopback::off);
  CHECK(plain.stream.set_option(fairway::no_delay{true}).has_value());
  CHECK(plain.stream.get_option<fairway::no_delay>().value().value);
}

TEST_CASE("SO_CONDITIONAL_ACCEPT and the kernel's path exclude each other") {
  fast_path_provider provider;
  fairway::completion_port port{with(provider)};
  auto l = listen(port, endpoint::loopback_v4(0), {.loopback = loopback::kernel});
  CHECK(l.set_option(fairway::conditional_accept{true}).error() ==
        fairway::error::conditional_accept_refused);
  auto socket = unconnected_socket::open(port, endpoint_family::v4).value();
  if (!socket.set_option(fairway::conditional_accept{true}) ||
      !socket.get_option<fairway::conditional_accept>()) {
    std::puts("SKIP: no SO_CONDITIONAL_ACCEPT on this system");
    return;
  }
  CHECK(fairway::control(socket, fairway::loopback_fast_path{}).error() ==
        fairway::error::conditional_accept_refused);
  auto other = fairway::listener::open(std::move(socket), endpoint::loopback_v4(0),
                                       {.loopback = loopback::kernel}).value();
  CHECK(other.path_reason() == path_reason::conditional_accept);
}

TEST_CASE("a provider refuses to bind, to listen, to connect, or a connection") {
  struct refusing : recording_provider {
    int answer(int& error, bool refused) {
      if (!refused) return 0;
      error = fairway::native_error(condition::access_denied);
      return -1;
    }
    int bind(std::uintptr_t, const void*, std::size_t, int& e) override {
      return answer(e, at == 0);
    }
    int listen(std::uintptr_t, int, int& e) override { return answer(e, at == 1); }
    int connect(std::uintptr_t, const void*, std::size_t, int& e) override {
      return answer(e, at == 2);
    }
    int accept(std::uintptr_t, std::uintptr_t, int& e) override { return answer(e, at == 3); }
    int at = 9;
  } provider;
  fairway::completion_port port{with(provider)};
  for (const int at : {0, 1}) {
    provider.at = at;
    CHECK(fairway::listener::open(port, endpoint::loopback_v4(0)).error() ==
          condition::access_denied);
  }
  provider.at = 2;
  auto l = listen(port);
  fairway::connector dial{port};
  delivered<fairway::stream> got;
  dial.async_connect(l.local_endpoint().value(), got.record());
  pump(port, [&] { return got.done(); });
  CHECK(got.ec == condition::access_denied);
  provider.at = 3;
  raw_peer peer = raw_peer::connect(l.local_endpoint().value());
  accepted refused;
  l.async_accept(refused.record());
  pump(port, [&] { return refused.done(); });
  CHECK(refused.ec == condition::access_denied);
  CHECK_FALSE(refused.value.is_open());
}
