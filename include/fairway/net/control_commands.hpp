// The control codes that have a type. Each is a small value: what it asks, and the answer's type.
//
//   command                     Windows                          Linux
//   loopback_fast_path          SIO_LOOPBACK_FAST_PATH           not supported
//   keepalive                   SIO_KEEPALIVE_VALS               SO_KEEPALIVE, TCP_KEEP*
//   tcp_information             SIO_TCP_INFO                     TCP_INFO
//   bytes_readable              FIONREAD                         SIOCINQ
//   bytes_unsent                SIO_TCP_INFO (bytes in flight)   SIOCOUTQ
//   address_list                SIO_ADDRESS_LIST_QUERY           getifaddrs
//   address_list_change         SIO_ADDRESS_LIST_CHANGE          netlink; waits for it
//   routing_interface           SIO_ROUTING_INTERFACE_QUERY      a connected datagram socket
//   routing_interface_change    SIO_ROUTING_INTERFACE_CHANGE     netlink; waits for it
//   ideal_send_backlog(_change) as named; the change waits       not supported
//   connect_retries             SIO_TCP_INITIAL_RTO              TCP_SYNCNT
//   flush                       SIO_FLUSH                        not supported
//   extension_function          as named                         not supported
//   base_handle                 SIO_BASE_HANDLE                  not supported
//
// Every answer has `bytes`, the byte count that the system reported. See control.hpp for the calls.
#pragma once

#include <fairway/net/detail/control_request.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/result.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace fairway {

/// The answer of a command that only does something.
struct control_done {
  std::size_t bytes = 0;
};
/// The answer of a command that tells one number.
struct control_value {
  std::uint64_t value = 0;
  std::size_t bytes = 0;
};

/// SIO_LOOPBACK_FAST_PATH, by hand: see loopback.hpp on why not, and `connect_options::loopback`
/// for the way that never fails. Only on an unconnected TCP socket.
/// Errors: too_late on a stream or listener, wrong_kind_of_socket on others; conditional_accept
/// while SO_CONDITIONAL_ACCEPT is on; the system's.
struct loopback_fast_path {
  using output = control_done;
  static constexpr control_id id = control_id::loopback_fast_path;
  static constexpr control_rules rules{.tcp_only = true, .before_connect = true};
  bool on = true;
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// Probes of an idle connection. Zero leaves interval and count to the system. Windows does not
/// count probes (10), and wants both times: a zero is its default of 2 hours, or 1 second.
struct keepalive {
  using output = control_done;
  static constexpr control_id id = control_id::keepalive;
  static constexpr control_rules rules{.tcp_only = true};
  bool on = true;
  std::chrono::milliseconds idle{};  // Linux rounds up to seconds
  std::chrono::milliseconds interval{};
  int count = 0;
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// What TCP knows of a connection; what a system does not tell is zero.
struct tcp_information {
  struct output {
    std::uint32_t state = 0;  // the system's number
    std::uint32_t segment_bytes_max = 0;
    std::chrono::microseconds round_trip{};
    std::chrono::microseconds round_trip_min{};
    std::uint64_t congestion_window_bytes = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t bytes_retransmitted = 0;
    std::size_t bytes = 0;
  };
  static constexpr control_id id = control_id::tcp_information;
  static constexpr control_rules rules{.tcp_only = true};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// Bytes that a read would get at once.
struct bytes_readable {
  using output = control_value;
  static constexpr control_id id = control_id::bytes_readable;
  static constexpr control_rules rules{};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// Bytes that were written and are not acknowledged yet. Windows tells of those on the way only.
struct bytes_unsent {
  using output = control_value;
  static constexpr control_id id = control_id::bytes_unsent;
  static constexpr control_rules rules{};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// Addresses of this machine's interfaces, of the socket's family. One allocation or more.
struct address_list {
  struct output {
    std::vector<boost::asio::ip::address> addresses;
    std::size_t bytes = 0;
  };
  static constexpr control_id id = control_id::address_list;
  static constexpr control_rules rules{};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// Completes when an address of the socket's family came or went.
struct address_list_change {
  using output = control_done;
  static constexpr control_id id = control_id::address_list_change;
  static constexpr control_rules rules{.waits = true};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// The local address from which `to` is reached. Errors: unreachable.
struct routing_interface {
  struct output {
    endpoint local;
    std::size_t bytes = 0;
  };
  static constexpr control_id id = control_id::routing_interface;
  static constexpr control_rules rules{};
  endpoint to;
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// Completes when that address changes.
struct routing_interface_change {
  using output = control_done;
  static constexpr control_id id = control_id::routing_interface_change;
  static constexpr control_rules rules{.waits = true};
  endpoint to;
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// How many bytes a sender should keep under way (Windows).
struct ideal_send_backlog {
  using output = control_value;
  static constexpr control_id id = control_id::ideal_send_backlog;
  static constexpr control_rules rules{.tcp_only = true};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};
struct ideal_send_backlog_change {
  using output = control_done;
  static constexpr control_id id = control_id::ideal_send_backlog_change;
  static constexpr control_rules rules{.tcp_only = true, .waits = true};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// How often a connect is repeated that nobody answers, before connecting. Windows also repeats
/// one that is refused, for two seconds, unless this says 0. Linux repeats once at least, and
/// has no first waiting time: "not supported" when one is given.
struct connect_retries {
  using output = control_done;
  static constexpr control_id id = control_id::connect_retries;
  static constexpr control_rules rules{.tcp_only = true};
  std::uint8_t count = 0;
  std::chrono::milliseconds first_wait{};  // zero: the system's
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// Discards what is queued for sending and aborts pending control codes (Windows).
struct flush {
  using output = control_done;
  static constexpr control_id id = control_id::flush;
  static constexpr control_rules rules{};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// A function of the socket's provider, by the bytes of its GUID as they lie in memory (Windows).
struct extension_function {
  struct output {
    std::uintptr_t function = 0;
    std::size_t bytes = 0;
  };
  static constexpr control_id id = control_id::extension_function;
  static constexpr control_rules rules{};
  std::array<std::uint8_t, 16> guid{};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// The socket below all layered providers (Windows).
struct base_handle {
  struct output {
    std::uintptr_t handle = 0;
    std::size_t bytes = 0;
  };
  static constexpr control_id id = control_id::base_handle;
  static constexpr control_rules rules{};
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

/// Any other code, with its number on this system. Windows: of WSAIoctl. Linux: of ioctl(2), whose
/// argument is one buffer for both: the input, made as long as the output, which it becomes.
/// A code that waits must not be given to `control`. Allocates for what is over 448 bytes, and
/// for the answer.
struct raw_control {
  struct output {
    std::vector<std::byte> data;
    std::size_t bytes = 0;
  };
  static constexpr control_id id = control_id::raw;
  static constexpr control_rules rules{};
  std::uint32_t code = 0;
  std::vector<std::byte> input{};
  std::uint32_t output_bytes = 0;
  void encode(detail::control_request& request) const;
  static result<output> decode(const detail::control_request& answer);
};

}  // namespace fairway
