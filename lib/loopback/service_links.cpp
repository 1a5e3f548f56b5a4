#include "loopback/link.hpp"
#include "loopback/service.hpp"

#include <algorithm>
#include <utility>

namespace fairway::detail::shm {

void service::keep(std::shared_ptr<link> made) {
  forget_useless();
  links_.push_back(std::move(made));
}

std::shared_ptr<link> service::find(const address& listener, std::size_t ring_bytes) {
  auto [at, last] = by_listener_.equal_range(listener);
  for (; at != last; ++at) {
    const std::shared_ptr<link> known = at->second;
    if (known->ring_bytes() != ring_bytes || !known->takes_offers()) continue;
    // Its listener may have gone, and another one may have come.
    if (known->is_alive() && known->takes_offers()) return known;
  }
  return nullptr;
}

void service::add(const address& listener, std::shared_ptr<link> to) {
  by_listener_.emplace(listener, std::move(to));
}

void service::forget_useless() {
  std::erase_if(by_listener_, [](const auto& entry) { return !entry.second->takes_offers(); });
  std::erase_if(links_, [](const auto& l) { return l.use_count() == 1 && l->is_useless(); });
}

bool service::give_up_unused(const link& kept) {
  const auto given_up = std::count_if(links_.begin(), links_.end(), [&](const auto& l) {
    return l.get() != &kept && l->give_up_unused();
  });
  forget_useless();
  return given_up != 0;
}

}  // namespace fairway::detail::shm
