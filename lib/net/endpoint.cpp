#include <fairway/net/endpoint.hpp>

#include "net/local_address.hpp"

#include <boost/asio/detail/socket_types.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace fairway {

namespace {

using boost::asio::ip::tcp;

constexpr std::string_view local_prefix = "unix:";

boost::system::error_code invalid() noexcept { return boost::asio::error::invalid_argument; }

result<std::uint16_t> parse_port(std::string_view text) {
  unsigned value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || text.empty() || value > 65535) return invalid();
  return static_cast<std::uint16_t>(value);
}

}  // namespace

endpoint::endpoint() noexcept : endpoint{boost::asio::ip::address_v4::any(), 0} {}

endpoint::endpoint(const boost::asio::ip::address& address, std::uint16_t port) noexcept
    : endpoint{tcp::endpoint{address, port}} {}

endpoint::endpoint(const tcp::endpoint& other) noexcept
    : size_{static_cast<std::uint32_t>(other.size())} {
  std::memcpy(bytes_, other.data(), other.size());
}

endpoint::endpoint(const boost::asio::ip::udp::endpoint& other) noexcept
    : endpoint{tcp::endpoint{other.address(), other.port()}} {}

endpoint endpoint::any_v4(std::uint16_t port) noexcept {
  return {boost::asio::ip::address_v4::any(), port};
}
endpoint endpoint::any_v6(std::uint16_t port) noexcept {
  return {boost::asio::ip::address_v6::any(), port};
}
endpoint endpoint::loopback_v4(std::uint16_t port) noexcept {
  return {boost::asio::ip::address_v4::loopback(), port};
}
endpoint endpoint::loopback_v6(std::uint16_t port) noexcept {
  return {boost::asio::ip::address_v6::loopback(), port};
}

result<endpoint> endpoint::local(std::string_view path) {
  if (path.empty() || path == "@" || path.find('\0') != std::string_view::npos) return invalid();
  endpoint made;
  std::memset(made.bytes_, 0, sizeof made.bytes_);
  made.size_ = static_cast<std::uint32_t>(detail::make_local_address(path, made.bytes_));
  if (made.size_ == 0) return invalid();
  return made;
}

result<endpoint> endpoint::parse(std::string_view text) {
  if (text.starts_with(local_prefix)) return local(text.substr(local_prefix.size()));
  const bool bracketed = text.starts_with('[');
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return invalid();
  std::string_view host = text.substr(0, colon);
  if (bracketed) {
    if (host.size() < 2 || host.back() != ']') return invalid();
    host = host.substr(1, host.size() - 2);
  }
  BOOST_OUTCOME_TRY(const std::uint16_t port, parse_port(text.substr(colon + 1)));
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(std::string{host}, ec);
  if (ec || address.is_v6() != bracketed) return invalid();
  return endpoint{address, port};
}

result<endpoint> endpoint::from_native(const void* data, std::size_t size) {
  if (data == nullptr || size < sizeof(decltype(sockaddr::sa_family)) || size > native_bytes_max) {
    return invalid();
  }
  endpoint made;
  std::memset(made.bytes_, 0, sizeof made.bytes_);
  std::memcpy(made.bytes_, data, size);
  made.size_ = static_cast<std::uint32_t>(size);
  sockaddr header{};
  std::memcpy(&header, data, std::min(size, sizeof header));
  switch (header.sa_family) {
    case AF_INET:
      if (size < sizeof(sockaddr_in)) return invalid();
      made.size_ = sizeof(sockaddr_in);
      break;
    case AF_INET6:
      if (size < sizeof(sockaddr_in6)) return invalid();
      made.size_ = sizeof(sockaddr_in6);
      break;
    case AF_UNIX: break;
    default: return invalid();
  }
  return made;
}

endpoint_family endpoint::family() const noexcept {
  sockaddr header{};
  std::memcpy(&header, bytes_, sizeof header);
  switch (header.sa_family) {
    case AF_INET: return endpoint_family::v4;
    case AF_INET6: return endpoint_family::v6;
    default: return endpoint_family::local;
  }
}

boost::asio::ip::address endpoint::address() const noexcept {
  if (!is_ip()) return {};
  tcp::endpoint native;
  std::memcpy(native.data(), bytes_, size_);
  return native.address();
}

std::uint16_t endpoint::port() const noexcept {
  if (!is_ip()) return 0;
  tcp::endpoint native;
  std::memcpy(native.data(), bytes_, size_);
  return native.port();
}

endpoint endpoint::with_port(std::uint16_t port) const noexcept {
  if (!is_ip()) return *this;
  tcp::endpoint native;
  std::memcpy(native.data(), bytes_, size_);
  native.port(port);
  return native;
}

bool endpoint::is_loopback() const noexcept {
  if (!is_ip()) return false;
  const auto a = address();
  if (a.is_v6() && a.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, a.to_v6()).is_loopback();
  }
  return a.is_loopback();
}

std::string endpoint::path() const {
  return is_ip() ? std::string{} : detail::local_address_path(bytes_, size_);
}

std::string endpoint::to_string() const {
  if (!is_ip()) return std::string{local_prefix} + path();
  const auto a = address();
  const std::string host = a.is_v6() ? "[" + a.to_string() + "]" : a.to_string();
  return host + ":" + std::to_string(port());
}

std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept {
  if (a.family() != b.family()) return a.family() <=> b.family();
  if (!a.is_ip()) {
    const int order = std::memcmp(a.bytes_, b.bytes_, std::min(a.size_, b.size_));
    return order != 0 ? order <=> 0 : a.size_ <=> b.size_;
  }
  const auto left = a.address();
  const auto right = b.address();
  if (left < right) return std::strong_ordering::less;
  if (right < left) return std::strong_ordering::greater;
  return a.port() <=> b.port();
}

result<host_service> split_host_service(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) return invalid();
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return invalid();  // an IPv6 address without brackets: where its port begins is a guess
  }
  if (host.empty()) return invalid();
  return host_service{std::string{host}, std::string{text.substr(colon + 1)}};
}

}  // namespace fairway
