#include "loopback/address.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <cstring>

namespace fairway::detail::shm {

namespace ip = boost::asio::ip;

address address_of(const endpoint& e) noexcept {
  address made;
  if (!e.is_ip()) return made;
  const ip::address given = e.address();
  std::uint64_t family = 4;
  if (given.is_v4()) {
    const auto bytes = given.to_v4().to_bytes();
    std::memcpy(made.bytes, bytes.data(), bytes.size());
  } else if (given.to_v6().is_v4_mapped()) {
    const auto bytes = given.to_v6().to_bytes();
    std::memcpy(made.bytes, bytes.data() + 12, 4);
  } else {
    family = 6;
    const auto bytes = given.to_v6().to_bytes();
    std::memcpy(made.bytes, bytes.data(), bytes.size());
  }
  made.name = family << 32 | e.port();
  return made;
}

endpoint reached(const endpoint& target) noexcept {
  if (!target.is_ip() || !target.address().is_unspecified()) return target;
  return target.family() == endpoint_family::v4 ? endpoint::loopback_v4(target.port())
                                                : endpoint::loopback_v6(target.port());
}

address any_of(const address& a, unsigned family) noexcept {
  address any;
  any.name = std::uint64_t{family} << 32 | a.port();
  return any;
}

// By hand: a connect that asks writes up to three of them.
std::string address::text() const {
  std::string made;
  const auto put = [&made](std::uint64_t number, unsigned digits) {
    while (digits-- > 0) made += "0123456789abcdef"[number >> 4 * digits & 15];
  };
  made.reserve(39);
  put(name >> 32, 1);
  made += '-';
  put(bytes[0], 16);
  put(bytes[1], 16);
  made += '-';
  put(port(), 4);
  return made;
}

// Relaxed: the state of the slot is stored after them and loaded before and after them.
void store(address_words& to, const address& from) noexcept {
  to.name.store(from.name, std::memory_order_relaxed);
  to.bytes[0].store(from.bytes[0], std::memory_order_relaxed);
  to.bytes[1].store(from.bytes[1], std::memory_order_relaxed);
}

address load(const address_words& from) noexcept {
  address made;
  // Relaxed: as for store.
  made.name = from.name.load(std::memory_order_relaxed);
  made.bytes[0] = from.bytes[0].load(std::memory_order_relaxed);
  made.bytes[1] = from.bytes[1].load(std::memory_order_relaxed);
  return made;
}

std::size_t address_pair_hash::operator()(const address_pair& pair) const noexcept {
  // Ports differ most; the multiplier is 2^64 divided by the golden ratio.
  std::uint64_t mixed = pair.source.name * 0x9e37'79b9'7f4a'7c15 ^ pair.target.name;
  for (const std::uint64_t part : {pair.source.bytes[0], pair.source.bytes[1],
                                   pair.target.bytes[0], pair.target.bytes[1]}) {
    mixed = (mixed ^ part) * 0x9e37'79b9'7f4a'7c15;
  }
  return static_cast<std::size_t>(mixed ^ mixed >> 32);
}

}  // namespace fairway::detail::shm
