// The state machine of one end, alone: what each end would do, printed and compared. No socket.

#include "support/net.hpp"

#include <cstring>

#include "loopback/segment.hpp"

using namespace loopback_test;

namespace {

std::string text(way w) {
  switch (w) {
    case way::tcp: return "tcp";
    case way::ring: return "ring";
    case way::lost: return "lost";
    case way::broken: return "broken";
  }
  return "?";
}
std::string text(verdict v) {
  switch (v) {
    case verdict::more: return "more";
    case verdict::eof: return "eof";
    case verdict::reset: return "reset";
    case verdict::broken: return "broken";
  }
  return "?";
}
std::string text(shutdown_answer a) { return a == shutdown_answer::by_tcp ? "by_tcp" : "marked"; }

std::string ways(connection& c) {
  std::string all = "c:" + text(c.connector->way_out());
  all += "/" + text(c.connector->way_in());
  all += " a:" + text(c.acceptor->way_out());
  return all + "/" + text(c.acceptor->way_in());
}

}  // namespace

TEST_CASE("an offer alone changes nothing: both ends use TCP until the connect is known") {
  connection c;
  CHECK(ways(c) == "c:tcp/tcp a:tcp/tcp");
  CHECK(c.connector->connected());
  CHECK(text(c.connector->way_out()) == "tcp");
  // The acceptor claims at its next look, the connector sees it at its next.
  CHECK(ways(c) == "c:tcp/tcp a:ring/tcp");
  CHECK(ways(c) == "c:ring/ring a:ring/ring");
}

TEST_CASE("each direction switches by itself, after exactly the bytes that went by TCP") {
  connection c;
  c.connector->sent(5);
  c.accept();
  CHECK(text(c.connector->way_out()) == "ring");
  CHECK(put(c.connector->out(), "by ring") == 7);
  CHECK(text(c.acceptor->way_in()) == "tcp");
  CHECK(c.acceptor->received(3));
  CHECK(text(c.acceptor->way_in()) == "tcp");
  CHECK(c.acceptor->received(2));
  CHECK(text(c.acceptor->way_in()) == "ring");
  CHECK(get(c.acceptor->in()) == "by ring");
  CHECK(text(c.connector->way_in()) == "tcp");  // the acceptor has not written
}

TEST_CASE("more bytes by TCP than the sender counted is a broken peer") {
  connection c;
  c.connector->sent(2);
  c.accept();
  c.connector->way_out();
  CHECK_FALSE(c.acceptor->received(3));
  CHECK(text(c.acceptor->way_in()) == "broken");
}

TEST_CASE("a shutdown before the claim is TCP's, and nothing is claimed afterwards") {
  for (const bool by_connector : {true, false}) {
    for (const bool connected : {true, false}) {
      connection c;
      if (connected) c.connector->connected();
      auto& one = by_connector ? *c.connector : *c.acceptor;
      CHECK(text(one.shutdown_send()) == "by_tcp");
      CHECK(one.revoked());
      CHECK(ways(c) == "c:tcp/tcp a:tcp/tcp");
      CHECK_FALSE(c.connector->connected());
    }
  }
}

TEST_CASE("a shutdown that lost against the claim switches and marks") {
  connection c;
  c.connector->sent(4);
  c.accept();
  CHECK(text(c.connector->shutdown_send()) == "marked");
  CHECK(c.acceptor->received(4));
  CHECK(text(c.acceptor->way_in()) == "ring");
  CHECK(text(c.acceptor->look_for_end()) == "eof");
  CHECK(text(c.acceptor->way_out()) == "ring");  // half-closed: the other direction goes on
  CHECK_FALSE(c.connector->revoke());
}

TEST_CASE("what was published is delivered before the end, of whatever kind") {
  connection c;
  c.accept();
  c.connector->way_out();
  put(c.connector->out(), "last");
  c.connector->close();
  REQUIRE(text(c.acceptor->way_in()) == "ring");
  c.acceptor->tcp_ended(tcp_end::reset);
  CHECK(text(c.acceptor->judge()) == "more");
  CHECK(get(c.acceptor->in()) == "last");
  CHECK(text(c.acceptor->judge()) == "eof");
}

TEST_CASE("a close with unread input is a reset to the peer, also when TCP says end of file") {
  connection c;
  c.accept();
  c.connector->way_out();
  put(c.connector->out(), "never read");
  c.acceptor->way_in();
  const auto how = c.acceptor->close();
  CHECK(how.on_ring);
  CHECK(how.reset);
  CHECK(c.acceptor->wake_peer());
  CHECK(text(c.connector->way_out()) == "lost");
  CHECK(c.connector->peer_reset());
  REQUIRE(text(c.connector->way_in()) == "ring");
  c.connector->tcp_ended(tcp_end::fin);
  CHECK(text(c.connector->judge()) == "reset");
}

TEST_CASE("a peer that died: end of file when it had read all of ours, else a reset") {
  for (const bool all_read : {true, false}) {
    connection c;
    c.accept();
    c.connector->way_out();
    c.acceptor->way_out();
    put(c.connector->out(), "request");
    c.acceptor->way_in();
    if (all_read) get(c.acceptor->in());
    put(c.acceptor->out(), "answer");
    c.connector->way_in();
    c.connector->tcp_ended(tcp_end::reset);
    CHECK(text(c.connector->judge()) == "more");
    CHECK(get(c.connector->in()) == "answer");
    CHECK(text(c.connector->judge()) == (all_read ? "eof" : "reset"));
  }
}

TEST_CASE("a peer that died before it switched, and one of whose TCP bytes a part is lost") {
  connection c;
  c.accept();
  c.acceptor->tcp_ended(tcp_end::fin);
  CHECK(text(c.acceptor->judge()) == "eof");
  connection d;
  d.connector->sent(10);
  d.accept();
  d.connector->way_out();
  d.acceptor->received(4);
  d.acceptor->tcp_ended(tcp_end::fin);
  CHECK(text(d.acceptor->judge()) == "reset");
}

TEST_CASE("the end of plain TCP is believed as it is") {
  connection c;
  c.acceptor->tcp_ended(tcp_end::fin);
  CHECK(text(c.acceptor->judge()) == "eof");
  connection d;
  d.acceptor->tcp_ended(tcp_end::reset);
  CHECK(text(d.acceptor->judge()) == "reset");
}

TEST_CASE("a close before the claim is TCP's; after it, it is marked and both wake") {
  connection c;
  c.connector->connected();
  CHECK_FALSE(c.connector->close().on_ring);
  CHECK(ways(c) == "c:tcp/tcp a:tcp/tcp");
  connection d;
  d.accept();
  d.acceptor->arm_space(100);
  CHECK(d.connector->close().on_ring);
  CHECK(d.connector->wake_peer());
  CHECK_FALSE(d.connector->wake_peer());
}

TEST_CASE("the one who closes last needs no TIME_WAIT, the one who closes first does") {
  connection c;
  c.accept();
  c.connector->way_out();
  put(c.connector->out(), "x");
  CHECK_FALSE(c.connector->close().quiet);
  c.acceptor->way_in();
  get(c.acceptor->in());
  CHECK(c.acceptor->close().quiet);
}
