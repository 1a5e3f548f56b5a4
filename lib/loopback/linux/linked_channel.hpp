// A channel whose bells go by the link of the two processes.
//
// Threads and lifetime: as channel.
#pragma once

#include "loopback/channel.hpp"

#include <memory>

namespace fairway::detail::shm {

class link;

class linked_channel final : public channel {
 public:
  linked_channel(io_object& stream, service& where, std::shared_ptr<link> by, const slot_use& use,
                 side me);

 private:
  void ring_peer(unsigned tokens) noexcept override;
  void distrust_peer() noexcept override;
  void let_go(bool claimed) noexcept override;

  std::shared_ptr<link> link_;  // null once closed
};

}  // namespace fairway::detail::shm
