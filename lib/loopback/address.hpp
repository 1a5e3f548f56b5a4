// An IP endpoint as the segment has it: family, port and address in three numbers.
//
// IPv4 mapped into IPv6 becomes IPv4, so that both ends of a connection to a dual-stack listener
// write the same. Plain values; any thread.
#pragma once

#include "loopback/layout.hpp"

#include <fairway/net/endpoint.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

namespace fairway::detail::shm {

struct address {
  std::uint64_t name = 0;  // family << 32 | port; 0: none
  std::uint64_t bytes[2] = {};

  auto operator<=>(const address&) const = default;
  std::uint16_t port() const noexcept { return static_cast<std::uint16_t>(name); }
  // "4-7f000001-1f90": part of the name of a rendezvous.
  std::string text() const;
};

// None for a unix-domain endpoint.
address address_of(const endpoint& e) noexcept;
// Where a connect to `target` arrives: the any address reaches the loopback address.
endpoint reached(const endpoint& target) noexcept;
// The any address of the family and port of `a`.
address any_of(const address& a, unsigned family) noexcept;

void store(address_words& to, const address& from) noexcept;
address load(const address_words& from) noexcept;

struct address_pair {
  address source;
  address target;
  bool operator==(const address_pair&) const = default;
};
struct address_pair_hash {
  std::size_t operator()(const address_pair& pair) const noexcept;
};

}  // namespace fairway::detail::shm
