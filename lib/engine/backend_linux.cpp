#include "engine/backend.hpp"

#include <fairway/engine/port_options.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <string>

namespace fairway::detail {

namespace {

// The errno values by which systems refuse io_uring, and what they mean to an administrator.
std::string explain(const boost::system::system_error& refused) {
  std::string text = refused.what();
  if (refused.code() == boost::asio::error::no_permission ||
      refused.code().value() == 1 /* EPERM */) {
    text += " (kernel.io_uring_disabled or a seccomp filter, as in containers)";
  }
  return text;
}

}  // namespace

backend::backend(port_core& core, const port_options& options) {
  if (options.engine == engine_kind::iocp) {
    throw boost::system::system_error(boost::asio::error::operation_not_supported,
                                      "iocp is not on Linux");
  }
  if (options.engine != engine_kind::epoll) {
    try {
      ring_ = std::make_unique<io_uring::port>(core, options);
      reason_ = ring_->reason();
      return;
    } catch (const boost::system::system_error& refused) {
      if (options.engine == engine_kind::io_uring) throw;
      reason_ = "io_uring refused: " + explain(refused);
    }
  } else {
    reason_ = "epoll was asked for";
  }
  epoll_ = std::make_unique<epoll::port>(core, options);
}

}  // namespace fairway::detail
