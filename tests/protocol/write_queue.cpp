// The queue of bytes to write, against a plain string.

#include <fairway/protocol/detail/framed_writer.hpp>
#include <fairway/protocol/detail/write_queue.hpp>
#include <fairway/protocol/gather.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using fairway::gather;
using fairway::detail::write_queue;

TEST_CASE("whatever is copied, lent and written in any pieces comes out in order") {
  std::mt19937 random{42};
  for (int round = 0; round < 50; ++round) {
    write_queue queue;
    std::deque<std::string> lent;
    std::string expected, got;
    const bool many = round % 2 == 0;
    for (int step = 0; step < 300; ++step) {
      const std::string text(random() % 20, static_cast<char>('a' + random() % 26));
      if (random() % 2 == 0) {
        queue.append(text.data(), text.size());
      } else {
        lent.push_back(text);
        queue.refer(lent.back().data(), text.size());
      }
      expected += text;
      if (many && random() % 100 != 0) continue;
      queue.begin();
      for (bool left = queue.bytes() != 0; left;) {
        const auto list = queue.next();
        REQUIRE(list.size() <= write_queue::pieces_max);
        std::string shown;
        for (const auto& piece : list) {
          REQUIRE(piece.size() != 0);
          shown.append(static_cast<const char*>(piece.data()), piece.size());
        }
        REQUIRE(!shown.empty());
        const std::size_t size = 1 + random() % shown.size();
        got += shown.substr(0, size);
        left = queue.written(size);
      }
      CHECK(got == expected);
      CHECK(queue.written_total() == expected.size());
    }
  }
}

TEST_CASE("what a message has put there can be taken back") {
  write_queue queue;
  const std::string big(10'000, 'b');
  {
    gather kept{queue, gather::lending::allowed};
    kept.copy("kept");
    kept.borrow(big);
    CHECK(kept.borrowed());
    CHECK(kept.size() == 10'004);
  }
  gather undone{queue, gather::lending::allowed};
  undone.copy("undone");
  undone.borrow(big);
  undone.copy('x');
  CHECK(undone.size() == 10'007);
  undone.undo();
  CHECK(!undone.borrowed());
  CHECK(undone.size() == 0);
  CHECK(queue.bytes() == 10'004);
}

TEST_CASE("few bytes are copied, and all when lending is refused") {
  write_queue queue;
  const std::string big(10'000, 'b');
  gather few{queue, gather::lending::allowed};
  few.borrow(std::string_view{big}.substr(0, gather::borrow_bytes_min - 1));
  CHECK(!few.borrowed());
  gather refused{queue, gather::lending::refused};
  refused.borrow(big);
  CHECK(!refused.borrowed());
}

TEST_CASE("an idle queue gives back what many pieces and large copies took") {
  write_queue queue;
  const std::string big(10'000, 'b');
  gather out{queue, gather::lending::allowed};
  for (int i = 0; i < 20; ++i) {
    out.borrow(big);
    out.copy(std::string_view{big}.substr(0, 1000));
  }
  queue.begin();
  gather more{queue, gather::lending::refused};
  more.copy(big);
  while (queue.bytes() != 0) {
    std::size_t size = 0;
    for (const auto& piece : queue.next()) size += piece.size();
    if (!queue.written(size) && !queue.nothing_waits()) queue.begin();
  }
  CHECK(queue.capacity() > 10'000);
  queue.shrink();
  CHECK(queue.capacity() <= 300);
}

namespace {

// Has memory for the messages that are not empty, and for half of the first empty one.
struct codec_without_memory {
  fairway::result<void> encode(const std::string& message, gather& to) {
    to.copy(std::string_view{"head"});
    if (message.empty()) throw std::bad_alloc{};
    to.borrow(message);
    return boost::outcome_v2::success();
  }
};

}  // namespace

TEST_CASE("what a codec throws at leaves nothing of it behind, neither bytes nor references") {
  codec_without_memory codec;
  fairway::detail::writer out{{}};
  const std::string before = "before";
  fairway::detail::encoding how;
  fairway::detail::one_message<codec_without_memory, const std::string&> good{&codec, &before};
  CHECK(out.begin(good, how));
  const std::size_t queued = out.queue.bytes();
  const std::string none;
  fairway::detail::one_message<codec_without_memory, const std::string&> half{&codec, &none};
  CHECK_THROWS_AS(out.begin(half, how = {}), std::bad_alloc);
  CHECK(out.queue.bytes() == queued);
  const std::vector<std::string> lent_then_half{std::string(gather::borrow_bytes_min, 'x'), none};
  fairway::detail::many_messages<codec_without_memory, const std::vector<std::string>&> many{
      &codec, &lent_then_half};
  // What is lent is needed until it has left: the call waits for that, and ends with a code.
  CHECK(!out.begin(many, how = {}));
  CHECK(how.ec == boost::asio::error::no_memory);
  CHECK(how.lends);
  CHECK(out.queue.bytes() == queued + 4 + gather::borrow_bytes_min);
}
