// Offers: made, found once, never twice, never a stale one; slots come back.

#include "support/net.hpp"

#include <cstring>

#include "loopback/offer_book.hpp"
#include "loopback/segment.hpp"

using namespace loopback_test;
using fairway::endpoint;

namespace {

address_pair ends(std::uint16_t source, std::uint16_t target = 80) {
  return {address_of(endpoint::loopback_v4(source)), address_of(endpoint::loopback_v4(target))};
}

struct both_sides {
  std::shared_ptr<arena> memory = make_arena(4);
  slot_pool pool;
  offer_book book{8};

  both_sides() { pool.add(memory); }
  slot_use offer(std::uint16_t source) {
    slot_use use = pool.take();
    if (use) slot_pool::offer(use, ends(source));
    return use;
  }
  std::size_t collect() {
    std::size_t count = 0;
    collect_offers(memory, [&](slot_use use, const address_pair& pair) {
      if (book.add(pair, {std::move(use), nullptr})) ++count;
    });
    return count;
  }
};

}  // namespace

TEST_CASE("an offer is found once, by both its endpoints") {
  both_sides s;
  const slot_use use = s.offer(1000);
  CHECK(s.collect() == 1);
  CHECK(s.collect() == 0);
  CHECK_FALSE(s.book.take(ends(1001)).use);
  CHECK_FALSE(s.book.take(ends(1000, 81)).use);
  const auto found = s.book.take(ends(1000));
  REQUIRE(found.use);
  CHECK(found.use.slot == use.slot);
  CHECK(found.use.generation == use.generation);
  CHECK_FALSE(s.book.take(ends(1000)).use);
}

TEST_CASE("two live offers for one pair of endpoints: neither counts") {
  both_sides s;
  const slot_use first = s.offer(1000);
  s.offer(1000);
  s.collect();
  CHECK_FALSE(s.book.take(ends(1000)).use);
  switch_machine{first.place(side::connector)}.revoke();
  CHECK(s.book.take(ends(1000)).use);
}

TEST_CASE("a revoked offer is not found, and does not stand in the way of the next") {
  both_sides s;
  slot_use use = s.offer(1000);
  s.collect();
  CHECK(switch_machine{use.place(side::connector)}.revoke());
  s.pool.give(use, false);
  const slot_use again = s.offer(1000);
  CHECK(again.slot == use.slot);
  CHECK(again.generation == use.generation + 1);
  s.collect();
  const auto found = s.book.take(ends(1000));
  REQUIRE(found.use);
  CHECK(found.use.generation == again.generation);
}

TEST_CASE("an end of an earlier use can claim and revoke nothing") {
  both_sides s;
  slot_use old = s.offer(1000);
  switch_machine late{old.place(side::acceptor)};
  CHECK(switch_machine{old.place(side::connector)}.revoke());
  s.pool.give(old, false);
  const slot_use next = s.offer(1001);
  REQUIRE(next.slot == old.slot);
  switch_machine connector{next.place(side::connector)};
  CHECK(connector.connected());
  CHECK_FALSE(late.accepted());
  CHECK(late.revoke());
  CHECK(is_live(next));
  switch_machine acceptor{next.place(side::acceptor)};
  CHECK(acceptor.accepted());
}

TEST_CASE("a claimed slot is free when both ends have released it") {
  both_sides s;
  std::vector<slot_use> uses;
  for (std::uint16_t i = 0; i < 4; ++i) uses.push_back(s.offer(static_cast<std::uint16_t>(i + 1)));
  CHECK_FALSE(s.offer(9));
  switch_machine connector{uses[2].place(side::connector)};
  switch_machine acceptor{uses[2].place(side::acceptor)};
  connector.connected();
  REQUIRE(acceptor.accepted());
  connector.release();
  s.pool.give(uses[2], true);
  CHECK_FALSE(s.offer(9));
  acceptor.release();
  CHECK(s.offer(9).slot == uses[2].slot);
}

TEST_CASE("a full book drops what is stale and refuses what is too much") {
  both_sides s;
  s.book = offer_book{2};
  slot_use first = s.offer(1);
  s.offer(2);
  CHECK(s.collect() == 2);
  s.offer(3);
  CHECK(s.collect() == 0);
  switch_machine{first.place(side::connector)}.revoke();
  s.offer(4);
  CHECK(s.collect() == 1);
  CHECK(s.book.take(ends(4)).use);
  CHECK(s.book.take(ends(2)).use);
}

TEST_CASE("a book that is full of live offers is not looked through for each one more") {
  auto memory = make_arena(64);
  slot_pool pool;
  pool.add(memory);
  offer_book book{64};
  std::vector<slot_use> uses;
  for (std::uint16_t i = 0; i < 64; ++i) {
    uses.push_back(pool.take());
    slot_pool::offer(uses.back(), ends(static_cast<std::uint16_t>(1000 + i)));
    CHECK(book.add(ends(static_cast<std::uint16_t>(1000 + i)), {uses.back(), nullptr}));
  }
  const found_offer more{uses.back(), nullptr};
  CHECK_FALSE(book.add(ends(1), more));
  switch_machine{uses.front().place(side::connector)}.revoke();
  CHECK_FALSE(book.add(ends(1), more));
  CHECK(book.add(ends(1), more));
  CHECK(book.size() == 64);
}

TEST_CASE("an endpoint is the same to both ends, also mapped into IPv6 and as the any address") {
  const auto v4 = address_of(endpoint::parse("127.0.0.1:80").value());
  CHECK(address_of(endpoint::parse("[::ffff:127.0.0.1]:80").value()) == v4);
  CHECK(address_of(reached(endpoint::any_v4(80))) == v4);
  CHECK(address_of(reached(endpoint::any_v6(80))) ==
        address_of(endpoint::parse("[::1]:80").value()));
  CHECK_FALSE(address_of(endpoint::parse("127.9.9.9:80").value()) == v4);
  CHECK(address_of(endpoint::parse("127.0.0.1:81").value()).text() != v4.text());
  CHECK(v4.text() == "4-000000000100007f0000000000000000-0050");
}
