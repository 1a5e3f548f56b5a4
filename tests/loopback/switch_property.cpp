// Both ends of a connection with a pretended TCP between them: whenever the claim comes, and
// wherever the indices start, every byte arrives once and in order, and then the end.

#include "support/net.hpp"

#include <cstring>

#include "loopback/segment.hpp"

using namespace loopback_test;

namespace {

// What one end writes and reads. `tcp_out` and `tcp_in` stand for the two directions of TCP.
struct talker {
  switch_machine* me;
  std::string* tcp_out;
  std::string* tcp_in;
  bool* tcp_out_ended;
  bool* tcp_in_ended;
  std::string text;
  std::size_t written = 0;
  std::string got;
  bool done_writing = false;
  bool done_reading = false;

  void write(std::size_t size) {
    if (done_writing) return;
    if (written == text.size()) {
      if (me->shutdown_send() == shutdown_answer::by_tcp) *tcp_out_ended = true;
      done_writing = true;
      return;
    }
    size = std::min(size, text.size() - written);
    const std::string_view piece{text.data() + written, size};
    if (me->way_out() == way::ring) {
      written += put(me->out(), piece);
    } else {
      tcp_out->append(piece);
      me->sent(size);
      written += size;
    }
  }
  // False: something is wrong.
  bool read(std::size_t size) {
    if (done_reading) return true;
    switch (me->way_in()) {
      case way::ring:
        got += get(me->in(), size);
        if (me->in().available() == 0 && me->look_for_end() == verdict::eof) done_reading = true;
        return !me->in().broken();
      case way::tcp: break;
      default: return false;
    }
    if (!tcp_in->empty()) {
      const std::string piece = tcp_in->substr(0, size);
      tcp_in->erase(0, piece.size());
      got += piece;
      return me->received(piece.size());
    }
    if (*tcp_in_ended) {
      me->tcp_ended(tcp_end::fin);
      const verdict v = me->judge();
      if (v == verdict::eof) done_reading = true;
      return v == verdict::eof || v == verdict::more;
    }
    return true;
  }
};

// `claim_at`: the number of steps after which the connect is known and the acceptor may claim.
bool holds(std::uint64_t seed, std::size_t claim_at, std::uint64_t start, std::size_t bytes) {
  connection c{ring_bytes_min, start};
  support::seeded random{seed};
  std::string there;
  std::string back;
  bool ended[2] = {};
  talker a{&*c.connector, &there, &back, &ended[0], &ended[1], random.bytes(bytes), 0, {}};
  talker b{&*c.acceptor, &back, &there, &ended[1], &ended[0], random.bytes(bytes / 2), 0, {}};
  for (std::size_t step = 0; step < 100'000; ++step) {
    if (step == claim_at) c.connector->connected();
    talker& t = random.one_in(2) ? a : b;
    const std::size_t size = 1 + random.below(bytes / 8 + 2);
    if (random.one_in(2)) {
      t.write(size);
    } else if (!t.read(size)) {
      return false;
    }
    if (a.done_reading && b.done_reading && a.done_writing && b.done_writing) {
      return a.got == b.text && b.got == a.text;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("wherever the claim falls, every byte arrives once, then the end") {
  for (std::size_t claim_at = 0; claim_at < 120; ++claim_at) {
    CAPTURE(claim_at);
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      CAPTURE(seed);
      REQUIRE(holds(seed * 1000 + claim_at, claim_at, 0, 40));
    }
  }
}

TEST_CASE("the same with more than the ring holds, and indices that pass 2^32 and 2^64") {
  const std::uint64_t starts[] = {0, (std::uint64_t{1} << 32) - 3000, ~std::uint64_t{0} - 3000};
  for (const std::uint64_t start : starts) {
    CAPTURE(start);
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
      CAPTURE(seed);
      REQUIRE(holds(seed, seed % 30, start, 60'000));
    }
  }
}

// One byte at a time, so that the switch falls on each offset of the stream.
TEST_CASE("the switch at every offset of a short stream") {
  const std::string text = support::seeded{5}.bytes(64);
  for (std::size_t offset = 0; offset <= text.size(); ++offset) {
    CAPTURE(offset);
    connection c;
    std::string tcp;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i == offset) c.accept();
      const std::string_view one{text.data() + i, 1};
      if (c.connector->way_out() == way::ring) {
        CHECK(i >= offset);
        REQUIRE(put(c.connector->out(), one) == 1);
      } else {
        CHECK(i < offset);
        tcp += one;
        c.connector->sent(1);
      }
    }
    REQUIRE(tcp.size() == offset);
    std::string got;
    for (const char byte : tcp) {
      if (c.acceptor->way_in() == way::ring) break;
      got += byte;
      REQUIRE(c.acceptor->received(1));
    }
    if (offset < text.size()) {
      REQUIRE(c.acceptor->way_in() == way::ring);
      got += get(c.acceptor->in());
    }
    CHECK(got == text);
  }
}
