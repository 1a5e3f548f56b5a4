// The writing half of framed: a queue of encoded bytes, one stream write at a time, and the calls
// that wait for room or for their bytes to leave.
//
// Threads: the stream's executor.
#pragma once

#include <fairway/protocol/codec.hpp>
#include <fairway/protocol/detail/completion.hpp>
#include <fairway/protocol/detail/write_queue.hpp>
#include <fairway/protocol/framed_options.hpp>
#include <fairway/protocol/gather.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <cstdint>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

namespace fairway::detail {

using boost::system::error_code;

// What an exception comes to for a call that waits, which nobody can throw at: its own code, no
// memory, or else `otherwise`. To be called where it was caught.
error_code code_of_exception(error_code otherwise) noexcept;

// How far a call has come.
struct encoding {
  bool all = false;    // nothing is left to encode
  bool lends = false;  // the queue refers to bytes of the caller
  bool waits = false;  // ends when what is queued has left
  error_code ec;       // the codec's: nothing more is encoded
};

// A call that waits. `encode` puts as much as there is room for.
struct write_call {
  virtual ~write_call() = default;
  virtual void encode(write_queue& out, std::size_t high, encoding& how) = 0;

  std::unique_ptr<write_call> next;  // null: the last one
  completion<error_code> done;
  std::uint64_t ticket = 0;
  std::uint64_t end = 0;  // once encoded: how many bytes of the stream must have left
  bool lends = false;
  error_code ec;          // what it ends with then
};

// First in, first out.
class write_calls {
 public:
  write_calls() = default;
  write_calls(write_calls&& other) noexcept
      : first_{std::move(other.first_)}, last_{std::exchange(other.last_, nullptr)} {}
  write_calls& operator=(write_calls&&) = delete;
  ~write_calls() {
    while (!empty()) pop();  // not by recursion
  }

  bool empty() const noexcept { return first_ == nullptr; }
  write_call& front() noexcept { return *first_; }
  void push(std::unique_ptr<write_call> call);
  std::unique_ptr<write_call> pop() noexcept;
  write_call* find(std::uint64_t ticket) const noexcept;
  std::unique_ptr<write_call> take(std::uint64_t ticket) noexcept;

 private:
  std::unique_ptr<write_call> first_;  // null: none waits
  write_call* last_ = nullptr;
};

// Nothing stays in the queue of a message that the codec refuses or throws at: neither half of it,
// which would leave before the next one, nor a reference to bytes that go with the call.
template <class Codec, class Message>
bool encode_one(Codec& codec, const Message& message, write_queue& out, gather::lending lending,
                encoding& how) {
  gather into{out, lending};
  try {
    const result<void> done = codec.encode(message, into);
    if (done) {
      how.lends = how.lends || into.borrowed();
      return true;
    }
    how.ec = done.error();
  } catch (...) {
    into.undo();
    throw;
  }
  into.undo();
  return false;
}

// Runs `last` also when a handler that `first` calls throws: what it throws leaves through the
// loop, and who waits behind it must not wait for ever.
template <class First, class Last>
void always_then(First first, Last last) {
  try {
    first();
  } catch (...) {
    last();
    throw;
  }
  last();
}

// What a call writes. A temporary is moved in and copied from; anything else is referred to.
template <class Codec, class Message>
struct one_message {
  static constexpr bool referred = std::is_lvalue_reference_v<Message>;
  using kept = std::conditional_t<referred, const std::remove_reference_t<Message>*, Message>;

  void encode(write_queue& out, std::size_t, encoding& how) {
    if constexpr (referred) {
      how.all = encode_one(*codec, *message, out, gather::lending::allowed, how);
    } else {
      how.all = encode_one(*codec, message, out, gather::lending::refused, how);
    }
  }
  Codec* codec;
  kept message;
};

template <class Codec, class Range>
struct many_messages {
  static constexpr bool referred = std::is_lvalue_reference_v<Range>;
  using kept = std::conditional_t<referred, std::remove_reference_t<Range>*, Range>;

  auto& range() {
    if constexpr (referred) {
      return *messages;
    } else {
      return messages;
    }
  }
  // What is thrown becomes a code: the messages before are on their way, and may be lent.
  void encode(write_queue& out, std::size_t high, encoding& how) {
    try {
      encode_more(out, high, how);
    } catch (...) {
      how.ec = code_of_exception(boost::asio::error::invalid_argument);
    }
  }
  void encode_more(write_queue& out, std::size_t high, encoding& how) {
    const auto lending = referred ? gather::lending::allowed : gather::lending::refused;
    auto place = std::next(std::begin(range()), static_cast<std::ptrdiff_t>(done));
    for (; place != std::end(range()); ++place, ++done) {
      if (out.bytes() >= high) return;
      if (!encode_one(*codec, *place, out, lending, how)) return;
    }
    how.all = true;
  }
  Codec* codec;
  kept messages;
  std::size_t done = 0;
};

// A flush: waits for what is queued already.
struct no_message {
  void encode(write_queue& out, std::size_t, encoding& how) {
    how.all = true;
    how.waits = out.bytes() != 0;
  }
};

template <class Source>
struct write_call_of final : write_call {
  explicit write_call_of(Source s) : source(std::move(s)) {}
  void encode(write_queue& out, std::size_t high, encoding& how) override {
    source.encode(out, high, how);
  }
  Source source;
};

// The calls and the queue, without the stream.
class writer {
 public:
  explicit writer(const framed_options& o) noexcept;

  // Encodes what it can. Returns true when the call is over: `how.ec` says with which result.
  template <class Source>
  bool begin(Source& source, encoding& how) {
    if (error_) {
      how.ec = error_;
      return true;
    }
    const std::uint64_t before = queue.queued_total();
    constexpr bool flush = std::is_same_v<Source, no_message>;
    if (room_calls_.empty() && (flush || queue.bytes() < high_)) {
      source.encode(queue, high_, how);
    }
    if (queue.queued_total() != before) ++progress;
    return (how.all || how.ec) && !how.lends && !how.waits;
  }

  // Keeps a call that is not over.
  template <class Source>
  void wait(Source source, const encoding& how, completion<error_code> done, std::uint64_t ticket) {
    auto call = std::make_unique<write_call_of<Source>>(std::move(source));
    call->done = std::move(done);
    call->ticket = ticket;
    keep(std::move(call), how);
  }

  bool has_room() const noexcept {
    return !error_ && room_calls_.empty() && queue.bytes() < high_;
  }
  bool idle() const noexcept { return queue.bytes() == 0; }
  error_code error() const noexcept { return error_; }
  bool nobody_waits() const noexcept { return room_calls_.empty() && sent_calls_.empty(); }

  // Bytes have left: ends the calls that waited for them, lets others encode.
  void after_write(deliver how);
  // Nothing more can be written: ends every call.
  void fail(error_code ec, deliver how);
  // Destroys every call without ending it. Returns whether there was one. `this` may go meanwhile.
  bool discard() noexcept;
  // Returns true when only closing can end the call.
  bool cancel(std::uint64_t ticket, bool terminal);

  write_queue queue;
  std::uint64_t progress = 0;  // grows with each message that is written

 private:
  // Puts a call into the list that `how` says it belongs to.
  void keep(std::unique_ptr<write_call> call, const encoding& how);
  // Both return false when there is none.
  bool end_one_sent(deliver how);
  bool admit_one(deliver how);

  std::size_t high_;
  std::size_t low_;
  write_calls room_calls_;  // wait for room
  write_calls sent_calls_;  // encoded, and wait for their bytes to leave
  error_code error_;        // none: writing goes on
};

}  // namespace fairway::detail
