#include "net/resolver_system.hpp"

#include <boost/asio/error.hpp>

#include <cerrno>
#include <memory>

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fairway::detail {

namespace {

using boost::system::error_code;
namespace net_error = boost::asio::error;

/// getaddrinfo(3), "Return value"; Asio's names for the same things.
error_code error_of(int status) {
  switch (status) {
    case EAI_AGAIN:
      return net_error::host_not_found_try_again;
    case EAI_BADFLAGS:
      return net_error::invalid_argument;
    case EAI_FAIL:
      return net_error::no_recovery;
    case EAI_FAMILY:
      return net_error::address_family_not_supported;
    case EAI_MEMORY:
      return net_error::no_memory;
    case EAI_NONAME:
    case EAI_ADDRFAMILY:
    case EAI_NODATA:
      return net_error::host_not_found;
    case EAI_SERVICE:
      return net_error::service_not_found;
    case EAI_SOCKTYPE:
      return net_error::socket_type_not_supported;
    default:
      return error_code(errno, boost::system::system_category());  // EAI_SYSTEM
  }
}

struct thread_body {
  void (*run)(void* context) noexcept;
  void* context;
};

void* run_thread(void* argument) {
  const std::unique_ptr<thread_body> owned(static_cast<thread_body*>(argument));
  const thread_body body = *owned;
  pthread_setname_np(pthread_self(), "fairway-names");
  body.run(body.context);
  return nullptr;
}

}  // namespace

look_up_answer system_look_up(const std::string& host, const std::string& service,
                              look_up_kind kind) {
  // Not AI_ADDRCONFIG: it hides ::1 and 127.0.0.1 on a machine without a network.
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = kind == look_up_kind::numeric ? AI_NUMERICHOST | AI_NUMERICSERV : 0;
  addrinfo* list = nullptr;
  look_up_answer answer;
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
  return ::getpid();
}

error_code start_detached(void (*body)(void* context) noexcept, void* context) {
  auto owned = std::make_unique<thread_body>(thread_body{body, context});
  pthread_attr_t attributes;
  int status = ::pthread_attr_init(&attributes);
  if (status != 0) {
    return {status, boost::system::system_category()};
  }
  ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // A thread inherits its creator's mask; a signal handled here would miss the program's own wait.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  status = ::pthread_create(&thread, &attributes, &run_thread, owned.get());
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
  if (status == 0) {
    owned.release();
  }
  return {status, boost::system::system_category()};
}

}  // namespace fairway::detail
