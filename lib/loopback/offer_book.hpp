// The acceptor's offers that no connection has matched yet.
//
// Two live offers for one pair of endpoints: neither counts, until both are gone. Stale offers
// (revoked, or their slot has gone on) are dropped when they are met and, all, when the book is
// full; a full book forgets nothing that is live, it takes no more, and looks for stale ones again
// after it has refused some.
//
// Threads: one, the port's.
#pragma once

#include "loopback/arena.hpp"

#include <cstddef>
#include <unordered_map>

namespace fairway::detail::shm {

class link;

struct found_offer {
  slot_use use;
  std::shared_ptr<link> from;  // null in tests of the book alone
};

class offer_book {
 public:
  explicit offer_book(std::size_t offers_max) noexcept : offers_max_{offers_max} {}

  // False: the book is full, the offer will not be found.
  bool add(const address_pair& ends, found_offer offer);
  // The one live offer for these ends; it is no longer in the book.
  found_offer take(const address_pair& ends);
  // Offers of a process that has gone.
  void drop(const link* from);
  std::size_t size() const noexcept { return offers_.size(); }

 private:
  void drop_stale();

  std::size_t offers_max_;
  std::size_t refused_ = 0;  // since stale ones were looked for
  std::unordered_multimap<address_pair, found_offer, address_pair_hash> offers_;
};

}  // namespace fairway::detail::shm
