// What a port has for its channels: the links of the port, and the looking.
//
// A channel that waits for its ring is looked at in every turn of the port while it is listed, and
// is not rung then. Before the port sleeps it looks for a while, then arms all of them, looks once
// more and sleeps. How long: the time that two wake-ups cost, because a peer that sleeps is woken
// first; half after each window that found nothing, not at all after four, whole again after a
// find; nothing on a machine with one processor. A bell after a short wait tells that looking might
// have been enough: it earns one window on trial. Trials that find nothing become rare, each twice
// as rare as the one before, so that two ends which share a processor, or whose waits are a little
// longer than any window, pay next to nothing for them. A channel that found nothing while the
// others found much is parked alone, so that a hot ring does not pay for a thousand idle ones.
//
// Threads: the port's owner. Lifetime: made with the first link, ended by the port.
#pragma once

#include "engine/poll_hook.hpp"
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
  void found_by_bell() noexcept;

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
  void look_fully() noexcept;

  // So many short waits, and after each trial that found nothing twice as many, until a trial.
  static constexpr unsigned trial_after_min = 1;
  static constexpr unsigned trial_after_max = 1024;

  port_core& core_;
  const unsigned process_;  // whose the links are
  channel* first_ = nullptr;  // channels that are looked at
  ring_view* views_ = nullptr;  // that are out
  std::uint64_t found_ = 0;   // looks that found something
  duration window_max_;
  duration window_;
  unsigned misses_ = 0;
  duration looked_{};  // in vain, before the sleep that follows
  duration waited_ = duration::max();  // looking and sleeping, before a bell
  unsigned short_waits_ = 0;           // since the last full window
  unsigned trial_after_ = trial_after_min;
  std::vector<std::shared_ptr<link>> links_;
  std::multimap<address, std::shared_ptr<link>> by_listener_;
};

}  // namespace fairway::detail::shm
