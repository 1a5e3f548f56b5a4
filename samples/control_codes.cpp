// Gives a socket every control code, by each delivery, and prints what came back: how it was
// delivered, whether the answer was there at once or came later, the result and the bytes.
#include "arguments.hpp"

#include <fairway/fairway.hpp>

#include <boost/asio/use_future.hpp>

#include <chrono>
#include <cstdio>

namespace {

using namespace std::chrono_literals;
using fairway::dispatch;

std::string_view word_for(const boost::system::error_code& ec) {
  using fairway::condition;
  if (!ec) return "ok";
  if (ec == condition::aborted) return "aborted";
  if (ec == condition::not_supported) return "not supported";
  if (ec == condition::invalid_argument) return "invalid argument";
  if (ec == condition::unreachable) return "unreachable";
  if (ec == condition::bad_address) return "bad address";
  return "other error";
}

std::string_view word_for(dispatch how) {
  return how == dispatch::routine ? "routine" : "overlapped";
}

void print(std::string_view name, std::string_view delivery, std::string_view when,
           const boost::system::error_code& ec, std::size_t bytes) {
  std::printf("%-26.*s %-11.*s %-10.*s %-17.*s %zu\n", static_cast<int>(name.size()), name.data(),
              static_cast<int>(delivery.size()), delivery.data(), static_cast<int>(when.size()),
              when.data(), static_cast<int>(word_for(ec).size()), word_for(ec).data(), bytes);
}

// Inline completions tell whether the answer was there when the command was given.
template <class Command>
fairway::task<> one(fairway::completion_port& port, fairway::unconnected_socket& socket,
                    const Command& command, dispatch how) {
  const auto before = port.statistics().inline_completions;
  bool at_once = false;
  boost::asio::post(port, [&] { at_once = port.statistics().inline_completions != before; });
  auto told = co_await fairway::async_control(socket, command, how);
  print(fairway::to_string(Command::id), word_for(how), at_once ? "immediate" : "pending",
        told ? boost::system::error_code{} : told.error(), told ? told.value().bytes : 0);
}

template <class Command>
void now(fairway::unconnected_socket& socket, const Command& command) {
  auto told = fairway::control(socket, command);
  print(fairway::to_string(Command::id), "control()", "immediate",
        told ? boost::system::error_code{} : told.error(), told ? told.value().bytes : 0);
}

// A deadline ends what may wait for ever.
// [README wait]
fairway::task<> wait_for_change(fairway::completion_port& port,
                                fairway::unconnected_socket& socket, dispatch how,
                                std::chrono::milliseconds patience) {
  fairway::timer deadline{port, patience};
  deadline.async_wait([&](boost::system::error_code ec) {
    if (!ec) socket.cancel();
  });
  auto told = co_await fairway::async_control(socket, fairway::address_list_change{}, how);
  print("address_list_change", word_for(how), "pending",
        told ? boost::system::error_code{} : told.error(), told ? told.value().bytes : 0);
}
// [README wait]

fairway::task<> all(fairway::completion_port& port, std::chrono::milliseconds patience) {
  const fairway::endpoint to = fairway::endpoint::loopback_v4(9);
  const auto each = [to](auto&& give) -> fairway::task<> {
    co_await give(fairway::loopback_fast_path{});
    co_await give(fairway::keepalive{.on = true, .idle = 60s, .interval = 5s});
    co_await give(fairway::tcp_information{});
    co_await give(fairway::bytes_readable{});
    co_await give(fairway::bytes_unsent{});
    co_await give(fairway::address_list{});
    co_await give(fairway::routing_interface{to});
    co_await give(fairway::ideal_send_backlog{});
    co_await give(fairway::connect_retries{.count = 1});
    co_await give(fairway::flush{});
    co_await give(fairway::extension_function{});
    co_await give(fairway::base_handle{});
  };
  for (const dispatch how : {dispatch::routine, dispatch::overlapped}) {
    auto socket =
        fairway::unconnected_socket::open(port, fairway::endpoint_family::v4).value();
    co_await each([&](const auto& command) { return one(port, socket, command, how); });
    co_await wait_for_change(port, socket, how, patience);
  }
  auto socket = fairway::unconnected_socket::open(port, fairway::endpoint_family::v4).value();
  co_await each([&](const auto& command) -> fairway::task<> {
    now(socket, command);
    co_return;
  });
}

}  // namespace

int main(int count, char** words) {
  constexpr std::string_view name = "control_codes";
  constexpr std::string_view help =
      "control_codes: gives a socket every control code and prints the answers\n"
      "  --patience MS  how long to wait for a change of addresses (200)\n"
      "  --engine NAME  automatic, io_uring, epoll or iocp\n";
  const samples::arguments given{name, help, count, words, {"patience", "engine"}};
  const std::chrono::milliseconds patience{given.number("patience", 200, 1, 86'400'000)};
  try {
    fairway::completion_port port{given.port()};
    const auto engine = fairway::to_string(port.engine());
    std::printf("engine %.*s\n%-26s %-11s %-10s %-17s %s\n", static_cast<int>(engine.size()),
                engine.data(), "command", "delivery", "answer", "result", "bytes");
    auto done = boost::asio::co_spawn(port, all(port, patience), boost::asio::use_future);
    port.run();
    done.get();
  } catch (const std::exception& failed) {
    samples::fail(name, failed.what(), 1);
  }
}
