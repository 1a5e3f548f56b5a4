#include "loopback/offer_book.hpp"

#include <utility>

namespace fairway::detail::shm {

namespace {

// To look through a full book costs as much as it has offers: once for that part of it refused, so
// that a process which fills it does not hold up the port with each offer more.
constexpr std::size_t refused_part = 64;

}  // namespace

bool offer_book::add(const address_pair& ends, found_offer offer) {
  if (offers_.size() >= offers_max_) {
    if (refused_ == 0) drop_stale();
    if (offers_.size() >= offers_max_) {
      refused_ = refused_ < offers_max_ / refused_part ? refused_ + 1 : 0;
      return false;
    }
  }
  refused_ = 0;
  offers_.emplace(ends, std::move(offer));
  return true;
}

found_offer offer_book::take(const address_pair& ends) {
  found_offer found;
  unsigned live = 0;
  auto [at, last] = offers_.equal_range(ends);
  while (at != last) {
    if (!is_live(at->second.use)) {
      at = offers_.erase(at);
      continue;
    }
    if (++live == 1) found = at->second;
    ++at;
  }
  if (live != 1) return {};
  offers_.erase(ends);
  return found;
}

void offer_book::drop(const link* from) {
  std::erase_if(offers_, [from](const auto& entry) { return entry.second.from.get() == from; });
}

void offer_book::drop_stale() {
  std::erase_if(offers_, [](const auto& entry) { return !is_live(entry.second.use); });
}

}  // namespace fairway::detail::shm
