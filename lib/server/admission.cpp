#include "server/admission.hpp"

#include "net/socket.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>

namespace fairway::detail {

namespace {

// A client of IPv4 is the same one when it comes by a listener of both families.
boost::asio::ip::address peer_of(const endpoint& remote) {
  namespace ip = boost::asio::ip;
  const ip::address address = remote.address();
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return ip::make_address_v4(ip::v4_mapped, address.to_v6());
}

}  // namespace

admission::admission(const server_limits& limits) noexcept
    : most_{limits.connections != 0 ? limits.connections
                                    : std::max<std::size_t>(1, sockets::handles_max() / 4 * 3)},
      per_peer_{limits.connections_per_peer != 0 ? limits.connections_per_peer : most_} {}

std::size_t admission::open() const {
  std::lock_guard lock{mutex_};
  return open_;
}

void admission::count(const endpoint& remote) {
  ++open_;
  if (counted(remote)) ++peers_[peer_of(remote)];
}

admission::verdict admission::enter(const endpoint& remote) {
  std::lock_guard lock{mutex_};
  if (counted(remote)) {
    const auto found = peers_.find(peer_of(remote));
    if (found != peers_.end() && found->second >= per_peer_) return verdict::peer;
  }
  if (open_ >= most_) return verdict::full;
  count(remote);
  return verdict::admitted;
}

void admission::enter_over_limit(const endpoint& remote) {
  std::lock_guard lock{mutex_};
  count(remote);
}

void admission::leave(const endpoint& remote) {
  std::lock_guard lock{mutex_};
  assert(open_ != 0);
  --open_;
  if (!counted(remote)) return;
  const auto found = peers_.find(peer_of(remote));
  if (found != peers_.end() && --found->second == 0) peers_.erase(found);
}

accept_pacer::accept_pacer(std::uint32_t per_second) noexcept
    : rate_{static_cast<double>(std::max<std::uint32_t>(per_second, 1))},
      depth_{std::max(1.0, rate_ / 10)},
      tokens_{depth_} {}

port_clock::duration accept_pacer::take(port_clock::time_point now) noexcept {
  using seconds = std::chrono::duration<double>;
  tokens_ = std::min(depth_, tokens_ + seconds(now - last_).count() * rate_);
  last_ = now;
  if (tokens_ >= 1) {
    tokens_ -= 1;
    return {};
  }
  return std::chrono::ceil<port_clock::duration>(seconds{(1 - tokens_) / rate_});
}

}  // namespace fairway::detail
