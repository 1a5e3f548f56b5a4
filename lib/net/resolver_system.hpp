// What the resolver needs of the operating system: net/posix/resolver_system.cpp and
// net/windows/resolver_system.cpp.
#pragma once

#include <fairway/net/endpoint.hpp>

#include <boost/system/error_code.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace fairway::detail {

struct look_up_answer {
  boost::system::error_code error;
  std::vector<endpoint> found;  // empty with an error

  /// Adds a socket address, unless it is there already: two lines of a hosts file may name it
  /// twice.
  void add(const void* address, std::size_t bytes);
};

enum class look_up_kind { any, numeric };

/// getaddrinfo for stream sockets. Blocks, unless numeric: then a name is host_not_found.
using look_up_function = look_up_answer(const std::string& host, const std::string& service,
                                        look_up_kind kind);
look_up_function system_look_up;

/// The number of this process, which a fork changes.
long process_number() noexcept;

/// Runs `body(context)` on a detached thread that takes no signals.
boost::system::error_code start_detached(void (*body)(void* context) noexcept, void* context);

}  // namespace fairway::detail
