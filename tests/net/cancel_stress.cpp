// Random cancels against a sender: whatever is cancelled when, all bytes arrive once and in order.

#include "support/net.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <array>

using namespace support;
using asio::cancellation_type;
using fairway::completion_port;
using fairway::condition;

namespace {

struct reader {
  fairway::stream& stream;
  seeded& random;
  asio::cancellation_signal signal = {};
  std::array<char, 3000> room = {};
  std::string got = {};
  bool pending = false;
  unsigned aborted = 0;

  void ended(error_code ec, std::string_view bytes) {
    REQUIRE(pending);
    pending = false;
    if (ec) {
      REQUIRE(ec == condition::aborted);
      REQUIRE(bytes.empty());
      ++aborted;
    }
    got += bytes;
  }

  void start() {
    pending = true;
    const auto slot = signal.slot();
    switch (random.below(3)) {
      case 0:
        stream.async_read_some(
            asio::buffer(room, 1 + random.below(room.size())),
            asio::bind_cancellation_slot(slot, [this](error_code ec, std::size_t n) {
              ended(ec, {room.data(), n});
            }));
        break;
      case 1:
        stream.async_receive(
            asio::bind_cancellation_slot(slot, [this](error_code ec, fairway::received r) {
              ended(ec, text_of(r));
            }));
        break;
      default:
        stream.async_wait(fairway::wait_kind::read,
                          asio::bind_cancellation_slot(slot, [this](error_code ec) {
                            ended(ec, {});
                          }));
    }
  }
};

void stress(const fairway::endpoint& local, std::uint64_t usual_seed) {
  seeded random{usual_seed};
  CAPTURE(local.to_string());
  CAPTURE(random.seed());
  completion_port port;
  auto [stream, peer] = connect_peer(port, local);
  const std::string bytes = random.bytes(400'000);
  reader r{stream, random};
  std::size_t sent = 0;
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (r.got.size() < bytes.size()) {
    REQUIRE_MESSAGE(std::chrono::steady_clock::now() < limit, "hangs");
    if (!r.pending) r.start();
    if (random.one_in(2)) {
      sent += peer.write_some(std::string_view(bytes).substr(sent, random.below(4000)));
    }
    if (port.stopped()) port.restart();
    if (random.one_in(3)) port.poll_one();
    if (random.one_in(3)) r.signal.emit(cancellation_type::total);
    if (random.one_in(9)) stream.cancel();
    if (random.one_in(4)) port.poll();
  }
  CHECK((r.got == bytes));
  CHECK(r.aborted > 0);
}

}  // namespace

TEST_CASE("random cancels lose and double no byte, over each family") {
  std::uint64_t seed = 100;
  for (const auto& local : loopback_endpoints()) {
    for (int round = 0; round < 5; ++round) stress(local, seed++);
  }
}

TEST_CASE("random cancels of writes leave the peer with what was counted") {
  for (std::uint64_t round = 0; round < 5; ++round) {
    seeded random{200 + round};
    CAPTURE(random.seed());
    completion_port port;
    auto [stream, peer] = connect_peer(port);
    const std::string bytes = random.bytes(4 << 20);
    std::string got;
    std::size_t sent = 0;
    asio::cancellation_signal signal;
    outcome put;
    bool pending = false;
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (sent < bytes.size()) {
      REQUIRE_MESSAGE(std::chrono::steady_clock::now() < limit, "hangs");
      if (!pending) {
        put = {};
        pending = true;
        stream.async_write_some(asio::buffer(bytes) + sent,
                                asio::bind_cancellation_slot(signal.slot(), put.record()));
      }
      if (random.one_in(3)) port.poll_one();
      if (random.one_in(3)) signal.emit(cancellation_type::total);
      if (random.one_in(5)) peer.read(got);
      if (port.stopped()) port.restart();
      if (random.one_in(2)) port.poll();
      if (port.stopped()) port.restart();
      if (put.done()) {
        pending = false;
        REQUIRE((!put.ec || put.ec == condition::aborted));
        sent += put.bytes;
      }
    }
    stream.close();
    CHECK(read_to_end(port, peer, got) == raw_peer::event::end);
    CHECK((got == bytes));
  }
}
