#include <fairway/net/endpoint.hpp>

#include <boost/asio/detail/socket_types.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace fairway {

namespace {

namespace ip = boost::asio::ip;

constexpr std::size_t family_bytes = sizeof(sockaddr_in::sin_family);
// Linux and Windows agree on `sockaddr_un`: the family, then 108 bytes of path.
constexpr std::size_t path_room = 108;
constexpr std::size_t local_bytes_max = family_bytes + path_room;
static_assert(offsetof(sockaddr_in, sin_family) == 0 && offsetof(sockaddr_in6, sin6_family) == 0);
static_assert(local_bytes_max < endpoint::native_bytes_max);

boost::system::error_code invalid() noexcept { return boost::asio::error::invalid_argument; }

template <class T>
T load(const void* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

int family_of(const void* address) noexcept {
  return load<decltype(sockaddr_in::sin_family)>(address);
}

std::uint16_t from_network(std::uint16_t value) noexcept {
  const auto bytes = load<std::array<std::uint8_t, 2>>(&value);
  return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
}

// The same swap, or none, in the other direction.
std::uint16_t to_network(std::uint16_t value) noexcept { return from_network(value); }

// A path ends at its first zero byte; an abstract name, which begins with one, has no end but its
// size. `getsockname` counts the terminating zero of a path that fills the structure (111 bytes).
std::size_t canonical_local_bytes(const std::byte* address, std::size_t size) noexcept {
  if (size <= family_bytes || address[family_bytes] == std::byte{0}) return size;
  const std::byte* path = address + family_bytes;
  const std::size_t room = std::min(size - family_bytes, path_room);
  const auto length = static_cast<std::size_t>(std::find(path, path + room, std::byte{0}) - path);
  return family_bytes + std::min(length + 1, path_room);
}

}  // namespace

endpoint::endpoint() noexcept : endpoint{ip::address_v4::any(), 0} {}

endpoint::endpoint(const ip::address& address, std::uint16_t port) noexcept {
  if (address.is_v4()) {
    const auto host = address.to_v4().to_bytes();
    sockaddr_in native{};
    native.sin_family = AF_INET;
    native.sin_port = to_network(port);
    std::memcpy(&native.sin_addr, host.data(), host.size());
    std::memcpy(bytes_, &native, size_ = sizeof native);
  } else {
    const auto host = address.to_v6().to_bytes();
    sockaddr_in6 native{};
    native.sin6_family = AF_INET6;
    native.sin6_port = to_network(port);
    native.sin6_scope_id = static_cast<decltype(native.sin6_scope_id)>(address.to_v6().scope_id());
    std::memcpy(&native.sin6_addr, host.data(), host.size());
    std::memcpy(bytes_, &native, size_ = sizeof native);
  }
}

endpoint::endpoint(const ip::tcp::endpoint& other) noexcept
    : endpoint{other.address(), other.port()} {}

endpoint::endpoint(const ip::udp::endpoint& other) noexcept
    : endpoint{other.address(), other.port()} {}

endpoint endpoint::any_v4(std::uint16_t port) noexcept { return {ip::address_v4::any(), port}; }

endpoint endpoint::any_v6(std::uint16_t port) noexcept { return {ip::address_v6::any(), port}; }

endpoint endpoint::loopback_v4(std::uint16_t port) noexcept {
  return {ip::address_v4::loopback(), port};
}

endpoint endpoint::loopback_v6(std::uint16_t port) noexcept {
  return {ip::address_v6::loopback(), port};
}

result<endpoint> endpoint::local(std::string_view path) {
  if (path.empty() || path == "@" || path.find('\0') != std::string_view::npos) return invalid();
  const bool abstract = path.front() == '@';
  // A file's name keeps its terminating zero; an abstract one has a zero instead of its '@'.
  if (path.size() >= path_room) {
    return boost::system::error_code{boost::asio::error::name_too_long};
  }
  endpoint made;
  std::fill(std::begin(made.bytes_), std::end(made.bytes_), std::byte{0});
  const auto family = static_cast<decltype(sockaddr_in::sin_family)>(AF_UNIX);
  std::memcpy(made.bytes_, &family, sizeof family);
  std::memcpy(made.bytes_ + family_bytes, path.data(), path.size());
  if (abstract) made.bytes_[family_bytes] = std::byte{0};
  made.size_ = static_cast<std::uint32_t>(family_bytes + path.size() + (abstract ? 0 : 1));
  return made;
}

result<endpoint> endpoint::from_native(const void* data, std::size_t size) {
  if (data == nullptr || size < family_bytes) return invalid();
  switch (family_of(data)) {
    case AF_INET: {
      if (size < sizeof(sockaddr_in)) return invalid();
      const auto native = load<sockaddr_in>(data);
      const auto host = load<ip::address_v4::bytes_type>(&native.sin_addr);
      return endpoint{ip::address_v4{host}, from_network(native.sin_port)};
    }
    case AF_INET6: {
      if (size < sizeof(sockaddr_in6)) return invalid();
      const auto native = load<sockaddr_in6>(data);
      const auto host = load<ip::address_v6::bytes_type>(&native.sin6_addr);
      return endpoint{ip::address_v6{host, native.sin6_scope_id}, from_network(native.sin6_port)};
    }
    case AF_UNIX: {
      if (size > local_bytes_max + 1) return invalid();
      const auto* given = static_cast<const std::byte*>(data);
      const std::size_t canonical = canonical_local_bytes(given, std::min(size, local_bytes_max));
      endpoint made;
      std::fill(std::begin(made.bytes_), std::end(made.bytes_), std::byte{0});
      // A path may be given without its terminating zero, which is then not there to be copied.
      std::memcpy(made.bytes_, given, std::min(size, canonical));
      size = canonical;
      made.size_ = static_cast<std::uint32_t>(size);
      return made;
    }
    default: return invalid();
  }
}

endpoint_family endpoint::family() const noexcept {
  switch (family_of(bytes_)) {
    case AF_INET: return endpoint_family::v4;
    case AF_INET6: return endpoint_family::v6;
    default: return endpoint_family::local;
  }
}

ip::address endpoint::address() const noexcept {
  switch (family()) {
    case endpoint_family::v4: {
      const auto native = load<sockaddr_in>(bytes_);
      return ip::address_v4{load<ip::address_v4::bytes_type>(&native.sin_addr)};
    }
    case endpoint_family::v6: {
      const auto native = load<sockaddr_in6>(bytes_);
      return ip::address_v6{load<ip::address_v6::bytes_type>(&native.sin6_addr),
                            native.sin6_scope_id};
    }
    case endpoint_family::local: break;
  }
  return {};
}

std::uint16_t endpoint::port() const noexcept {
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  if (!is_ip()) return 0;
  return from_network(load<std::uint16_t>(bytes_ + offsetof(sockaddr_in, sin_port)));
}

endpoint endpoint::with_port(std::uint16_t port) const noexcept {
  return is_ip() ? endpoint{address(), port} : *this;
}

bool endpoint::is_loopback() const noexcept {
  if (!is_ip()) return false;
  const ip::address host = address();
  if (host.is_v6() && host.to_v6().is_v4_mapped()) {
    return ip::make_address_v4(ip::v4_mapped, host.to_v6()).is_loopback();
  }
  return host.is_loopback();
}

std::string endpoint::path() const {
  if (is_ip() || size_ <= family_bytes) return {};
  const char* name = reinterpret_cast<const char*>(bytes_ + family_bytes);
  if (name[0] != '\0') return name;  // the zero after it lies within `bytes_`
  return "@" + std::string(name + 1, size_ - family_bytes - 1);
}

std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept {
  if (const auto order = a.family() <=> b.family(); order != 0) return order;
  if (!a.is_ip()) {
    const int order = std::memcmp(a.bytes_, b.bytes_, std::min(a.size_, b.size_));
    return order != 0 ? order <=> 0 : a.size_ <=> b.size_;
  }
  const ip::address left = a.address();
  const ip::address right = b.address();
  if (left < right) return std::strong_ordering::less;
  if (right < left) return std::strong_ordering::greater;
  return a.port() <=> b.port();
}

}  // namespace fairway
