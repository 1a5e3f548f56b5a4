#include <fairway/result.hpp>

#include <fairway/net/provider.hpp>

#include <boost/asio/error.hpp>

#include <cerrno>
#include <cstddef>
#include <span>
#include <string>

namespace fairway {

namespace detail {

namespace {

struct row {
  int code;
  condition means;
};

// Winsock codes, and the Win32 codes that a completion port yields for the same events. Two that
// name a connection cut by either side, 64 and 1236, are `reset` here: an engine that closed the
// socket itself knows so, and reports the operation as aborted without asking this table.
constexpr row windows_rows[] = {
    {676, condition::aborted},    // ERROR_HANDLES_CLOSED: closed under a pending receive
    {735, condition::aborted},    // ERROR_ABANDONED_WAIT_0: the port was closed
    {995, condition::aborted},    // ERROR_OPERATION_ABORTED, WSA_OPERATION_ABORTED
    {1223, condition::aborted},   // ERROR_CANCELLED
    {1235, condition::aborted},   // ERROR_REQUEST_ABORTED
    {10103, condition::aborted},  // WSAECANCELLED
    {10111, condition::aborted},  // WSA_E_CANCELLED
    {38, condition::eof},         // ERROR_HANDLE_EOF
    {10101, condition::eof},      // WSAEDISCON: the peer began an orderly shutdown
    {59, condition::reset},       // ERROR_UNEXP_NET_ERR
    {64, condition::reset},       // ERROR_NETNAME_DELETED
    {109, condition::reset},      // ERROR_BROKEN_PIPE
    {232, condition::reset},      // ERROR_NO_DATA
    {240, condition::reset},      // ERROR_VC_DISCONNECTED
    {1236, condition::reset},     // ERROR_CONNECTION_ABORTED
    {10052, condition::reset},    // WSAENETRESET
    {10053, condition::reset},    // WSAECONNABORTED
    {10054, condition::reset},    // WSAECONNRESET
    {10058, condition::reset},    // WSAESHUTDOWN: what POSIX reports as EPIPE
    {1225, condition::refused},   // ERROR_CONNECTION_REFUSED
    {1234, condition::refused},   // ERROR_PORT_UNREACHABLE
    {10061, condition::refused},  // WSAECONNREFUSED
    {1231, condition::unreachable},   // ERROR_NETWORK_UNREACHABLE
    {1232, condition::unreachable},   // ERROR_HOST_UNREACHABLE
    {1233, condition::unreachable},   // ERROR_PROTOCOL_UNREACHABLE
    {10051, condition::unreachable},  // WSAENETUNREACH
    {10064, condition::unreachable},  // WSAEHOSTDOWN
    {10065, condition::unreachable},  // WSAEHOSTUNREACH
    {121, condition::timed_out},      // ERROR_SEM_TIMEOUT: a connect without an answer
    {258, condition::timed_out},      // WAIT_TIMEOUT
    {1460, condition::timed_out},     // ERROR_TIMEOUT
    {10060, condition::timed_out},    // WSAETIMEDOUT
    {1227, condition::address_in_use},   // ERROR_ADDRESS_ALREADY_ASSOCIATED
    {10048, condition::address_in_use},  // WSAEADDRINUSE
    {5, condition::access_denied},       // ERROR_ACCESS_DENIED
    {65, condition::access_denied},      // ERROR_NETWORK_ACCESS_DENIED
    {1314, condition::access_denied},    // ERROR_PRIVILEGE_NOT_HELD
    {10013, condition::access_denied},   // WSAEACCES
    {4, condition::no_descriptors},      // ERROR_TOO_MANY_OPEN_FILES
    {8, condition::no_descriptors},      // ERROR_NOT_ENOUGH_MEMORY, WSA_NOT_ENOUGH_MEMORY
    {14, condition::no_descriptors},     // ERROR_OUTOFMEMORY
    {1450, condition::no_descriptors},   // ERROR_NO_SYSTEM_RESOURCES
    {1453, condition::no_descriptors},   // ERROR_WORKING_SET_QUOTA
    {1454, condition::no_descriptors},   // ERROR_PAGEFILE_QUOTA
    {1455, condition::no_descriptors},   // ERROR_COMMITMENT_LIMIT
    {1816, condition::no_descriptors},   // ERROR_NOT_ENOUGH_QUOTA
    {10024, condition::no_descriptors},  // WSAEMFILE
    {10055, condition::no_descriptors},  // WSAENOBUFS
    {87, condition::invalid_argument},     // ERROR_INVALID_PARAMETER, WSA_INVALID_PARAMETER
    {10022, condition::invalid_argument},  // WSAEINVAL
    {1, condition::not_supported},         // ERROR_INVALID_FUNCTION
    {50, condition::not_supported},        // ERROR_NOT_SUPPORTED
    {120, condition::not_supported},       // ERROR_CALL_NOT_IMPLEMENTED
    {10042, condition::not_supported},     // WSAENOPROTOOPT
    {10043, condition::not_supported},     // WSAEPROTONOSUPPORT
    {10044, condition::not_supported},     // WSAESOCKTNOSUPPORT
    {10045, condition::not_supported},     // WSAEOPNOTSUPP
    {10046, condition::not_supported},     // WSAEPFNOSUPPORT
    {10047, condition::not_supported},     // WSAEAFNOSUPPORT
    {6, condition::not_a_socket},          // ERROR_INVALID_HANDLE, WSA_INVALID_HANDLE
    {10009, condition::not_a_socket},      // WSAEBADF
    {10038, condition::not_a_socket},      // WSAENOTSOCK
    {1222, condition::network_down},       // ERROR_NO_NETWORK
    {10050, condition::network_down},      // WSAENETDOWN
    {487, condition::bad_address},         // ERROR_INVALID_ADDRESS
    {998, condition::bad_address},         // ERROR_NOACCESS
    {1784, condition::bad_address},        // ERROR_INVALID_USER_BUFFER
    {10014, condition::bad_address},       // WSAEFAULT
    {996, condition::in_progress},         // ERROR_IO_INCOMPLETE, WSA_IO_INCOMPLETE
    {997, condition::in_progress},         // ERROR_IO_PENDING, WSA_IO_PENDING
    {10036, condition::in_progress},       // WSAEINPROGRESS
    {10037, condition::in_progress},       // WSAEALREADY
    {10004, condition::interrupted},       // WSAEINTR
};

constexpr row errno_rows[] = {
    {ECANCELED, condition::aborted},
    {ECONNABORTED, condition::reset},
    {ECONNRESET, condition::reset},
    {ENETRESET, condition::reset},
    {EPIPE, condition::reset},
#if defined(ESHUTDOWN)
    {ESHUTDOWN, condition::reset},
#endif
    {ECONNREFUSED, condition::refused},
#if defined(EHOSTDOWN)
    {EHOSTDOWN, condition::unreachable},
#endif
    {EHOSTUNREACH, condition::unreachable},
    {ENETUNREACH, condition::unreachable},
    {ETIMEDOUT, condition::timed_out},
    {EADDRINUSE, condition::address_in_use},
    {EACCES, condition::access_denied},
    {EPERM, condition::access_denied},
    {EMFILE, condition::no_descriptors},
    {ENFILE, condition::no_descriptors},
    {ENOBUFS, condition::no_descriptors},
    {ENOMEM, condition::no_descriptors},
    {EINVAL, condition::invalid_argument},
    {EAFNOSUPPORT, condition::not_supported},
    {ENOPROTOOPT, condition::not_supported},
    {ENOSYS, condition::not_supported},
    {ENOTSUP, condition::not_supported},
    {EOPNOTSUPP, condition::not_supported},
    {EPROTONOSUPPORT, condition::not_supported},
#if defined(EPFNOSUPPORT)
    {EPFNOSUPPORT, condition::not_supported},
#endif
#if defined(ESOCKTNOSUPPORT)
    {ESOCKTNOSUPPORT, condition::not_supported},
#endif
    {EBADF, condition::not_a_socket},
    {ENOTSOCK, condition::not_a_socket},
    {ENETDOWN, condition::network_down},
    {EFAULT, condition::bad_address},
    {EALREADY, condition::in_progress},
    {EINPROGRESS, condition::in_progress},
    {EINTR, condition::interrupted},
};

// A code in two rows with two meanings would make the answer depend on the order of the rows.
constexpr bool unambiguous(std::span<const row> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = i + 1; j < rows.size(); ++j) {
      if (rows[i].code == rows[j].code && rows[i].means != rows[j].means) return false;
    }
  }
  return true;
}
static_assert(unambiguous(windows_rows) && unambiguous(errno_rows));

int find(std::span<const row> rows, int code) noexcept {
  for (const row& each : rows) {
    if (each.code == code) return static_cast<int>(each.means);
  }
  return 0;
}

}  // namespace

int condition_of_windows(int code) noexcept { return find(windows_rows, code); }

int condition_of_errno(int code) noexcept { return find(errno_rows, code); }

}  // namespace detail

namespace {

// Identities of our own, so that two copies of the library in one process agree.
constexpr unsigned long long condition_category_id = 0x2f6e1c7ab05d4e91;
constexpr unsigned long long fairway_category_id = 0x8d03b9a4167c52ef;

// Most of ours have none: no system has a word for them.
int condition_of_ours(error code) noexcept {
  switch (code) {
    case error::routine_on_port:
    case error::too_late:
    case error::wrong_kind_of_socket:
    case error::conditional_accept_refused: return static_cast<int>(condition::invalid_argument);
    case error::option_off_fast_path: return static_cast<int>(condition::not_supported);
    default: return 0;
  }
}

int condition_of(const boost::system::error_code& code) noexcept {
  if (code.value() == 0) return 0;  // no error, the usual case
  if (code == boost::asio::error::eof) return static_cast<int>(condition::eof);
  if (code.category() == fairway_category()) {
    return condition_of_ours(static_cast<error>(code.value()));
  }
  if (code.category() == boost::system::generic_category()) {
    return detail::condition_of_errno(code.value());
  }
  if (code.category() != boost::system::system_category()) return 0;
#if defined(_WIN32)
  return detail::condition_of_windows(code.value());
#else
  return detail::condition_of_errno(code.value());
#endif
}

class conditions final : public boost::system::error_category {
 public:
  constexpr conditions() noexcept : error_category{condition_category_id} {}

  const char* name() const noexcept override { return "fairway.condition"; }

  std::string message(int value) const override {
    switch (static_cast<condition>(value)) {
      case condition::aborted: return "operation aborted";
      case condition::eof: return "end of stream";
      case condition::reset: return "connection reset";
      case condition::refused: return "connection refused";
      case condition::unreachable: return "host or network unreachable";
      case condition::timed_out: return "timed out";
      case condition::address_in_use: return "address in use";
      case condition::access_denied: return "access denied";
      case condition::no_descriptors: return "out of descriptors or socket memory";
      case condition::invalid_argument: return "invalid argument";
      case condition::not_supported: return "not supported by this system";
      case condition::not_a_socket: return "not an open socket";
      case condition::network_down: return "network is down";
      case condition::bad_address: return "bad memory address";
      case condition::in_progress: return "such an operation is already in progress";
      case condition::interrupted: return "interrupted";
    }
    return "unknown condition";
  }

  bool equivalent(const boost::system::error_code& code, int value) const noexcept override {
    const int found = condition_of(code);
    return found != 0 && found == value;
  }
};

class errors final : public boost::system::error_category {
 public:
  constexpr errors() noexcept : error_category{fairway_category_id} {}

  const char* name() const noexcept override { return "fairway"; }

  std::string message(int value) const override {
    switch (static_cast<error>(value)) {
      case error::frame_too_large: return "frame larger than its limit";
      case error::protocol_violation: return "protocol violated by the peer";
      case error::peer_broke_the_ring: return "shared-memory ring damaged by the peer";
      case error::drained: return "server is draining";
      case error::frame_truncated: return "stream ended inside a frame";
      case error::routine_on_port: return "completion routine asked of a socket that has a port";
      case error::too_late: return "to be asked before connecting or listening";
      case error::wrong_kind_of_socket: return "command of another kind of socket";
      case error::option_off_fast_path: return "option without effect on the loopback fast path";
      case error::conditional_accept_refused:
        return "SO_CONDITIONAL_ACCEPT and the loopback fast path exclude each other";
      case error::ring_is_held: return "shared-memory ring held by a view that is out";
    }
    return "unknown error";
  }
};

// The first number of a condition; Windows: Winsock's own, which begin at 10,000, and its two that
// are Win32's.
int number_of(std::span<const detail::row> rows, condition what, int least) noexcept {
  for (const detail::row& each : rows) {
    if (each.means == what && each.code >= least) return each.code;
  }
  return 0;
}

}  // namespace

int native_error(condition what) noexcept {
#if defined(_WIN32)
  constexpr int winsock = 10000;
  if (what == condition::aborted) return 995;       // WSA_OPERATION_ABORTED
  if (what == condition::in_progress) return 10036;  // WSAEINPROGRESS
  if (what == condition::invalid_argument) return 10022;
  if (what == condition::not_a_socket) return 10038;
  if (what == condition::not_supported) return 10045;
  return number_of(detail::windows_rows, what, winsock);
#else
  if (what == condition::access_denied) return EACCES;
  if (what == condition::in_progress) return EINPROGRESS;
  if (what == condition::not_a_socket) return ENOTSOCK;
  if (what == condition::not_supported) return EOPNOTSUPP;
  return number_of(detail::errno_rows, what, 1);
#endif
}

const boost::system::error_category& condition_category() noexcept {
  static const conditions instance;
  return instance;
}

const boost::system::error_category& fairway_category() noexcept {
  static const errors instance;
  return instance;
}

}  // namespace fairway
