#include "loopback/channel.hpp"

#include "engine/port_core.hpp"
#include "engine/processor_pause.hpp"
#include "loopback/ring_view.hpp"
#include "loopback/service.hpp"
#include "loopback/tcp.hpp"
#include "net/objects.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

namespace fairway::detail::shm {

namespace net_error = boost::asio::error;

namespace {

channel& channel_of(const io_object& stream) noexcept {
  return static_cast<channel&>(*stream.attached);
}

// What a step of a coroutine moves at most: much more takes longer than an operation costs.
constexpr std::uint64_t step_bytes_max = 4096;

// See `rest`. A pause of the processor is 20 to 50 ns; a read of more than this is a batch.
constexpr unsigned rest_pauses = 16;
constexpr std::size_t small_read_max = 512;
constexpr unsigned one_way_after = 8;

std::uint64_t total(const io_vec* pieces, unsigned count) noexcept {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < count; ++i) sum += pieces[i].size;
  return sum;
}

}  // namespace

channel::watch::watch(channel& owner, function f, function d, wait_for side) noexcept
    : handler_base{f, d}, of{&owner} {
  op.object = &owner.stream_;
  op.waiting = side;
}

channel::channel(io_object& stream, service& where, const slot_use& use, side me)
    : stream_{stream},
      service_{&where},
      use_{use},
      machine_{use.place(me)},
      watch_in_{*this, &on_in, &discard_in, wait_for::read},
      watch_out_{*this, &on_out, &discard_out, wait_for::write} {
  start = [](io_op& op) noexcept { channel_of(*op.object).begin(op); };
  cancel = [](io_op& op) noexcept { channel_of(*op.object).cancel_held(op); };
  block_came = [](io_op& op) noexcept {
    channel& self = channel_of(*op.object);
    if (!self.try_in(true)) self.wait();
  };
  on_close = [](io_object& o) noexcept { channel_of(o).close(); };
  destroy = [](io_object& o) noexcept { delete &channel_of(o); };
  extra[0] = &watch_in_.op;
  extra[1] = &watch_out_.op;
}

channel::~channel() {
  assert(service_ == nullptr && view_ == nullptr);
  assert(watch_in_.op.idle() && watch_out_.op.idle());
}

// --- operations of the stream ---

void channel::begin(io_op& op) noexcept {
  op.flags |= op_held;
  if (!service_->is_own()) return end_held(op, net_error::bad_descriptor, 0);
  if (&op == stream_.read_side) {
    in_ = &op;
    rest();
    if (try_in(true)) return;
  } else {
    out_ = &op;
    if (try_out(true)) return;
  }
  wait();
}

void channel::end_held(io_op& op, error_code ec, std::size_t bytes) noexcept {
  if (&op == in_) in_ = nullptr;
  if (&op == out_) out_ = nullptr;
  stream_.core->complete(op, ec, bytes);
}

void channel::cancel_held(io_op& op) noexcept { end_held(op, net_error::operation_aborted, 0); }

void channel::wait() noexcept {
  if (service_ == nullptr || !waits()) return;
  watch_tcp_ways();
  if (hot()) {
    service_->add(*this);
  } else {
    service_->park_one(*this);
  }
}

bool channel::look() noexcept {
  bool found = false;
  if (in_ != nullptr) found |= try_in(false);
  if (out_ != nullptr) found |= try_out(false);
  return found;
}

bool channel::hot() noexcept {
  if (reads_ring() && machine_.way_in() == way::ring) return true;
  return out_ != nullptr && way_out() == way::ring;
}

// The read side waits for bytes: neither for a buffer nor for an error alone, nor for nothing.
bool channel::reads_ring() const noexcept {
  if (in_ == nullptr || (in_->flags & op_waits_for_block) != 0) return false;
  return in_->kind != op_kind::wait || in_->waiting != wait_for::error;
}

// --- receiving ---

bool channel::try_in(bool ask_tcp) noexcept {
  io_op& op = *in_;
  if ((op.flags & op_waits_for_block) != 0) return false;
  for (;;) {
    switch (machine_.way_in()) {
      case way::ring:
        if (!path_told_) tell_moved();
        return read_ring(op);
      case way::tcp:
        if (machine_.tcp() == tcp_end::none) return ask_tcp && read_tcp(op);
        break;
      default: return give_verdict(op, verdict::broken);
    }
    const verdict v = machine_.judge();
    if (v != verdict::more) return give_verdict(op, v);
  }
}

bool channel::give_verdict(io_op& op, verdict v) noexcept {
  const error_code none;
  switch (v) {
    case verdict::more: return false;
    case verdict::eof:
      // A wait for reading ends without an error: a read would not block.
      end_held(op, op.kind == op_kind::wait ? none : error_code{net_error::eof}, 0);
      return true;
    case verdict::reset:
      end_held(op, op.kind == op_kind::wait ? none : error_code{net_error::connection_reset}, 0);
      return true;
    case verdict::broken: break;
  }
  distrust_peer();
  end_held(op, error::peer_broke_the_ring, 0);
  return true;
}

bool channel::read_ring(io_op& op) noexcept {
  if (op.kind == op_kind::wait && op.waiting == wait_for::error) {
    if (machine_.tcp() == tcp_end::none) return false;
    end_held(op, {}, 0);
    return true;
  }
  ring_reader& in = machine_.in();
  if (in.available() == 0) {
    if (in.broken()) return give_verdict(op, verdict::broken);
    verdict v = machine_.look_for_end();
    if (v == verdict::more && in.available() == 0) {
      if (machine_.tcp() != tcp_end::none) v = machine_.judge();
      if (v == verdict::more && in.available() == 0) {
        if (receive_shut_) return give_verdict(op, verdict::eof);
        return in.shows() && wait_beside_view(op);
      }
    }
    if (v != verdict::more) return give_verdict(op, v);
  }
  if (op.kind == op_kind::wait) {
    end_held(op, {}, 0);
    return true;
  }
  io_vec one{};
  const io_vec* into = op.vecs;
  unsigned count = op.vec_count;
  if (op.kind == op_kind::receive) {
    if (const std::size_t shown = show(op); shown != 0) {
      end_held(op, {}, shown);
      return true;
    }
    if (!take_block(op)) return in_ == nullptr;  // tried again when one comes back
    one = {op.block->data(), stream_.core->buffers().block_bytes()};
    into = &one;
    count = 1;
  }
  const std::size_t got = take(into, count);
  if (got == 0) return give_verdict(op, verdict::broken);
  end_held(op, {}, got);
  return true;
}

// False: it waits for one, or has ended.
bool channel::take_block(io_op& op) noexcept {
  op.block = stream_.core->take_block(op);
  if (op.block == nullptr && (op.flags & op_waits_for_block) == 0) in_ = nullptr;
  return op.block != nullptr;
}

// Gives a receive a view of what there is. Zero: one is out, there is no memory for it, or the ring
// has broken.
std::size_t channel::show(io_op& op) noexcept {
  ring_reader& in = machine_.in();
  if (in.shows()) return 0;
  if (view_ == nullptr) {
    view_ = new (std::nothrow) ring_view{*this, *service_, use_, machine_.own_side()};
  }
  if (view_ == nullptr) return 0;
  // No more than a buffer has, and not so much that the peer could put nothing beside it.
  const std::uint64_t most = std::min<std::uint64_t>(stream_.core->buffers().block_bytes(),
                                                     use_.in->shape().ring_bytes / 2);
  std::byte* bytes = nullptr;
  const std::size_t shown = in.show(most, bytes);
  if (shown == 0) return 0;
  view_->lend(bytes);
  op.block = view_;
  count_read(shown);
  return shown;
}

void channel::view_came_back() noexcept {
  if (!service_->is_own()) return;
  ring_reader& in = machine_.in();
  in.show_no_more();
  if (in.wake_writer()) ring_peer(1);
  // A receive that needed a buffer, as this view was out, needs none.
  if (in_ == nullptr || (in_->flags & op_waits_for_block) == 0) return;
  stream_.core->forget_block_waiter(*in_);
  if (!try_in(true)) wait();
}

// A view is out, and all that came beside it has been read.
bool channel::wait_beside_view(io_op& op) noexcept {
  ring_reader& in = machine_.in();
  if (in.room() == 0) {
    end_held(op, error::ring_is_held, 0);
    return true;
  }
  if (in.wake_writer_for_any()) ring_peer(1);
  return false;
}

// True: a view is out, which keeps the slot until it is given back.
bool channel::part_from_view() noexcept {
  return view_ != nullptr && std::exchange(view_, nullptr)->part();
}

bool channel::read_tcp(io_op& op) noexcept {
  const native_handle socket = stream_.handle;
  if (op.kind == op_kind::wait) {
    if (op.waiting == wait_for::error || !tcp::readable(socket)) return false;
    // A bell comes after the switch: it makes TCP readable and no byte of the stream.
    if (machine_.way_in() == way::ring) return read_ring(op);
    end_held(op, {}, 0);
    return true;
  }
  tcp::outcome got;
  if (op.kind == op_kind::receive) {
    if (!tcp::readable(socket)) return false;
    if (!take_block(op)) return in_ == nullptr;
    const io_vec one{op.block->data(), stream_.core->buffers().block_bytes()};
    got = tcp::receive(socket, &one, 1);
  } else {
    got = tcp::receive(socket, op.vecs, op.vec_count);
  }
  stream_.core->counts().kernel_entries.add();
  tcp_unread_ = false;
  const std::size_t bytes = got.bytes == 0 ? 0 : without_bells(got.bytes);
  if (bytes == 0 && op.block != nullptr) {
    stream_.core->give_block(*std::exchange(op.block, nullptr));
  }
  if (got.bytes != 0) {
    if (!machine_.received(bytes)) return give_verdict(op, verdict::broken);
    if (bytes == 0) return try_in(false);  // nothing but bells: the ring has more
    end_held(op, {}, bytes);
    return true;
  }
  if (tcp::is_would_block(got.error)) {
    return receive_shut_ && give_verdict(op, verdict::eof);
  }
  machine_.tcp_ended(got.error == 0 ? tcp_end::fin : tcp_end::reset);
  // What the peer published before its end comes first.
  if (machine_.way_in() == way::ring) return read_ring(op);
  return give_verdict(op, machine_.judge());
}

// --- sending ---

bool channel::try_out(bool ask_tcp) noexcept {
  io_op& op = *out_;
  if (sending_) return false;
  switch (machine_.way_out()) {
    case way::tcp: return ask_tcp && write_tcp(op);
    case way::lost:
      end_held(op, machine_.peer_reset() ? net_error::connection_reset : net_error::broken_pipe, 0);
      return true;
    case way::broken: return give_verdict(op, verdict::broken);
    case way::ring: break;
  }
  if (!path_told_) tell_moved();
  if (machine_.shut()) {
    end_held(op, op.kind == op_kind::wait ? error_code{} : error_code{net_error::broken_pipe}, 0);
    return true;
  }
  ring_writer& out = machine_.out();
  if (op.kind == op_kind::wait) {
    if (out.space(1) == 0) return out.broken() && give_verdict(op, verdict::broken);
    end_held(op, {}, 0);
    return true;
  }
  const std::size_t put = out.write(op.vecs, op.vec_count);
  reads_alone_ = 0;
  if (put == 0) return out.broken() && give_verdict(op, verdict::broken);
  if (out.wake_reader()) ring_peer(1);
  end_held(op, {}, put);
  return true;
}

bool channel::write_tcp(io_op& op) noexcept {
  const native_handle socket = stream_.handle;
  stream_.core->counts().kernel_entries.add();
  if (op.kind == op_kind::wait) {
    if (!tcp::writable(socket)) return false;
    end_held(op, {}, 0);
    return true;
  }
  const tcp::outcome put = tcp::send(socket, op.vecs, op.vec_count);
  if (tcp::is_would_block(put.error)) return false;
  machine_.sent(put.bytes);
  end_held(op, tcp::as_error(put.error), put.bytes);
  return true;
}

std::uint64_t channel::space_wanted() const noexcept {
  const std::uint64_t capacity = use_.in->shape().ring_bytes;
  if (out_->kind == op_kind::wait) return 1;
  return std::clamp<std::uint64_t>(total(out_->vecs, out_->vec_count), 1, capacity / 4);
}

// --- without an operation ---

std::size_t channel::write_now(const io_vec* from, unsigned count) noexcept {
  if (service_ == nullptr || !service_->is_own() || !path_told_ || machine_.shut()) return 0;
  const std::uint64_t bytes = total(from, count);
  if (bytes - 1 >= step_bytes_max || way_out() != way::ring) return 0;
  ring_writer& out = machine_.out();
  if (out.space(bytes) < bytes) return 0;
  const std::size_t put = out.write(from, count);
  reads_alone_ = 0;
  if (out.wake_reader()) ring_peer(1);
  return put;
}

std::size_t channel::read_now(const io_vec* into, unsigned count, std::size_t least) noexcept {
  if (service_ == nullptr || !service_->is_own() || !path_told_) return 0;
  if (machine_.way_in() != way::ring) return 0;
  rest();
  ring_reader& in = machine_.in();
  const std::uint64_t wanted = total(into, count);
  const std::uint64_t there = std::min(in.available(), wanted);
  if (there - 1 >= step_bytes_max) return 0;
  if (there < least && std::min(in.refresh(), wanted) < least) return 0;
  return take(into, count);
}

std::size_t channel::take(const io_vec* into, unsigned count) noexcept {
  ring_reader& in = machine_.in();
  const std::size_t got = in.read(into, count);
  if (in.wake_writer()) ring_peer(1);
  count_read(got);
  return got;
}

void channel::count_read(std::size_t bytes) noexcept {
  if (bytes > small_read_max) {
    reads_alone_ = 0;
  } else if (reads_alone_ < one_way_after) {
    ++reads_alone_;
  } else {
    rest_due_ = true;
  }
}

// A reader that is faster than its writer looks at each message as it comes, and each look takes
// the lines that the writer writes next away from it, which costs the writer more than the message
// does. Where a peer sends small messages and is told nothing, a reader that has read all waits a
// moment before it looks again: what comes meanwhile is read at once.
void channel::rest() noexcept {
  if (!rest_due_) return;
  rest_due_ = false;
  if (machine_.in().any_known()) return;
  for (unsigned i = 0; i < rest_pauses; ++i) processor_pause();
}

// --- waiting ---

void channel::arm() noexcept {
  if (in_ != nullptr) machine_.arm_data();
  if (out_ != nullptr && way_out() == way::ring) machine_.arm_space(space_wanted());
  armed_ = true;
  // Whoever sleeps is to hear when TCP ends.
  if (waits() && !tcp_unread_ && machine_.tcp() == tcp_end::none) start_watch(watch_in_);
}

void channel::disarm() noexcept {
  if (!std::exchange(armed_, false)) return;
  machine_.in().disarm();
  machine_.out().disarm();
}

// What still goes by TCP is found by the backend.
void channel::watch_tcp_ways() noexcept {
  if (in_ != nullptr && !tcp_unread_ && machine_.way_in() == way::tcp) start_watch(watch_in_);
  if (out_ != nullptr && way_out() == way::tcp) await_tcp_out();
}

void channel::start_watch(watch& which) noexcept {
  if (!which.op.idle() || stream_.closing) return;
  port_core& core = *stream_.core;
  const wait_for side = which.op.waiting;
  core.attach_background(which.op, &which);
  which.op.kind = op_kind::wait;
  which.op.waiting = side;
  if (&which == &watch_in_ && machine_.way_in() == way::ring) watch_tcp_end(which.op);
  core.start(which.op);
}

void channel::discard_in(handler_base*, io_op& op) { finish(op); }

void channel::discard_out(handler_base* base, io_op& op) {
  channel& self = *static_cast<watch*>(base)->of;
  port_core& core = *self.stream_.core;
  core.retain(self.stream_);
  finish(op);
  self.tcp_out_ended(net_error::operation_aborted, 0);
  core.release(self.stream_);
}

// TCP has something: bytes before the switch, else its end.
void channel::on_in(handler_base* base, io_op& op) {
  channel& self = *static_cast<watch*>(base)->of;
  port_core& core = *self.stream_.core;
  core.retain(self.stream_);
  const op_result got = op.result;
  const bool has_read = op.kind == op_kind::read;
  finish(op);
  if (self.service_ != nullptr) {
    if (got.ec != net_error::operation_aborted) {
      if (has_read) {
        self.tcp_gave(got.ec, got.bytes);
      } else if (self.machine_.way_in() == way::ring) {
        self.look_at_tcp_end();
      } else if (!self.reads_ring()) {
        self.tcp_unread_ = true;  // for the next read, or when there is a buffer for this one
      }
    }
    bool found = self.in_ != nullptr && self.try_in(true);
    found |= self.out_ != nullptr && self.try_out(false);
    if (std::exchange(self.rung_, false) && found) self.service_->found_by_bell();
    self.wait();
  }
  core.release(self.stream_);
}

void channel::on_out(handler_base* base, io_op& op) {
  channel& self = *static_cast<watch*>(base)->of;
  port_core& core = *self.stream_.core;
  core.retain(self.stream_);
  const op_result got = op.result;
  finish(op);
  self.tcp_out_ended(got.ec, got.bytes);
  core.release(self.stream_);
}

void channel::tcp_out_ended(error_code, std::size_t) noexcept {
  if (service_ == nullptr) return;
  if (out_ != nullptr) try_out(true);
  wait();
}

// After the switch TCP carries nothing more: whatever can be read is its end, or a lie.
void channel::look_at_tcp_end() noexcept {
  std::byte room[16];
  const io_vec one{room, sizeof room};
  const tcp::outcome got = tcp::receive(stream_.handle, &one, 1);
  stream_.core->counts().kernel_entries.add();
  if (tcp::is_would_block(got.error)) return;
  const error_code end = got.error == 0 ? error_code{net_error::eof} : tcp::as_error(got.error);
  tcp_gave(got.bytes != 0 ? error_code{} : end, got.bytes);
}

void channel::tcp_gave(error_code ec, std::size_t bytes) noexcept {
  if (bytes == 0) return machine_.tcp_ended(ec == net_error::eof ? tcp_end::fin : tcp_end::reset);
  if (bells_came(bytes)) return;
  machine_.received(bytes);
  machine_.tcp_ended(tcp_end::reset);
  distrust_peer();
}

bool channel::woken() noexcept {
  const bool found = look();
  wait();
  return found;
}

void channel::link_ended() noexcept {
  if (machine_.tcp() == tcp_end::none && machine_.way_in() == way::ring) look_at_tcp_end();
  woken();
}

void channel::tell_moved() noexcept {
  path_told_ = true;
  tell_path(*stream_.core, stream_, path::shared_memory, path_reason::none);
}

// --- ending ---

result<void> channel::shutdown(bool receive, bool send) noexcept {
  if (service_ == nullptr || !service_->is_own()) return error_code{net_error::bad_descriptor};
  if (send) {
    if (machine_.shutdown_send() == shutdown_answer::by_tcp) {
      if (const int failed = tcp::shutdown_send(stream_.handle); failed != 0) {
        return tcp::as_error(failed);
      }
    } else if (const unsigned tokens = machine_.wake_peer(); tokens != 0) {
      ring_peer(tokens);
    }
    if (out_ != nullptr) try_out(true);
  }
  if (receive) {
    receive_shut_ = true;
    if (in_ != nullptr) try_in(true);
  }
  return boost::outcome_v2::success();
}

bool channel::leave() noexcept {
  if (!service_->is_own()) return false;
  if (!machine_.revoke() || !watch_in_.op.idle() || !watch_out_.op.idle()) return false;
  close();
  start = nullptr;  // from here on the backend's
  return true;
}

void channel::close() noexcept {
  if (service_ == nullptr) return;
  service_->remove(*this);
  // The copy of another process knows nothing of what became of the slot: as if claimed.
  const bool own = service_->is_own();
  const bool claimed = !own || !machine_.revoke();
  const bool shown = part_from_view();
  if (own && claimed) {
    // With a send in flight it is not known what the peer got: it is to see a reset.
    const auto how = machine_.close(sending_ || tcp::closes_by_reset(stream_.handle));
    if (const unsigned tokens = machine_.wake_peer(); tokens != 0) ring_peer(tokens);
    end_tcp(how);
    if (!shown) machine_.release();
  }
  let_go(claimed);
  service_ = nullptr;
}

void channel::end_tcp(const switch_machine::farewell& how) noexcept {
  if (how.reset || how.quiet) tcp::reset_when_closed(stream_.handle);
}

}  // namespace fairway::detail::shm
