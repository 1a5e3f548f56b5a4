#include "net/resolver_system.hpp"

#include <boost/asio/error.hpp>

#include <memory>
#include <system_error>
#include <thread>

#include <windows.h>
#include <winsock2.h>
#include <ws2tcpip.h>

namespace fairway::detail {

namespace {

using boost::system::error_code;
namespace net_error = boost::asio::error;

/// getaddrinfo page of Microsoft Learn, "Return value"; the rest are Winsock codes already.
error_code error_of(int status) {
  switch (status) {
    case WSANO_DATA:
      return net_error::host_not_found;
    case WSA_NOT_ENOUGH_MEMORY:
      return net_error::no_memory;
    default:
      return error_code(status, boost::system::system_category());
  }
}

/// Winsock counts its users; the resolver's thread uses it until the process ends.
int start_winsock() {
  WSADATA data;
  return ::WSAStartup(MAKEWORD(2, 2), &data);
}

}  // namespace

look_up_answer system_look_up(const std::string& host, const std::string& service,
                              look_up_kind kind) {
  static const int started = start_winsock();
  look_up_answer answer;
  if (started != 0) {
    answer.error = error_of(started);
    return answer;
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = kind == look_up_kind::numeric ? AI_NUMERICHOST | AI_NUMERICSERV : 0;
  addrinfo* list = nullptr;
  if (const int status = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &list)) {
    answer.error = error_of(status);
    return answer;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  for (const addrinfo* each = list; each; each = each->ai_next) {
    answer.add(each->ai_addr, each->ai_addrlen);
  }
  return answer;
}

long process_number() noexcept {
  return static_cast<long>(::GetCurrentProcessId());
}

error_code start_detached(void (*body)(void* context) noexcept, void* context) {
  try {
    std::thread(body, context).detach();
    return {};
  } catch (const std::system_error& failure) {
    return error_code(failure.code().value(), boost::system::generic_category());
  }
}

}  // namespace fairway::detail
