#include <fairway/result.hpp>

#include <boost/asio/error.hpp>

#include <cerrno>
#include <string>

namespace fairway {

namespace detail {

// Winsock codes, and the Win32 codes that a completion port yields for the same events (the system
// translates statuses of cancelled, refused and cut connections to those).
int condition_of_windows(int code) noexcept {
  condition c{};
  switch (code) {
    case 995:          // ERROR_OPERATION_ABORTED
    case 1235:         // ERROR_REQUEST_ABORTED
    case 10103:        // WSAECANCELLED
    case 10111: c = condition::aborted; break;  // WSA_E_CANCELLED
    case 38:           // ERROR_HANDLE_EOF
    case 10101: c = condition::eof; break;  // WSAEDISCON
    case 64:           // ERROR_NETNAME_DELETED
    case 109:          // ERROR_BROKEN_PIPE
    case 1236:         // ERROR_CONNECTION_ABORTED
    case 10052:        // WSAENETRESET
    case 10053:        // WSAECONNABORTED
    case 10054:        // WSAECONNRESET
    case 10058: c = condition::reset; break;  // WSAESHUTDOWN
    case 1225:         // ERROR_CONNECTION_REFUSED
    case 1234:         // ERROR_PORT_UNREACHABLE
    case 10061: c = condition::refused; break;
    case 1231:         // ERROR_NETWORK_UNREACHABLE
    case 1232:         // ERROR_HOST_UNREACHABLE
    case 10051:
    case 10065: c = condition::unreachable; break;
    case 121:          // ERROR_SEM_TIMEOUT
    case 258:          // WAIT_TIMEOUT
    case 1460:         // ERROR_TIMEOUT
    case 10060: c = condition::timed_out; break;
    case 1227:         // ERROR_ADDRESS_ALREADY_ASSOCIATED
    case 10048: c = condition::address_in_use; break;
    case 5:            // ERROR_ACCESS_DENIED
    case 10013: c = condition::access_denied; break;
    case 4:            // ERROR_TOO_MANY_OPEN_FILES
    case 10024: c = condition::no_descriptors; break;
    case 87:           // ERROR_INVALID_PARAMETER
    case 10022: c = condition::invalid_argument; break;
    case 50:           // ERROR_NOT_SUPPORTED
    case 10042:        // WSAENOPROTOOPT
    case 10045: c = condition::not_supported; break;
    case 10038: c = condition::not_a_socket; break;
    case 10050: c = condition::network_down; break;
    case 998:          // ERROR_NOACCESS
    case 10014: c = condition::bad_address; break;
    case 10036:        // WSAEINPROGRESS
    case 10037: c = condition::in_progress; break;  // WSAEALREADY
    case 10004: c = condition::interrupted; break;
    default: break;
  }
  return static_cast<int>(c);
}

namespace {

struct row {
  int code;
  condition means;
};

constexpr row errno_rows[] = {
    {ECANCELED, condition::aborted},
    {ECONNRESET, condition::reset},
    {ECONNABORTED, condition::reset},
    {ENETRESET, condition::reset},
    {EPIPE, condition::reset},
    {ECONNREFUSED, condition::refused},
    {EHOSTUNREACH, condition::unreachable},
    {ENETUNREACH, condition::unreachable},
    {ETIMEDOUT, condition::timed_out},
    {EADDRINUSE, condition::address_in_use},
    {EACCES, condition::access_denied},
    {EPERM, condition::access_denied},
    {EMFILE, condition::no_descriptors},
    {ENFILE, condition::no_descriptors},
    {EINVAL, condition::invalid_argument},
    {EOPNOTSUPP, condition::not_supported},
    {ENOTSUP, condition::not_supported},
    {ENOPROTOOPT, condition::not_supported},
    {ENOSYS, condition::not_supported},
    {ENOTSOCK, condition::not_a_socket},
    {ENETDOWN, condition::network_down},
    {EFAULT, condition::bad_address},
    {EINPROGRESS, condition::in_progress},
    {EALREADY, condition::in_progress},
    {EINTR, condition::interrupted},
};

}  // namespace

int condition_of_errno(int code) noexcept {
  for (const row& r : errno_rows) {
    if (r.code == code) return static_cast<int>(r.means);
  }
  return 0;
}

}  // namespace detail

namespace {

class conditions final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "fairway.condition"; }

  std::string message(int value) const override {
    switch (static_cast<condition>(value)) {
      case condition::aborted: return "operation aborted";
      case condition::eof: return "end of file";
      case condition::reset: return "connection reset by peer";
      case condition::refused: return "connection refused";
      case condition::unreachable: return "host or network unreachable";
      case condition::timed_out: return "timed out";
      case condition::address_in_use: return "address in use";
      case condition::access_denied: return "access denied";
      case condition::no_descriptors: return "out of descriptors";
      case condition::invalid_argument: return "invalid argument";
      case condition::not_supported: return "operation not supported";
      case condition::not_a_socket: return "not a socket";
      case condition::network_down: return "network is down";
      case condition::bad_address: return "bad address";
      case condition::in_progress: return "operation in progress";
      case condition::interrupted: return "interrupted";
    }
    return "unknown condition";
  }

  bool equivalent(const boost::system::error_code& code, int value) const noexcept override {
    if (!code) return false;
    if (code == boost::asio::error::eof) return value == static_cast<int>(condition::eof);
    if (code.category() == boost::system::generic_category()) {
      return detail::condition_of_errno(code.value()) == value;
    }
    if (code.category() != boost::system::system_category()) return false;
#if defined(_WIN32)
    return detail::condition_of_windows(code.value()) == value;
#else
    return detail::condition_of_errno(code.value()) == value;
#endif
  }
};

class errors final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "fairway"; }

  std::string message(int value) const override {
    switch (static_cast<error>(value)) {
      case error::frame_too_large: return "frame larger than the limit";
      case error::protocol_violation: return "protocol violation";
      case error::peer_broke_the_ring: return "the peer broke the shared-memory ring";
      case error::drained: return "the server is draining";
    }
    return "unknown error";
  }
};

}  // namespace

const boost::system::error_category& condition_category() noexcept {
  static const conditions instance;
  return instance;
}

const boost::system::error_category& fairway_category() noexcept {
  static const errors instance;
  return instance;
}

}  // namespace fairway
