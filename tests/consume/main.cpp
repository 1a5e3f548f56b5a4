// An outside program, which knows the package by its name only: it runs a port with a posted
// function, which opens a listener, and a timer.

#include <fairway/fairway.hpp>

#include <boost/asio/post.hpp>

#include <chrono>
#include <iostream>

int main() {
  fairway::completion_port port;
  bool listening = false;
  bool waited = false;
  boost::asio::post(port, [&] {
    listening = fairway::listener::open(port, fairway::endpoint::loopback_v4(0)).has_value();
  });
  fairway::timer pause{port};
  pause.expires_after(std::chrono::milliseconds{1});
  pause.async_wait([&](boost::system::error_code ec) { waited = !ec; });
  port.run();
  std::cout << "fairway " << fairway::version() << " on " << fairway::to_string(port.engine())
            << (listening && waited ? ": works\n" : ": does not work\n");
  return listening && waited ? 0 : 1;
}
