// The io_uring backend.
#pragma once

#include "engine/operation.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <string>

namespace fairway {
struct port_options;
}

namespace fairway::detail::io_uring {

class port {
 public:
  port(port_core&, const port_options&) {
    throw boost::system::system_error(boost::asio::error::operation_not_supported, "io_uring");
  }
  std::string reason() const { return {}; }
  void attach() noexcept {}
  error_code open(io_object&) noexcept { return {}; }
  void start(io_op&) noexcept {}
  void cancel(io_op&) noexcept {}
  void close(io_object&) noexcept {}
  native_handle release(io_object&) noexcept { return no_handle; }
  void close_handle(native_handle) noexcept {}
  void wait(time_point) noexcept {}
  void wake() noexcept {}
  void shutdown() noexcept {}
};

}  // namespace fairway::detail::io_uring
