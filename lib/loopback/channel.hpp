// The fast path of one stream: its end of a slot, the operations that wait for it, and its TCP.
//
// Attached to a stream (io_attachment), it carries the stream's operations in the place of the
// backend. Before the switch it reads and writes TCP itself, without blocking, and lets the backend
// tell when the socket is ready; so no TCP send is ever in flight when a direction switches. After
// the switch TCP is only watched for its end. A waiting operation is found by looking (`look`,
// while the port is hot), or, once armed, by a doorbell, the end of TCP or of the link.
//
// Threads: the port's owner. Lifetime: the stream's; `closing` lets go of slot, link and service.
#pragma once

#include "engine/operation.hpp"
#include "loopback/arena.hpp"
#include "loopback/switch_machine.hpp"

#include <fairway/result.hpp>

#include <memory>

namespace fairway::detail::shm {

class link;
class service;

class channel final : public io_attachment {
 public:
  channel(io_object& stream, service& where, std::shared_ptr<link> by, const slot_use& use,
          side me);
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  ~channel();

  const slot_use& use() const noexcept { return use_; }
  switch_machine& machine() noexcept { return machine_; }

  // --- of the service ---
  bool look() noexcept;        // completes what has come, without a system call while hot
  bool waits() const noexcept { return in_ != nullptr || out_ != nullptr; }
  // Waits for what only looking can find; else the kernel tells and it parks at once.
  bool hot() noexcept;
  void arm() noexcept;
  void disarm() noexcept;
  bool woken() noexcept;       // by the doorbell; true when there was something
  void link_ended() noexcept;

  // --- of the stream ---
  result<void> shutdown(bool receive, bool send) noexcept;
  // TCP for good, with nothing in flight. False: too late.
  bool leave() noexcept;

  // The service's list of channels that it looks at; null and false when it does not.
  channel* previous = nullptr;
  channel* following = nullptr;
  bool listed = false;
  std::uint64_t found_at = 0;  // the service's count when this channel last found something

 private:
  struct watch final : handler_base {
    watch(channel& owner, function f, wait_for side) noexcept;
    io_op op{op_kind::wait};
    channel* of;
  };
  static void on_in(handler_base*, io_op&);
  static void on_out(handler_base*, io_op&);
  static void on_discard(handler_base*, io_op&);

  void begin(io_op& op) noexcept;
  void end_held(io_op& op, error_code ec, std::size_t bytes) noexcept;
  void close() noexcept;
  void wait() noexcept;
  void start_watch(watch& which) noexcept;
  void watch_tcp_ways() noexcept;
  bool reads_ring() const noexcept;
  bool try_in(bool ask_tcp) noexcept;
  bool try_out(bool ask_tcp) noexcept;
  bool read_ring(io_op& op) noexcept;
  bool read_tcp(io_op& op) noexcept;
  bool write_tcp(io_op& op) noexcept;
  bool give_verdict(io_op& op, verdict v) noexcept;
  void look_at_tcp_end() noexcept;
  void tell_moved() noexcept;
  void ring_peer() noexcept;
  std::uint64_t space_wanted() const noexcept;

  io_object& stream_;
  service* service_;           // null once closed
  std::shared_ptr<link> link_;  // null once closed
  slot_use use_;
  switch_machine machine_;
  io_op* in_ = nullptr;   // the held read-side operation
  io_op* out_ = nullptr;  // the held write-side operation
  watch watch_in_;
  watch watch_out_;
  bool tcp_unread_ = false;    // TCP has bytes and nobody reads: its watch would fire again at once
  bool receive_shut_ = false;
  bool path_told_ = false;
  bool armed_ = true;  // as a fresh slot is
};

}  // namespace fairway::detail::shm
