#include <fairway/engine/completion_port.hpp>
#include <fairway/io.hpp>
#include <fairway/task.hpp>

#include <doctest/doctest.h>

#include <boost/asio.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace asio = boost::asio;
namespace error = boost::asio::error;
using boost::system::error_code;
using fairway::completion_port;
using fairway::result;
using fairway::spawn;
using fairway::task;

namespace fairway_user {

// A stream in memory: gives `input` in pieces of at most three bytes and then the end, and keeps
// what it is given. It stands in a namespace of its own, as a user's stream does.
struct memory_stream {
  using executor_type = fairway::port_executor;

  memory_stream(completion_port& on, std::string text) : port(&on), input(std::move(text)) {}

  executor_type get_executor() const noexcept { return port->get_executor(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token)
  {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const auto& to) {
          const auto size = std::min<std::size_t>(asio::buffer_size(to), 3);
          const auto moved = asio::buffer_copy(to, asio::buffer(input), size);
          const auto ec = input.empty() ? error_code(error::eof) : error_code();
          input.erase(0, moved);
          finish(std::move(handler), ec, moved);
        },
        token, buffers);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token)
  {
    return asio::async_initiate<Token, void(error_code, std::size_t)>(
        [this](auto handler, const auto& from) {
          std::array<char, 3> piece;
          const auto moved = asio::buffer_copy(asio::buffer(piece), from);
          output.append(piece.data(), moved);
          finish(std::move(handler), error_code(), moved);
        },
        token, buffers);
  }

  template <class Handler>
  void finish(Handler handler, error_code ec, std::size_t moved)
  {
    asio::post(*port, asio::append(std::move(handler), ec, moved));
  }

  completion_port* port;
  std::string input;
  std::string output;
};

}  // namespace fairway_user

using fairway_user::memory_stream;

TEST_CASE("async_read without a token fills the buffer and yields the size")
{
  completion_port port;
  memory_stream stream(port, "0123456789");
  std::array<char, 8> buffer{};
  auto read = spawn(port, [&]() -> task<result<std::size_t>> {
    co_return co_await fairway::async_read(stream, asio::buffer(buffer));
  }, asio::use_future);
  port.run();
  CHECK(read.get().value() == 8);
  CHECK(std::string_view(buffer.data(), 8) == "01234567");
}

TEST_CASE("async_read that meets the end yields eof")
{
  completion_port port;
  memory_stream stream(port, "0123");
  std::string all;
  auto read = spawn(port, fairway::async_read(stream, asio::dynamic_buffer(all)),
                    asio::use_future);
  port.run();
  CHECK(read.get().error() == error::eof);
  CHECK(all == "0123");
}

TEST_CASE("async_read stops at a completion condition")
{
  completion_port port;
  memory_stream stream(port, "0123456789");
  std::array<char, 10> buffer{};
  std::string text;
  const auto constant = asio::buffer(buffer);
  std::array<std::size_t, 4> sizes{};
  spawn(port, [&]() -> task<> {
    sizes[0] = (co_await fairway::async_read(stream, constant, asio::transfer_exactly(2))).value();
    sizes[1] = (co_await fairway::async_read(stream, asio::buffer(buffer),
                                             asio::transfer_at_least(1))).value();
    sizes[2] = (co_await fairway::async_read(stream, asio::dynamic_buffer(text),
                                             asio::transfer_exactly(1))).value();
    sizes[3] = (co_await fairway::async_read(stream, asio::buffer(buffer, 4),
                                             asio::transfer_all())).value();
  });
  port.run();
  CHECK(sizes == std::array<std::size_t, 4>{2, 3, 1, 4});
  CHECK(text == "5");
}

TEST_CASE("async_read takes a streambuf")
{
  completion_port port;
  memory_stream stream(port, "0123456789");
  asio::streambuf buffer(5);
  auto read = spawn(port, fairway::async_read(stream, buffer), asio::use_future);
  port.run();
  CHECK(read.get().value() == 5);
  CHECK(buffer.size() == 5);
}

TEST_CASE("async_write without a token writes everything")
{
  completion_port port;
  memory_stream stream(port, "");
  std::string consumed = "defg";
  std::array<std::size_t, 3> sizes{};
  spawn(port, [&]() -> task<> {
    const std::array<asio::const_buffer, 2> parts{asio::buffer("ab", 2), asio::buffer("c", 1)};
    sizes[0] = (co_await fairway::async_write(stream, parts)).value();
    sizes[1] = (co_await fairway::async_write(stream, asio::dynamic_buffer(consumed))).value();
    sizes[2] = (co_await fairway::async_write(stream, asio::buffer("hijk", 4),
                                              asio::transfer_exactly(2))).value();
  });
  port.run();
  CHECK(sizes == std::array<std::size_t, 3>{3, 4, 2});
  CHECK(stream.output == "abcdefghi");
  CHECK(consumed.empty());
}

TEST_CASE("async_read_until without a token reads through the delimiter")
{
  completion_port port;
  memory_stream stream(port, "one\ntwo\r\nthree");
  std::string text;
  std::array<std::size_t, 2> sizes{};
  std::optional<error_code> third;
  spawn(port, [&]() -> task<> {
    auto buffer = asio::dynamic_buffer(text);
    sizes[0] = (co_await fairway::async_read_until(stream, buffer, '\n')).value();
    buffer.consume(sizes[0]);
    sizes[1] = (co_await fairway::async_read_until(stream, buffer, std::string("\r\n"))).value();
    buffer.consume(sizes[1]);
    third = (co_await fairway::async_read_until(stream, buffer, "missing")).error();
  });
  port.run();
  CHECK(sizes == std::array<std::size_t, 2>{4, 5});
  CHECK(third == error_code(error::eof));
  CHECK(text == "three");
}

TEST_CASE("with a token the names are Asio's own functions")
{
  completion_port port;
  memory_stream stream(port, "0123\n456");
  std::array<char, 2> buffer{};
  std::string text;
  auto read = fairway::async_read(stream, asio::buffer(buffer), asio::use_future);
  port.run();
  auto until = fairway::async_read_until(stream, asio::dynamic_buffer(text), '\n',
                                         fairway::as_result(asio::use_future));
  auto write = fairway::async_write(stream, asio::buffer("x", 1), asio::transfer_all(),
                                    asio::use_future);
  port.restart();
  port.run();
  static_assert(std::is_same_v<decltype(read), std::future<std::size_t>>);
  CHECK(read.get() == 2);
  CHECK(until.get().value() == 3);
  CHECK(write.get() == 1);
}

TEST_CASE("a condition of the user's own goes with the token spelled out")
{
  completion_port port;
  memory_stream stream(port, "0123456789");
  std::array<char, 10> buffer{};
  const auto until_four = [](error_code ec, std::size_t moved) -> std::size_t {
    return ec || moved >= 4 ? 0 : 4 - moved;
  };
  auto read = spawn(port,
                    fairway::async_read(stream, asio::buffer(buffer), until_four,
                                        fairway::default_token{}),
                    asio::use_future);
  port.run();
  CHECK(read.get().value() == 4);
}

TEST_CASE("the names are not ambiguous beside Asio's, with a token or without")
{
  using namespace boost::asio;
  using namespace fairway;
  completion_port port;
  memory_stream stream(port, "01234567\n");
  std::array<char, 2> bytes{};
  std::string text;
  std::size_t sum = 0;
  spawn(port, [&]() -> task<> {
    sum += (co_await async_read(stream, buffer(bytes))).value();
    sum += (co_await async_read(stream, buffer(bytes), transfer_exactly(1))).value();
    sum += co_await async_read(stream, buffer(bytes), deferred);
    sum += (co_await async_read_until(stream, dynamic_buffer(text), '\n')).value();
    sum += (co_await async_write(stream, buffer(bytes))).value();
    sum += co_await async_write(stream, buffer(bytes), deferred);
  });
  port.run();
  CHECK(sum == 13);
}

TEST_CASE("a stream whose executor has a default token of its own keeps it")
{
  using executor = asio::use_awaitable_t<>::executor_with_default<asio::any_io_executor>;
  using socket = asio::ip::tcp::socket::rebind_executor<executor>::other;
  using yields = decltype(fairway::async_read(std::declval<socket&>(), asio::mutable_buffer()));
  static_assert(std::is_same_v<yields, asio::awaitable<std::size_t>>);
}
