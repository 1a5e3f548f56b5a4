#include "loopback/link.hpp"
#include "loopback/service.hpp"

#include <utility>

namespace fairway::detail::shm {

void service::keep(std::shared_ptr<link> made) {
  forget_useless();
  links_.push_back(std::move(made));
}

std::shared_ptr<link> service::find(const address& listener, std::size_t ring_bytes) const {
  auto [at, last] = by_listener_.equal_range(listener);
  for (; at != last; ++at) {
    if (at->second->ring_bytes() == ring_bytes && at->second->takes_offers()) return at->second;
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

}  // namespace fairway::detail::shm
