// An address to listen on or to connect to: IPv4 or IPv6 with a port, or a unix-domain path.
//
//   auto e = fairway::endpoint::parse("[::1]:8080");   // or "127.0.0.1:80", "unix:/run/x.sock",
//                                                      // "unix:@name" (abstract, Linux)
//
// A value of 128 bytes: copied without allocation, compared, ordered, hashed, and converted from
// and to Asio's TCP and UDP endpoints. The bytes inside are the system's own socket address.
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
  static constexpr std::size_t native_bytes_max = 120;

  // 0.0.0.0:0
  endpoint() noexcept;
  endpoint(const boost::asio::ip::address& address, std::uint16_t port) noexcept;
  endpoint(const boost::asio::ip::tcp::endpoint& other) noexcept;
  endpoint(const boost::asio::ip::udp::endpoint& other) noexcept;

  static endpoint any_v4(std::uint16_t port) noexcept;
  static endpoint any_v6(std::uint16_t port) noexcept;
  static endpoint loopback_v4(std::uint16_t port) noexcept;
  static endpoint loopback_v6(std::uint16_t port) noexcept;
  // A file system path, or with a leading '@' an abstract name (Linux).
  // Errors: invalid argument for an empty name, one with a zero byte, or one of over 107 bytes.
  static result<endpoint> local(std::string_view path);

  // The forms shown above; numbers only, nothing is looked up. IPv6 scopes ("%2", "%eth0") are
  // taken where the system knows them.
  // Errors: invalid argument.
  static result<endpoint> parse(std::string_view text);

  // From a socket address of the system. Errors: invalid argument for a family that is none of the
  // three or a size that does not fit it.
  static result<endpoint> from_native(const void* data, std::size_t size);

  endpoint_family family() const noexcept;
  bool is_ip() const noexcept { return family() != endpoint_family::local; }
  // 127.0.0.0/8, ::1, and IPv4 loopback mapped into IPv6. False for unix-domain.
  bool is_loopback() const noexcept;
  // Preconditions: is_ip(); otherwise 0.0.0.0 and 0.
  boost::asio::ip::address address() const noexcept;
  std::uint16_t port() const noexcept;
  endpoint with_port(std::uint16_t port) const noexcept;
  // Preconditions: not is_ip(); otherwise empty. Abstract names begin with '@'; empty: unnamed.
  std::string path() const;

  // What `parse` takes; "unix:" for an unnamed unix-domain socket.
  std::string to_string() const;

  boost::asio::ip::tcp::endpoint tcp() const noexcept { return {address(), port()}; }
  boost::asio::ip::udp::endpoint udp() const noexcept { return {address(), port()}; }

  // The system's socket address.
  const void* data() const noexcept { return bytes_; }
  std::size_t size() const noexcept { return size_; }

  friend bool operator==(const endpoint& a, const endpoint& b) noexcept {
    return (a <=> b) == std::strong_ordering::equal;
  }
  friend std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept;

 private:
  alignas(8) std::byte bytes_[native_bytes_max] = {};
  std::uint32_t size_ = 0;
};

// "host:service", "[v6]:service": not looked up and not checked further.
struct host_service {
  std::string host;
  std::string service;
};
// Errors: invalid argument when one of both is missing.
result<host_service> split_host_service(std::string_view text);

}  // namespace fairway

template <>
struct std::hash<fairway::endpoint> {
  std::size_t operator()(const fairway::endpoint& e) const noexcept {
    return std::hash<std::string_view>{}({static_cast<const char*>(e.data()), e.size()});
  }
};
