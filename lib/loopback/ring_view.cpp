#include "loopback/ring_view.hpp"

#include "loopback/channel.hpp"
#include "loopback/service.hpp"
#include "loopback/system.hpp"

#include <cassert>

namespace fairway::detail::shm {

ring_view::ring_view(channel& of, service& where, const slot_use& use, side me) noexcept
    : receive_block{where.core(),
                    [](receive_block& b) noexcept { static_cast<ring_view&>(b).come_back(); }},
      channel_{&of},
      service_{&where},
      use_{use},
      process_{system::process_number()},
      me_{me} {}

void ring_view::lend(std::byte* from) noexcept {
  assert(!out && channel_ != nullptr);
  out = true;
  bytes = from;
  service_->lent(*this);
}

bool ring_view::part() noexcept {
  channel_ = nullptr;
  if (out) return true;
  delete this;
  return false;
}

void ring_view::port_ended() noexcept {
  assert(out && channel_ == nullptr);
  service_ = nullptr;
  core = nullptr;
}

void ring_view::come_back() noexcept {
  assert(out);
  out = false;
  if (service_ != nullptr) service_->given_back(*this);
  if (channel_ != nullptr) return channel_->view_came_back();
  if (process_ == system::process_number()) {
    switch_machine::release(*use_.place(me_).slot, use_.generation, me_);
  }
  delete this;
}

}  // namespace fairway::detail::shm
