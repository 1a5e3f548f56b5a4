// Framed over a stream that cannot begin a call, and handlers that throw: who waits is told, and
// nothing leaves through the loop but what a handler threw.

#include "protocol/support.hpp"
#include "support/allocation_count.hpp"
#include "support/census.hpp"

#include <boost/asio/bind_allocator.hpp>

#include <cstddef>
#include <new>
#include <stdexcept>
#include <utility>

using namespace support;
using fairway::completion_port;
using fairway::condition;
using fairway::framed;
using fairway::framed_options;

// Not without a name: a coroutine of framed holds these (-Wsubobject-linkage).
namespace shortage_test {

struct shortage {
  bool of_reads = false;
  bool of_writes = false;
};

// A memory stream whose calls throw while there is a shortage.
class short_stream {
 public:
  using executor_type = fairway::port_executor;

  short_stream(memory_stream over, const shortage& now) : over_{std::move(over)}, short_{&now} {}
  executor_type get_executor() const noexcept { return over_.get_executor(); }
  template <class Buffers, class Token>
  auto async_read_some(const Buffers& into, Token&& token) {
    if (short_->of_reads) throw std::bad_alloc{};
    return over_.async_read_some(into, std::forward<Token>(token));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& from, Token&& token) {
    if (short_->of_writes) throw std::bad_alloc{};
    return over_.async_write_some(from, std::forward<Token>(token));
  }
  void close() { over_.close(); }
  void cancel() { over_.cancel(); }

 private:
  memory_stream over_;
  const shortage* short_;
};

// Lines; a message that begins with '!' is half put, and then thrown at.
struct breaking_lines : fairway::line_codec<> {
  fairway::result<void> encode(const std::string& text, fairway::gather& out) {
    if (text == "!memory") throw std::bad_alloc{};
    if (text.starts_with('!')) {
      out.copy(std::string_view{"half"});
      throw std::runtime_error{"as asked"};
    }
    if (text.size() >= fairway::gather::borrow_bytes_min) {
      out.borrow(text);
      out.copy('\n');
      return boost::outcome_v2::success();
    }
    return fairway::line_codec<>::encode(text, out);
  }
};

template <class Codec = fairway::line_codec<>>
struct short_pair {
  explicit short_pair(const memory_options& of_stream = {}, const framed_options& of_framed = {})
      : both{memory_stream::pair(port, of_stream)},
        ours{short_stream{std::move(both.first), now}, Codec{}, of_framed},
        peer{both.second} {}

  shortage now;
  completion_port port;
  std::pair<memory_stream, memory_stream> both;
  framed<short_stream, Codec> ours;
  memory_stream& peer;
};

// Memory for a handler that waits is not to be had.
template <class T>
struct no_memory {
  using value_type = T;
  no_memory() = default;
  template <class U>
  no_memory(const no_memory<U>&) noexcept {}
  T* allocate(std::size_t) { throw std::bad_alloc{}; }
  void deallocate(T*, std::size_t) noexcept {}
  bool operator==(const no_memory&) const noexcept { return true; }
};

}  // namespace shortage_test

namespace {

using namespace shortage_test;

const memory_options tight{.capacity = 4};
constexpr framed_options low_marks{
    .write_high_bytes = 8, .write_low_bytes = 3, .gather_bytes = 4};

}  // namespace

TEST_CASE("a read that cannot go on for lack of memory ends with it, and not the loop") {
  short_pair<> s;
  line got, again;
  ending wrote;
  s.ours.async_read(got.record());
  drain(s.port);
  s.now.of_reads = true;
  write_peer(s.port, s.peer, "half");
  pump(s.port, [&] { return got.done(); });
  CHECK(got.calls == 1);
  CHECK(got.ec == asio::error::no_memory);
  s.ours.async_read(again.record());
  pump(s.port, [&] { return again.done(); });
  CHECK(again.ec == asio::error::no_memory);
  s.ours.async_write("writes", wrote.record());
  pump(s.port, [&] { return wrote.done(); });
  CHECK(!wrote.ec);
  CHECK(read_peer(s.port, s.peer) == "writes\n");
}

TEST_CASE("a read that cannot begin for lack of memory is told so by its handler") {
  short_pair<> s;
  s.now.of_reads = true;
  line got, again;
  s.ours.async_read(got.record());
  CHECK(!got.done());
  pump(s.port, [&] { return got.done(); });
  CHECK(got.ec == asio::error::no_memory);
  s.ours.async_read(again.record());
  pump(s.port, [&] { return again.done(); });
  CHECK(again.ec == asio::error::no_memory);
}

TEST_CASE("a write that cannot begin for lack of memory ends every write, each by its handler") {
  short_pair<> s;
  s.now.of_writes = true;
  ending queued, flushed, later;
  CHECK(s.ours.try_write("queued"));
  s.ours.async_write("queued too", queued.record());
  s.ours.async_flush(flushed.record());
  CHECK(!flushed.done());
  pump(s.port, [&] { return queued.done() && flushed.done(); });
  CHECK(flushed.ec == asio::error::no_memory);
  s.ours.async_write("later", later.record());
  pump(s.port, [&] { return later.done(); });
  CHECK(later.ec == asio::error::no_memory);
  CHECK(s.ours.queued_bytes() == 0);
  line got;
  s.ours.async_read(got.record());
  write_peer(s.port, s.peer, "reads\n");
  pump(s.port, [&] { return got.done(); });
  CHECK(got.value == "reads");
}

TEST_CASE("a write that cannot go on for lack of memory ends what waits for it, and not the loop") {
  short_pair<> s{tight, low_marks};
  ending first, flushed, waits;
  s.ours.async_write("12345678", first.record());
  s.ours.async_flush(flushed.record());
  s.ours.async_write("waits", waits.record());
  drain(s.port);
  CHECK(first.done());
  s.now.of_writes = true;
  CHECK(read_peer(s.port, s.peer) == "12345678");
  pump(s.port, [&] { return flushed.done() && waits.done(); });
  CHECK(flushed.ec == asio::error::no_memory);
  CHECK(waits.ec == asio::error::no_memory);
}

TEST_CASE("what a handler throws leaves through the loop, and who waits behind it goes on") {
  short_pair<> s{{.capacity = 100}, low_marks};
  ending first, flushed, waits;
  asio::post(s.port, [&] {
    s.ours.async_write("12345678", first.record());
    s.ours.async_flush([](error_code) { throw std::runtime_error{"as asked"}; });
    s.ours.async_flush(flushed.record());
    s.ours.async_write("waits", waits.record());
  });
  CHECK_THROWS_AS(drain(s.port), std::runtime_error);
  drain(s.port);
  CHECK(flushed.done());
  CHECK(!flushed.ec);
  CHECK(waits.done());
  CHECK(!waits.ec);
  CHECK(read_peer(s.port, s.peer) == "12345678\nwaits\n");
}

TEST_CASE("what a handler throws when writing ends does not keep the end from the others") {
  short_pair<> s{tight, low_marks};
  ending first, flushed, waits;
  s.ours.async_write("12345678", first.record());
  s.ours.async_flush([](error_code) { throw std::runtime_error{"as asked"}; });
  s.ours.async_flush(flushed.record());
  s.ours.async_write("waits", waits.record());
  drain(s.port);
  s.peer.reset();
  CHECK_THROWS_AS(drain(s.port), std::runtime_error);
  drain(s.port);
  CHECK(flushed.ec == condition::reset);
  CHECK(waits.ec == condition::reset);
}

TEST_CASE("a lent message whose call cannot wait for lack of memory is not kept") {
  short_pair<breaking_lines> s;
  const std::string big(10'000, 'b');
  ending done, small;
  asio::post(s.port, [&] {
    CHECK_THROWS_AS(
        s.ours.async_write(big, asio::bind_allocator(no_memory<std::byte>{}, done.record())),
        std::bad_alloc);
  });
  drain(s.port);
  CHECK(s.ours.queued_bytes() == 0);
  s.ours.async_write(std::string{"small"}, small.record());
  pump(s.port, [&] { return small.done(); });
  CHECK((read_peer(s.port, s.peer) == "small\n"));
  CHECK(!done.done());
}

TEST_CASE("a message of a range that its codec throws at is left out, and none before it") {
  for (const char* bad : {"!memory", "!other"}) {
    short_pair<breaking_lines> s;
    const std::string big(10'000, 'b');
    const std::vector<std::string> some{"one", big, "two", bad, "three"};
    ending done, later;
    s.ours.async_write_all(some, done.record());
    s.ours.async_write(std::string{"later"}, later.record());
    CHECK(!done.done());
    drain(s.port);
    CHECK((read_peer(s.port, s.peer) == "one\n" + big + "\ntwo\nlater\n"));
    CHECK(done.calls == 1);
    CHECK(done.ec == (bad == std::string{"!memory"} ? error_code{asio::error::no_memory}
                                                    : error_code{asio::error::invalid_argument}));
    CHECK(!later.ec);
  }
}

TEST_CASE("a range that waits for room leaves out no more than one that does not") {
  short_pair<breaking_lines> s{tight, low_marks};
  const std::vector<std::string> some{"one", "2", "!three", "four"};
  ending first, all, last;
  s.ours.async_write(std::string{"fills it"}, first.record());
  s.ours.async_write_all(some, all.record());
  s.ours.async_write(std::string{"last"}, last.record());
  drain(s.port);
  CHECK(!all.done());
  CHECK(read_peer(s.port, s.peer) == "fills it\none\n2\nlast\n");
  CHECK(all.ec == condition::invalid_argument);
  CHECK(!last.ec);
}

TEST_CASE("whatever allocation fails, every handler is called or destroyed, once") {
  if (!allocation_failure::available) return;
  bool more = true;
  for (std::uint64_t nth = 1; more; ++nth) {
    CAPTURE(nth);
    census people;
    completion_port port;
    auto half = connect_peer(port);
    const std::string big(10'000, 'b');
    std::string got;
    int lost = 0;  // by an exception
    const auto attempt = [&](auto&& what) {
      try {
        what();
      } catch (const std::bad_alloc&) {
        ++lost;
      }
    };
    {
      framed ours{std::move(half.stream), breaking_lines{}, low_marks};
      half.peer.write("one\n");
      {
        allocation_failure failure{nth};
        const auto poll = [&] {
          for (int i = 0; i < 20; ++i) attempt([&] { drain(port); });
          attempt([&] { half.peer.read(got); });
        };
        const auto begin = [&] {
          attempt([&] { ours.async_read(people.handler()); });
          attempt([&] { ours.async_write(std::string{"12345678"}, people.handler()); });
          attempt([&] { ours.async_write(big, people.handler()); });
          attempt([&] { ours.async_write(std::string{"waits"}, people.handler()); });
          attempt([&] { ours.async_flush(people.handler()); });
        };
        attempt([&] { asio::post(port, begin); });
        poll();
        attempt([&] { ours.async_read(people.handler()); });
        poll();
        half.peer.write("half of a longer one");
        poll();
        half.peer.write(big);
        half.peer.write("\n");
        poll();
        more = failure.happened();
      }
      drain(port);
      while (half.peer.read(got) == raw_peer::event::bytes) drain(port);
      half.peer.close();
      pump(port, [&] { return people.alive == 0; });
    }
    drain(port);
  }
}
