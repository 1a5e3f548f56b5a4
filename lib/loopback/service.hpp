// What a port has for its channels: the links of the port, and the looking.
//
// A channel that waits for its ring is looked at in every turn of the port while it is listed, and
// is not rung then. Before the port sleeps it looks for a while, then arms all of them, looks once
// more and sleeps. How long at most: the time that two wake-ups cost, because a peer that sleeps is
// woken first; nothing on a machine with one processor. The rest is engine/poll_window.hpp. A
// channel that found nothing while the others found much is parked alone, so that a hot ring does
// not pay for a thousand idle ones.
//
// Threads: the port's owner. Lifetime: made with the first link, ended by the port.
#pragma once

#include "engine/poll_hook.hpp"
#include "engine/poll_window.hpp"
#include "engine/port_core.hpp"
#include "loopback/address.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace fairway::detail::shm {

class channel;
class link;
class ring_view;

class service final : public poll_hook {
 public:
  // The port's, made when it has none. Throws std::bad_alloc.
  static service& of(port_core& core);

  port_core& core() noexcept { return core_; }
  // False in a child made by fork: what is shared is the parent's and its peer's.
  bool is_own() const noexcept;
  void add(channel& waiting) noexcept;
  void remove(channel& waiting) noexcept;
  void park_one(channel& waiting) noexcept;
  // A bell brought something to a channel, which looking might have found.
  void found_by_bell() noexcept { window_.woken(); }

  // Views that are out, to be told when the port ends.
  void lent(ring_view& view) noexcept;
  void given_back(ring_view& view) noexcept;

  // Keeps a link alive until its port ends or it is of no more use.
  void keep(std::shared_ptr<link> made);
  // The link to the listener at that address with rings of that size; null: none yet.
  std::shared_ptr<link> find(const address& listener, std::size_t ring_bytes);
  void add(const address& listener, std::shared_ptr<link> to);
  void forget_useless();
  // For more memory: links that have some which no connection uses end, but for `kept`. Returns
  // whether there were any.
  bool give_up_unused(const link& kept);

 private:
  explicit service(port_core& core);
  ~service();
  bool look_at_all() noexcept;
  bool park_all() noexcept;

  port_core& core_;
  const unsigned process_;  // whose the links are
  channel* first_ = nullptr;  // channels that are looked at
  ring_view* views_ = nullptr;  // that are out
  std::uint64_t found_ = 0;   // looks that found something
  poll_window window_;
  std::vector<std::shared_ptr<link>> links_;
  std::multimap<address, std::shared_ptr<link>> by_listener_;
};

}  // namespace fairway::detail::shm
