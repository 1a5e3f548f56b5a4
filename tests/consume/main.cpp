// An outside program, which knows the package by its name only: a port, a timer, and an echo over
// loopback through a listener, a connector and two streams.

#include <fairway/fairway.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/detached.hpp>

#include <chrono>
#include <iostream>
#include <string>
#include <utility>

namespace asio = boost::asio;

namespace {

fairway::task<fairway::result<void>> serve(fairway::listener& listener) {
  BOOST_OUTCOME_CO_TRY(auto peer, co_await listener.async_accept());
  BOOST_OUTCOME_CO_TRY(auto bytes, co_await peer.async_receive());
  BOOST_OUTCOME_CO_TRY(co_await fairway::async_write(peer, bytes.buffer()));
  co_return boost::outcome_v2::success();
}

fairway::task<fairway::result<std::string>> call(fairway::completion_port& port,
                                                 fairway::endpoint server) {
  fairway::timer pause{port};
  pause.expires_after(std::chrono::milliseconds{1});
  BOOST_OUTCOME_CO_TRY(co_await pause.async_wait());
  fairway::connector connector{port};
  BOOST_OUTCOME_CO_TRY(auto stream, co_await connector.async_connect(server));
  BOOST_OUTCOME_CO_TRY(co_await fairway::async_write(stream, asio::buffer("ping", 4)));
  std::string answer(4, '\0');
  BOOST_OUTCOME_CO_TRY(co_await fairway::async_read(stream, asio::buffer(answer)));
  co_return answer;
}

}  // namespace

int main() {
  fairway::completion_port port;
  auto listener = fairway::listener::open(port, fairway::endpoint::loopback_v4(0));
  if (!listener) {
    std::cerr << "listening: " << listener.error().message() << '\n';
    return 1;
  }
  std::string answer = "nothing";
  fairway::spawn(port, serve(listener.value()), asio::detached);
  fairway::spawn(port, call(port, listener.value().local_endpoint().value()),
                 [&](std::exception_ptr, fairway::result<std::string> got) {
                   answer = got ? got.value() : got.error().message();
                 });
  port.run();
  std::cout << "fairway " << fairway::version() << " on " << fairway::to_string(port.engine())
            << ": " << answer << '\n';
  return answer == "ping" ? 0 : 1;
}
