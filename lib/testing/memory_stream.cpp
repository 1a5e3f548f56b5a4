#include <fairway/testing/memory_stream.hpp>

#include <fairway/engine/detail/call_keeper.hpp>

#include <algorithm>
#include <string>

namespace fairway::testing::detail {

using boost::system::error_code;
using fairway::detail::deliver;

template <class Buffer>
struct memory_waiter {
  std::vector<Buffer> buffers;
  transfer_done done;  // empty: none
};

// What one side has written and the other not yet read, and who waits on it.
struct memory_direction {
  std::string bytes;
  bool ended = false;
  bool reset = false;
  memory_waiter<boost::asio::mutable_buffer> reader;
  memory_waiter<boost::asio::const_buffer> writer;
};

struct memory_side {
  memory_options options;
  bool open = true;
  std::size_t reads = 0;
  std::size_t writes = 0;
};

struct memory_link final : std::enable_shared_from_this<memory_link>, fairway::detail::call_keeper {
  explicit memory_link(completion_port& p) noexcept : port{p} {}

  // `from` is the side that writes into the direction.
  memory_direction& direction(int from) noexcept { return directions[from]; }
  void move(int from);
  bool discard_calls() noexcept override;

  completion_port& port;
  memory_side sides[2];
  memory_direction directions[2];
};

namespace {

void end_with(transfer_done& waits, error_code ec, std::size_t bytes = 0) {
  if (waits) waits(deliver::queued, ec, bytes);
}

}  // namespace

// Brings forward what can be: a write into the room there is, a read out of what is there.
void memory_link::move(int from) {
  if (ending()) return;
  memory_direction& way = directions[from];
  const memory_options& writes = sides[from].options;
  const memory_options& reads = sides[1 - from].options;
  for (bool moved = true; std::exchange(moved, false);) {
    if (way.writer.done) {
      const std::size_t whole = boost::asio::buffer_size(way.writer.buffers);
      const std::size_t room = writes.capacity - std::min(writes.capacity, way.bytes.size());
      const std::size_t size = std::min({whole, room, writes.write_bytes_max});
      if (way.reset || (!sides[1 - from].open)) {
        end_with(way.writer.done, way.reset ? boost::asio::error::connection_reset
                                            : boost::asio::error::broken_pipe);
      } else if (size != 0 || whole == 0) {
        const std::size_t before = way.bytes.size();
        way.bytes.resize(before + size);
        boost::asio::buffer_copy(boost::asio::buffer(way.bytes.data() + before, size),
                                 way.writer.buffers);
        end_with(way.writer.done, {}, size);
        moved = true;
      }
    }
    if (way.reader.done) {
      const std::size_t room = boost::asio::buffer_size(way.reader.buffers);
      const std::size_t size = std::min({room, way.bytes.size(), reads.read_bytes_max});
      if (way.reset) {
        end_with(way.reader.done, boost::asio::error::connection_reset);
      } else if (size != 0 || room == 0) {
        boost::asio::buffer_copy(way.reader.buffers, boost::asio::buffer(way.bytes.data(), size));
        way.bytes.erase(0, size);
        end_with(way.reader.done, {}, size);
        moved = true;
      } else if (way.ended) {
        end_with(way.reader.done, boost::asio::error::eof);
      }
    }
  }
}

bool memory_link::discard_calls() noexcept {
  const auto kept = weak_from_this().lock();  // the handlers may own the rest
  bool any = false;
  for (memory_direction& way : directions) {
    const transfer_done read = std::move(way.reader.done);
    const transfer_done written = std::move(way.writer.done);
    any = any || read || written;
  }
  return any;
}

void memory_end::read(std::vector<boost::asio::mutable_buffer> into, transfer_done done) {
  memory_side& me = link->sides[side];
  memory_direction& way = link->direction(1 - side);
  if (!me.open) return done(deliver::queued, boost::asio::error::bad_descriptor, 0);
  if (way.reader.done) return done(deliver::queued, boost::asio::error::in_progress, 0);
  if (me.reads++ >= me.options.reads_until_failure) {
    return done(deliver::queued, me.options.failure, 0);
  }
  link->join(link->port);
  way.reader = {std::move(into), std::move(done)};
  link->move(1 - side);
}

void memory_end::write(std::vector<boost::asio::const_buffer> from, transfer_done done) {
  memory_side& me = link->sides[side];
  memory_direction& way = link->direction(side);
  if (!me.open) return done(deliver::queued, boost::asio::error::bad_descriptor, 0);
  if (way.writer.done) return done(deliver::queued, boost::asio::error::in_progress, 0);
  if (way.ended) return done(deliver::queued, boost::asio::error::broken_pipe, 0);
  if (me.writes++ >= me.options.writes_until_failure) {
    return done(deliver::queued, me.options.failure, 0);
  }
  link->join(link->port);
  way.writer = {std::move(from), std::move(done)};
  link->move(side);
}

void memory_end::cancel(bool reads, bool writes) {
  if (reads) {
    end_with(link->direction(1 - side).reader.done, boost::asio::error::operation_aborted);
  }
  if (writes) {
    end_with(link->direction(side).writer.done, boost::asio::error::operation_aborted);
  }
}

void memory_end::shutdown_send() {
  link->direction(side).ended = true;
  link->move(side);
}

void memory_end::close(bool reset) {
  if (!link->sides[side].open) return;
  link->sides[side].open = false;
  cancel(true, true);
  if (reset) link->directions[0].reset = link->directions[1].reset = true;
  link->direction(side).ended = true;
  link->move(side);
  link->move(1 - side);
}

bool memory_end::is_open() const noexcept { return link->sides[side].open; }
completion_port& memory_end::port() const noexcept { return link->port; }
std::size_t memory_end::writes() const noexcept { return link->sides[side].writes; }

std::pair<memory_end, memory_end> make_memory_pair(completion_port& port,
                                                   const memory_options& first,
                                                   const memory_options& second) {
  auto link = std::make_shared<memory_link>(port);
  link->sides[0].options = first;
  link->sides[1].options = second;
  return {memory_end{link, 0}, memory_end{link, 1}};
}

}  // namespace fairway::testing::detail
