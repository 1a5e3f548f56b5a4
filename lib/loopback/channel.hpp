// The fast path of one stream: its end of a slot, the operations that wait for it, and its TCP.
//
// Attached to a stream (io_attachment), it carries the stream's operations in the place of the
// backend. Before the switch it reads and writes TCP itself, without blocking, and lets the backend
// tell when the socket is ready; so no TCP send is ever in flight when a direction switches. After
// the switch TCP is only watched for its end. A waiting operation is found by looking (`look`,
// while the port is hot), or, once armed, by a doorbell, the end of TCP or of the link.
//
// What differs between systems is in a class of each: how bells go and come, whether a TCP send can
// be in flight all the same, what the end of TCP has to wait for.
//
// Threads: the port's owner. Lifetime: the stream's; `closing` lets go of slot and service.
#pragma once

#include "engine/operation.hpp"
#include "loopback/arena.hpp"
#include "loopback/switch_machine.hpp"

#include <fairway/result.hpp>

#include <memory>

namespace fairway::detail::shm {

class ring_view;
class service;

class channel : public io_attachment {
 public:
  channel(io_object& stream, service& where, const slot_use& use, side me);
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  virtual ~channel();

  const slot_use& use() const noexcept { return use_; }
  switch_machine& machine() noexcept { return machine_; }

  // --- of the service ---
  bool look() noexcept;        // completes what has come, without a system call while hot
  bool waits() const noexcept { return in_ != nullptr || out_ != nullptr; }
  // Waits for what only looking can find; else the kernel tells and it parks at once.
  bool hot() noexcept;
  virtual void arm() noexcept;
  virtual void disarm() noexcept;
  bool woken() noexcept;       // by the doorbell; true when there was something
  void link_ended() noexcept;

  // --- of the stream ---
  virtual result<void> shutdown(bool receive, bool send) noexcept;
  // As fast_path.hpp has them, with nothing in flight on that side.
  std::size_t write_now(const io_vec* from, unsigned count) noexcept;
  std::size_t read_now(const io_vec* into, unsigned count, std::size_t least) noexcept;
  // TCP for good, with nothing in flight. False: too late.
  bool leave() noexcept;

  // --- of a view ---
  void view_came_back() noexcept;

  // The service's list of channels that it looks at; null and false when it does not.
  channel* previous = nullptr;
  channel* following = nullptr;
  bool listed = false;
  std::uint64_t found_at = 0;  // the service's count when this channel last found something

 protected:
  struct watch final : handler_base {
    watch(channel& owner, function f, function d, wait_for side) noexcept;
    io_op op{op_kind::wait};
    channel* of;
  };

  // --- each system's ---
  // So many tokens of the peer were taken: it is to be woken.
  virtual void ring_peer(unsigned tokens) noexcept = 0;
  // The peer wrote what no correct peer writes.
  virtual void distrust_peer() noexcept = 0;
  // What `watch_in_` starts with after the switch; by default a wait for something to read.
  virtual void watch_tcp_end(io_op&) noexcept {}
  // Of bytes that TCP has just given: how many are the stream's; bells may follow them.
  virtual std::size_t without_bells(std::size_t bytes) noexcept { return bytes; }
  // After the switch TCP gave so many bytes. False: they are no bells.
  virtual bool bells_came(std::size_t) noexcept { return false; }
  virtual bool write_tcp(io_op& op) noexcept;
  virtual void await_tcp_out() noexcept { start_watch(watch_out_); }
  // `watch_out_` has ended; also after `close`.
  virtual void tcp_out_ended(error_code ec, std::size_t bytes) noexcept;
  virtual void cancel_held(io_op& op) noexcept;
  // The stream closes; both ends use the ring, the end is marked, TCP is closed next.
  virtual void end_tcp(const switch_machine::farewell& how) noexcept;
  // Lets go of the slot, which the peer has claimed or not.
  virtual void let_go(bool claimed) noexcept = 0;

  void end_held(io_op& op, error_code ec, std::size_t bytes) noexcept;
  void wait() noexcept;
  void start_watch(watch& which) noexcept;
  bool try_in(bool ask_tcp) noexcept;
  bool try_out(bool ask_tcp) noexcept;
  void look_at_tcp_end() noexcept;
  void tcp_gave(error_code ec, std::size_t bytes) noexcept;
  std::uint64_t space_wanted() const noexcept;
  way way_out() noexcept { return sending_ ? way::tcp : machine_.way_out(); }

  io_object& stream_;
  service* service_;           // null once closed
  slot_use use_;
  switch_machine machine_;
  io_op* in_ = nullptr;   // the held read-side operation
  io_op* out_ = nullptr;  // the held write-side operation
  watch watch_in_;
  watch watch_out_;
  bool rung_ = false;          // by the peer, since the last look
  bool sending_ = false;       // a TCP send is in flight: no switch before it has ended
  bool tcp_unread_ = false;    // TCP has bytes that nobody takes: its watch would only fire again

 private:
  static void on_in(handler_base*, io_op&);
  static void on_out(handler_base*, io_op&);
  static void discard_in(handler_base*, io_op&);
  static void discard_out(handler_base*, io_op&);

  void begin(io_op& op) noexcept;
  void close() noexcept;
  void watch_tcp_ways() noexcept;
  bool reads_ring() const noexcept;
  bool read_ring(io_op& op) noexcept;
  bool read_tcp(io_op& op) noexcept;
  bool give_verdict(io_op& op, verdict v) noexcept;
  void tell_moved() noexcept;
  std::size_t take(const io_vec* into, unsigned count) noexcept;
  bool take_block(io_op& op) noexcept;
  std::size_t show(io_op& op) noexcept;
  bool wait_beside_view(io_op& op) noexcept;
  bool part_from_view() noexcept;
  void count_read(std::size_t bytes) noexcept;
  void rest() noexcept;

  ring_view* view_ = nullptr;  // null until the first, and once closed
  unsigned reads_alone_ = 0;  // small ones, without a write between them
  bool rest_due_ = false;
  bool receive_shut_ = false;
  bool path_told_ = false;
  bool armed_ = true;  // as a fresh slot is
};

}  // namespace fairway::detail::shm
