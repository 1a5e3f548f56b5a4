// Control codes begun and cancelled at random beside reads and closes: each ends once, and the
// stream's bytes arrive once and in order.

#include "support/net.hpp"
#include "support/limits.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <array>

using namespace support;
using asio::cancellation_type;
using fairway::condition;
using fairway::dispatch;

namespace {

// One object's control codes, one after the other.
template <class Object>
struct asker {
  Object object;
  seeded& random;
  asio::cancellation_signal signal = {};
  bool pending = false;
  std::size_t begun = 0;
  std::size_t ended = 0;
  std::size_t aborted = 0;

  auto record() {
    return asio::bind_cancellation_slot(signal.slot(), [this](error_code ec, auto&&) {
      REQUIRE(pending);
      pending = false;
      ++ended;
      if (ec == condition::aborted) ++aborted;
      REQUIRE(ec != condition::in_progress);
    });
  }

  void start() {
    pending = true;
    ++begun;
    const auto how = random.one_in(4) ? dispatch::routine : dispatch::overlapped;
    switch (random.below(6)) {
      case 0: return async_control(object, fairway::bytes_readable{}, how, record());
      case 1: return async_control(object, fairway::keepalive{}, how, record());
      case 2: return async_control(object, fairway::loopback_fast_path{}, how, record());
      case 3: return async_control(object, fairway::tcp_information{}, how, record());
      default: return async_control(object, fairway::address_list_change{}, how, record());
    }
  }
};

void round(std::uint64_t usual_seed, std::size_t operations) {
  seeded random{usual_seed};
  CAPTURE(random.seed());
  fairway::completion_port port;
  auto [stream, peer] = connect_peer(port);
  const std::string bytes = random.bytes(100'000);
  asker<fairway::stream> on_stream{std::move(stream), random};
  asker<fairway::unconnected_socket> on_socket{
      fairway::unconnected_socket::open(port, fairway::endpoint_family::v4).value(), random};
  std::string got;
  std::array<char, 2000> room{};
  bool reading = false;
  std::size_t sent = 0;
  const auto limit = std::chrono::steady_clock::now() + 4 * patience;
  const auto step = [&](auto& asker) {
    if (!asker.pending && asker.begun < operations) asker.start();
    if (random.one_in(3)) asker.signal.emit(cancellation_type::total);
  };
  while (got.size() < bytes.size() || on_stream.begun < operations ||
         on_socket.begun < operations) {
    REQUIRE_MESSAGE(std::chrono::steady_clock::now() < limit, "hangs");
    step(on_stream);
    step(on_socket);
    if (!reading && got.size() < bytes.size()) {
      reading = true;
      on_stream.object.async_read_some(asio::buffer(room), [&](error_code ec, std::size_t n) {
        reading = false;
        REQUIRE((!ec || ec == condition::aborted));
        got.append(room.data(), n);
      });
    }
    if (sent < bytes.size() && random.one_in(2)) {
      sent += peer.write_some(std::string_view(bytes).substr(sent, random.below(1500)));
    }
    if (random.one_in(50)) on_stream.object.cancel();
    if (random.one_in(20)) {
      if (random.one_in(2)) on_socket.object.close();
      on_socket.object =
          fairway::unconnected_socket::open(port, fairway::endpoint_family::v4).value();
    }
    if (port.stopped()) port.restart();
    if (random.one_in(2)) port.poll_one();
    if (random.one_in(3)) port.poll();
  }
  on_stream.object.close();
  on_socket.object.close();
  pump(port, [&] { return !on_stream.pending && !on_socket.pending; });
  drain(port);
  CHECK((got == bytes));
  CHECK(on_stream.ended == on_stream.begun);
  CHECK(on_socket.ended == on_socket.begun);
  CHECK(on_stream.aborted > 0);
  CHECK(on_socket.aborted > 0);
  CHECK(port.statistics().operations_in_flight == 0);
}

}  // namespace

TEST_CASE("100,000 control codes begun and cancelled at random end once each and cost no byte") {
  constexpr std::size_t rounds = 10;
  constexpr std::size_t total = thread_sanitizer || address_sanitizer ? 10'000 : 100'000;
  constexpr std::size_t each = total / rounds / 2;  // for each of two objects
  for (std::size_t i = 0; i < rounds; ++i) round(300 + i, each);
}
