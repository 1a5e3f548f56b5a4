// Sends back what it receives, to any number of clients on one port.
#include "arguments.hpp"

#include <fairway/fairway.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <list>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view help =
    "echo_server: sends back what it receives\n"
    "  --listen ENDPOINT  where (127.0.0.1:0): ADDRESS:PORT, [ADDRESS]:PORT, unix:PATH,\n"
    "                     unix:@NAME\n"
    "  --engine NAME      automatic, io_uring, epoll or iocp\n"
    "  --busy-poll N      microseconds that the port looks before it sleeps (0)\n"
    "  --loopback POLICY  off, kernel, shared_memory or both\n"
    "SIGINT or SIGTERM drains: no new clients, what arrived is answered. A second one stops.\n";

struct client {
  fairway::stream stream;
  bool answering = false;
};

struct service {
  fairway::completion_port& port;
  fairway::listener listener;
  std::list<client> clients;
  bool draining = false;
  fairway::timer cut{port};
};

fairway::task<> serve(service& all, std::list<client>::iterator me) {
  std::array<char, 16 * 1024> room;
  while (!all.draining) {
    auto got = co_await me->stream.async_read_some(asio::buffer(room));
    if (!got) break;  // the client ended or broke the connection, or the server drains
    me->answering = true;
    auto sent = co_await fairway::async_write(me->stream, asio::buffer(room, got.value()));
    me->answering = false;
    if (!sent) break;
  }
  all.clients.erase(me);
  if (all.draining && all.clients.empty()) all.cut.cancel();
}

fairway::task<> accept_all(service& all) {
  while (auto accepted = co_await all.listener.async_accept()) {
    accepted.value().set_timeouts({.write = 30s});  // a client that never reads is cut
    all.clients.push_front({std::move(accepted).value()});
    fairway::spawn(all.port, serve(all, all.clients.begin()));
  }
  if (!all.draining) all.port.stop();  // the listener failed: better to end than to be deaf
}

fairway::task<> drain_on_signal(service& all) {
  fairway::signals quit{all.port,
                        {fairway::signal_kind::interrupt, fairway::signal_kind::terminate}};
  if (!co_await quit.async_wait()) co_return;
  all.draining = true;
  all.listener.close();
  for (client& c : all.clients) {
    if (!c.answering) c.stream.cancel();
  }
  fairway::spawn(all.port, [](service& s, fairway::signals& q) -> fairway::task<> {
    if (co_await q.async_wait()) s.port.stop();
  }(all, quit));
  all.cut.expires_after(5s);
  if (!all.clients.empty()) (void)co_await all.cut.async_wait();
  all.port.stop();
}

}  // namespace

int main(int count, char** words) {
  constexpr std::string_view name = "echo_server";
  const samples::arguments given{
      name, help, count, words, {"listen", "engine", "busy-poll", "loopback"}};
  const auto where = given.endpoint("listen", "127.0.0.1:0");
  try {
    fairway::completion_port port{given.port()};
    auto opened = fairway::listener::open(port, where, {.loopback = given.loopback()});
    if (!opened) {
      samples::fail(name, "cannot listen on " + where.to_string() + ": " +
                              opened.error().message(), 1);
    }
    service all{port, std::move(opened).value(), {}};
    std::printf("listening on %s\n", all.listener.local_endpoint().value().to_string().c_str());
    std::fflush(stdout);
    fairway::spawn(port, accept_all(all));
    fairway::spawn(port, drain_on_signal(all));
    port.run();
    if (!all.draining) samples::fail(name, "the listener failed", 1);
  } catch (const std::exception& failed) {
    samples::fail(name, failed.what(), 1);
  }
  return 0;
}
