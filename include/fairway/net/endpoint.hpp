// An address to listen on or to connect to: IPv4 or IPv6 with a port, or a unix-domain path.
//
//   auto e = fairway::endpoint::parse("[::1]:8080");   // or "127.0.0.1:80", "unix:/run/x.sock",
//                                                      // "unix:@name" (abstract, Linux)
//
// A value of 128 bytes: copied without allocation, compared, ordered, hashed, converted from and
// to Asio's TCP and UDP endpoints. The bytes inside are the system's own socket address in one
// canonical form: padding and the IPv6 flow label are zero, so equal addresses have equal bytes.
//
// Threads: as any value.
#pragma once

#include <fairway/result.hpp>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fairway {

enum class endpoint_family { v4, v6, local };

class endpoint {
 public:
  /// No endpoint has more bytes: a unix-domain address takes 110.
  static constexpr std::size_t native_bytes_max = 120;

  /// 0.0.0.0:0
  endpoint() noexcept;
  endpoint(const boost::asio::ip::address& address, std::uint16_t port) noexcept;
  endpoint(const boost::asio::ip::tcp::endpoint& other) noexcept;
  endpoint(const boost::asio::ip::udp::endpoint& other) noexcept;

  static endpoint any_v4(std::uint16_t port) noexcept;
  static endpoint any_v6(std::uint16_t port) noexcept;
  static endpoint loopback_v4(std::uint16_t port) noexcept;
  static endpoint loopback_v6(std::uint16_t port) noexcept;
  /// A file system path, or with a leading '@' an abstract name (Linux). A file whose name begins
  /// with '@' is written "./@name".
  /// Errors: invalid argument for an empty name or one with a zero byte; name too long above 107
  /// bytes.
  static result<endpoint> local(std::string_view path);

  /// The forms shown above; numbers only, nothing is looked up, nothing around them is skipped. An
  /// IPv6 scope is a number ("%2") or an interface that the system knows ("%eth0").
  /// Errors: invalid argument; for a unix-domain path those of `local`.
  static result<endpoint> parse(std::string_view text);

  /// From a socket address of the system. Bytes after the address are ignored.
  /// Errors: invalid argument for null, for a family that is none of the three, and for a size that
  /// does not fit it.
  static result<endpoint> from_native(const void* data, std::size_t size);

  endpoint_family family() const noexcept;
  bool is_ip() const noexcept { return family() != endpoint_family::local; }
  /// 127.0.0.0/8, ::1, and IPv4 loopback mapped into IPv6. False for unix-domain.
  bool is_loopback() const noexcept;
  /// Returns: 0.0.0.0 and port 0 for unix-domain; `with_port` changes nothing there.
  boost::asio::ip::address address() const noexcept;
  std::uint16_t port() const noexcept;
  endpoint with_port(std::uint16_t port) const noexcept;
  /// Returns: the unix-domain path, '@' first for an abstract name; empty for an unnamed socket
  /// and for IP.
  std::string path() const;

  /// What `parse` takes (IPv6 as in RFC 5952); "unix:" for an unnamed unix-domain socket. Control
  /// bytes of a path become "\xNN", so that a log line stays one line.
  std::string to_string() const;

  /// Returns: 0.0.0.0:0 for unix-domain.
  boost::asio::ip::tcp::endpoint tcp() const noexcept { return {address(), port()}; }
  boost::asio::ip::udp::endpoint udp() const noexcept { return {address(), port()}; }

  /// The system's socket address (`sockaddr`), aligned for it. A unix-domain path is followed by a
  /// zero byte also where the system's structure has no room for one.
  const void* data() const noexcept { return bytes_; }
  std::size_t size() const noexcept { return size_; }

  friend bool operator==(const endpoint& a, const endpoint& b) noexcept {
    return (a <=> b) == std::strong_ordering::equal;
  }
  /// IPv4 before IPv6 before unix-domain; then by address, scope and port, or by path.
  friend std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept;

 private:
  alignas(8) std::byte bytes_[native_bytes_max] = {};
  std::uint32_t size_ = 0;
};

static_assert(sizeof(endpoint) <= 128);

/// A host and a service, as people write them on a command line.
struct host_service {
  std::string host;     // a name or an address, without brackets
  std::string service;  // a name or a port number
};

/// Splits "host:service" and "[v6]:service"; nothing is looked up.
/// Errors: invalid argument when either is missing, when a colon is left over (an IPv6 address
/// without brackets), and for spaces and control bytes.
result<host_service> split_host_service(std::string_view text);

}  // namespace fairway

template <>
struct std::hash<fairway::endpoint> {
  std::size_t operator()(const fairway::endpoint& e) const noexcept {
    return std::hash<std::string_view>{}({static_cast<const char*>(e.data()), e.size()});
  }
};
