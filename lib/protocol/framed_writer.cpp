#include <fairway/protocol/detail/framed_writer.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <exception>
#include <new>

namespace fairway::detail {

namespace {

// Calls `one` until it says false, also when a handler throws: what the first one threw leaves
// through the loop at the end, and those behind it come through the queue.
template <class TellOne>
void tell_all(deliver how, TellOne one) {
  std::exception_ptr thrown;
  for (bool more = true; more;) {
    try {
      more = one(how);
    } catch (...) {
      if (!thrown) thrown = std::current_exception();
      how = deliver::queued;
    }
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

error_code code_of_exception(error_code otherwise) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return boost::asio::error::no_memory;
  } catch (const boost::system::system_error& e) {
    return e.code() ? e.code() : otherwise;
  } catch (...) {
    return otherwise;
  }
}

void write_calls::push(std::unique_ptr<write_call> call) {
  write_call* added = call.get();
  (last_ == nullptr ? first_ : last_->next) = std::move(call);
  last_ = added;
}

std::unique_ptr<write_call> write_calls::pop() noexcept {
  auto call = std::move(first_);
  first_ = std::move(call->next);
  if (first_ == nullptr) last_ = nullptr;
  return call;
}

write_call* write_calls::find(std::uint64_t ticket) const noexcept {
  write_call* call = first_.get();
  while (call != nullptr && call->ticket != ticket) call = call->next.get();
  return call;
}

std::unique_ptr<write_call> write_calls::take(std::uint64_t ticket) noexcept {
  write_call* before = nullptr;
  for (auto* link = &first_; *link != nullptr; link = &(*link)->next) {
    if ((*link)->ticket == ticket) {
      auto call = std::move(*link);
      *link = std::move(call->next);
      if (last_ == call.get()) last_ = before;
      return call;
    }
    before = link->get();
  }
  return nullptr;
}

writer::writer(const framed_options& o) noexcept
    : high_{std::max<std::size_t>(o.write_high_bytes, 1)},
      low_{std::min(o.write_low_bytes, high_ - 1)} {}

void writer::keep(std::unique_ptr<write_call> call, const encoding& how) {
  call->lends = call->lends || how.lends;
  if (!how.all && !how.ec) {
    room_calls_.push(std::move(call));
    return;
  }
  // What it lent is needed until it has left, also when a later message could not be encoded.
  call->end = queue.queued_total();
  call->ec = how.ec;
  sent_calls_.push(std::move(call));
}

bool writer::admit_one(deliver how) {
  if (room_calls_.empty() || queue.bytes() >= high_) return false;
  encoding now;
  write_call& call = room_calls_.front();
  try {
    call.encode(queue, high_, now);
  } catch (...) {
    // It would leave through the loop, and the call stay for ever.
    now.ec = code_of_exception(boost::asio::error::invalid_argument);
  }
  ++progress;
  call.lends = call.lends || now.lends;
  if (!now.all && !now.ec) return false;
  auto ended = room_calls_.pop();
  if (ended->lends || now.waits) {
    keep(std::move(ended), now);
  } else {
    ended->done(how, now.ec);
  }
  return true;
}

bool writer::end_one_sent(deliver how) {
  if (sent_calls_.empty() || sent_calls_.front().end > queue.written_total()) return false;
  auto ended = sent_calls_.pop();
  ended->done(how, ended->ec);
  return true;
}

void writer::after_write(deliver how) {
  bool room = false;  // the low mark was reached
  tell_all(how, [&](deliver now) {
    if (end_one_sent(now)) return true;
    room = room || queue.bytes() <= low_;
    return room && admit_one(now);
  });
}

void writer::fail(error_code ec, deliver how) {
  error_ = ec;
  queue.drop_all();
  tell_all(how, [&](deliver now) {
    if (end_one_sent(now)) return true;
    write_calls& next = sent_calls_.empty() ? room_calls_ : sent_calls_;
    if (next.empty()) return false;
    next.pop()->done(now, ec);
    return true;
  });
}

bool writer::discard() noexcept {
  const write_calls room{std::move(room_calls_)};
  const write_calls sent{std::move(sent_calls_)};
  return !room.empty() || !sent.empty();
}

bool writer::cancel(std::uint64_t ticket, bool terminal) {
  for (write_calls* list : {&room_calls_, &sent_calls_}) {
    write_call* call = list->find(ticket);
    if (call == nullptr) continue;
    if (call->lends) return terminal;
    list->take(ticket)->done(deliver::queued, boost::asio::error::operation_aborted);
  }
  return false;
}

}  // namespace fairway::detail
