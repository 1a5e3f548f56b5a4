// A channel whose bells are bytes on its own TCP connection.
//
// A bell is a token: each armed word of an end is one. Whoever exchanges an armed word to 0 sends
// one byte; the owner of the word disarms by an exchange too, and where it finds the word gone it
// is owed a byte. Until that has come, or TCP has ended, it neither arms again nor closes TCP. So
// at most two bytes are on their way to an end (one for data, one for space), and none is left
// behind by a close: an unread byte would turn the close into a reset, which loses what TCP still
// carries. After a close both words are disarmed, and nobody rings.
//
// Bells come after the switch of their sender. So a bell waits for a TCP send that is in flight,
// and a writer that waits for space in the ring while its peer has not switched looks now and then.
//
// TCP sends before the switch are overlapped, because this system tells nobody when a socket can be
// written. Their buffers are the user's: an operation ends only after its send.
//
// Threads and lifetime: as channel.
#pragma once

#include "loopback/channel.hpp"
#include "loopback/windows/section.hpp"

namespace fairway::detail::shm {

struct lingering;

class bell_channel final : public channel {
 public:
  // `name` keeps the connector's section to be found until it has been claimed.
  bell_channel(io_object& stream, service& where, const slot_use& use, side me,
               system::kernel_handle name);
  ~bell_channel() override;

  void arm() noexcept override;
  void disarm() noexcept override;
  result<void> shutdown(bool receive, bool send) noexcept override;

 private:
  void ring_peer(unsigned tokens) noexcept override;
  void distrust_peer() noexcept override {}  // nothing else is shared with it
  std::size_t without_bells(std::size_t bytes) noexcept override;
  bool bells_came(std::size_t bytes) noexcept override;
  bool write_tcp(io_op& op) noexcept override;
  void await_tcp_out() noexcept override {}
  void watch_tcp_end(io_op& op) noexcept override;
  void tcp_out_ended(error_code ec, std::size_t bytes) noexcept override;
  void cancel_held(io_op& op) noexcept override;
  void end_tcp(const switch_machine::farewell& how) noexcept override;
  void let_go(bool claimed) noexcept override;

  void take_tokens_back() noexcept;
  void send_bells() noexcept;
  void look_again_later() noexcept;
  void start_send(io_vec* pieces, unsigned count) noexcept;
  void end_send(error_code ec, std::size_t bytes) noexcept;
  void forget_name() noexcept;

  system::kernel_handle name_;
  lingering* lingering_ = nullptr;  // made with the first bytes that go by TCP
  unsigned owed_ = 0;         // bells that the peer has yet to send
  unsigned due_ = 0;          // bells that this end has yet to send
  io_vec bell_{};             // of an overlapped send of bells
  std::byte came_[8];         // by the overlapped receive that waits for bells
  bool data_armed_ = true;    // as a fresh slot is
  bool space_armed_ = false;
  bool bells_in_flight_ = false;
  bool shutdown_due_ = false;  // once the send in flight has ended
};

}  // namespace fairway::detail::shm
