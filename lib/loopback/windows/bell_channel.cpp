#include "loopback/windows/bell_channel.hpp"

#include "engine/port_core.hpp"
#include "loopback/service.hpp"
#include "loopback/tcp.hpp"
#include "loopback/windows/lingering.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace fairway::detail::shm {

namespace net_error = boost::asio::error;

namespace {

// How long a writer waits for space before it looks by itself, where nobody can ring it.
constexpr std::chrono::milliseconds look_again{2};

constexpr unsigned tokens_max = 2;
std::byte bell_bytes[tokens_max] = {};

}  // namespace

bell_channel::bell_channel(io_object& stream, service& where, const slot_use& use, side me,
                           system::kernel_handle name)
    : channel{stream, where, use, me}, name_{std::move(name)} {
  // Fails for a socket that is gone, which its first operation tells.
  tcp::set_blocking(stream.handle, false);
}

bell_channel::~bell_channel() { drop_lingering(lingering_); }

// --- tokens ---

void bell_channel::take_tokens_back() noexcept {
  if (std::exchange(data_armed_, false) && !machine_.in().take_back()) ++owed_;
  if (std::exchange(space_armed_, false) && !machine_.out().take_back()) ++owed_;
}

void bell_channel::arm() noexcept {
  take_tokens_back();
  const bool wants_space = out_ != nullptr && way_out() == way::ring;
  if (owed_ == 0) {
    if (in_ != nullptr) machine_.arm_data();
    if (wants_space) machine_.arm_space(space_wanted());
    data_armed_ = in_ != nullptr;
    space_armed_ = wants_space;
  }
  if (wants_space && machine_.way_in() == way::tcp) look_again_later();
  if (machine_.accepted()) forget_name();
  // Whoever sleeps is to hear a bell and the end of TCP.
  if (waits() && !tcp_unread_ && machine_.tcp() == tcp_end::none) start_watch(watch_in_);
}

void bell_channel::disarm() noexcept { take_tokens_back(); }

bool bell_channel::bells_came(std::size_t bytes) noexcept {
  take_tokens_back();
  if (bytes > owed_) return false;
  owed_ -= static_cast<unsigned>(bytes);
  rung_ = true;
  stream_.core->counts().doorbells_received.add(bytes);
  return true;
}

// Nothing but bells comes any more, so it can be taken as it comes: one call less for each.
void bell_channel::watch_tcp_end(io_op& op) noexcept {
  op.kind = op_kind::read;
  op.one = {came_, sizeof came_};
  op.vecs = &op.one;
  op.vec_count = 1;
}

std::size_t bell_channel::without_bells(std::size_t bytes) noexcept {
  const auto before = static_cast<std::size_t>(machine_.before_switch(bytes));
  // Else all of it counts, and is too much.
  return before == bytes || !bells_came(bytes - before) ? bytes : before;
}

void bell_channel::ring_peer(unsigned tokens) noexcept {
  due_ += tokens;
  stream_.core->counts().doorbells_sent.add(tokens);
  send_bells();
}

void bell_channel::send_bells() noexcept {
  if (due_ == 0 || sending_ || bells_in_flight_) return;
  // The switch comes before the first bell.
  if (machine_.way_out() == way::tcp) return;
  const unsigned count = std::min(due_, tokens_max);
  bell_ = {bell_bytes, count};
  const tcp::outcome put = tcp::send(stream_.handle, &bell_, 1);
  stream_.core->counts().kernel_entries.add();
  due_ -= static_cast<unsigned>(put.bytes);
  if (put.bytes == count) return;
  if (put.error != 0 && !tcp::is_would_block(put.error)) {
    due_ = 0;  // TCP has ended
  } else if (watch_out_.op.idle() && !stream_.closing) {
    // What went by TCP before still fills it: behind that.
    bell_.size = std::exchange(due_, 0);
    bells_in_flight_ = true;
    start_send(&bell_, 1);
  }
}

// A bell stands behind what the peer has sent by TCP, which may have to wait for a reader.
void bell_channel::look_again_later() noexcept {
  if (!watch_out_.op.idle() || stream_.closing) return;
  port_core& core = *stream_.core;
  io_op& op = watch_out_.op;
  core.attach_background(op, &watch_out_);
  op.kind = op_kind::timer;
  core.begin_waiting(op);
  try {
    core.arm_deadline(op, core.after(look_again));
  } catch (const std::bad_alloc&) {
    core.complete(op, {}, 0);  // at once, then
  }
}

// --- sending by TCP ---

void bell_channel::start_send(io_vec* from, unsigned count) noexcept {
  port_core& core = *stream_.core;
  io_op& op = watch_out_.op;
  core.attach_background(op, &watch_out_);
  op.kind = op_kind::write;
  op.vecs = from;
  op.vec_count = count;
  op.address = nullptr;
  op.address_bytes = 0;
  core.start(op);
}

bool bell_channel::write_tcp(io_op& op) noexcept {
  if (op.kind == op_kind::wait) {
    end_held(op, {}, 0);  // a send can always be begun
    return true;
  }
  if (!watch_out_.op.idle()) return false;
  sending_ = true;
  start_send(op.vecs, op.vec_count);
  return false;
}

void bell_channel::tcp_out_ended(error_code ec, std::size_t bytes) noexcept {
  if (sending_) {
    sending_ = false;
    end_send(ec, bytes);
  }
  bells_in_flight_ = false;
  if (service_ == nullptr) return;
  send_bells();
  if (std::exchange(shutdown_due_, false)) (void)shutdown(false, true);
  if (out_ != nullptr) try_out(true);
  wait();
}

void bell_channel::end_send(error_code ec, std::size_t bytes) noexcept {
  machine_.sent(bytes);
  if (lingering_ == nullptr && service_ != nullptr) lingering_ = make_lingering(*stream_.core);
  if (out_ == nullptr) return;
  // As of the engine: a part that went counts, beside "timed out" or as a short write.
  if (bytes != 0 && (out_->flags & op_timed_out) == 0) ec = {};
  if (bytes != 0 && (out_->flags & op_timed_out) != 0) ec = net_error::operation_aborted;
  end_held(*out_, ec, bytes);
}

void bell_channel::cancel_held(io_op& op) noexcept {
  if (&op == out_ && sending_) {
    // Its buffers are the kernel's until the send has ended. While the stream closes, closing
    // cancels it.
    stream_.core->cancel(watch_out_.op);
    return;
  }
  channel::cancel_held(op);
}

// --- ending ---

result<void> bell_channel::shutdown(bool receive, bool send) noexcept {
  if (send && sending_) {
    // The switch, which a mark needs, is not possible before it has ended.
    shutdown_due_ = true;
    return receive ? channel::shutdown(true, false) : boost::outcome_v2::success();
  }
  return channel::shutdown(receive, send);
}

void bell_channel::end_tcp(const switch_machine::farewell& how) noexcept {
  channel::end_tcp(how);
  take_tokens_back();
  if (how.reset || how.quiet || machine_.tcp() != tcp_end::none) return;
  // An unread bell makes a reset of the close. That loses nothing once the peer has read of the
  // ring, or when nothing went by TCP.
  look_at_tcp_end();
  if (owed_ == 0 || machine_.peer_took_tcp() || sending_) return;
  if (lingering_ != nullptr && linger_for_bells(*lingering_, stream_, owed_)) {
    lingering_ = nullptr;
  }
}

void bell_channel::let_go(bool claimed) noexcept {
  if (!claimed) tcp::set_blocking(stream_.handle, true);
  forget_name();
}

void bell_channel::forget_name() noexcept {
  if (name_) name_ = system::kernel_handle{};
}

}  // namespace fairway::detail::shm
