// What `async_receive` gives of a ring: a block whose bytes are where the peer has put them.
//
// A channel makes one when it first needs it and lends it again and again, one loan at a time.
// While it is out its room is not the writer's, and the slot goes to no other connection, however
// the channel ends: then whoever holds the view has it, with the mapping, and gives the slot back
// with it. In a child made by fork it is a view of what is the parent's, and gives nothing back.
//
// Threads: the port's owner; `give` of a block whose port is gone: any.
#pragma once

#include "engine/buffer_pool.hpp"
#include "loopback/arena.hpp"

namespace fairway::detail::shm {

class channel;
class service;

class ring_view final : public receive_block {
 public:
  ring_view(channel& of, service& where, const slot_use& use, side me) noexcept;
  ring_view(const ring_view&) = delete;
  ring_view& operator=(const ring_view&) = delete;

  void lend(std::byte* from) noexcept;
  // The channel ends. True: the view is out and gives the slot back; else it is deleted.
  bool part() noexcept;
  void port_ended() noexcept;

  // The service's list of those that are out.
  ring_view* previous = nullptr;
  ring_view* following = nullptr;

 private:
  void come_back() noexcept;

  channel* channel_;   // null once it has ended
  service* service_;   // null once the port has ended
  slot_use use_;
  const unsigned process_;
  const side me_;
};

}  // namespace fairway::detail::shm
