#include "loopback/linux/linked_channel.hpp"

#include "loopback/link.hpp"

#include <utility>

namespace fairway::detail::shm {

linked_channel::linked_channel(io_object& stream, service& where, std::shared_ptr<link> by,
                               const slot_use& use, side me)
    : channel{stream, where, use, me}, link_{std::move(by)} {
  link_->enter(*this);
}

// A bell too many is harmless, and one is as good as two.
void linked_channel::ring_peer(unsigned) noexcept {
  if (link_ != nullptr) link_->ring(use());
}

void linked_channel::distrust_peer() noexcept { link_->distrust(); }

void linked_channel::let_go(bool claimed) noexcept {
  link_->leave(*this, claimed);
  link_ = nullptr;
}

}  // namespace fairway::detail::shm
