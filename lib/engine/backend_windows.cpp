#include "engine/backend.hpp"

#include <fairway/engine/port_options.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <string>

namespace fairway::detail {

backend::backend(port_core& core, const port_options& options) {
  if (options.engine != engine_kind::automatic && options.engine != engine_kind::iocp) {
    throw boost::system::system_error(boost::asio::error::operation_not_supported,
                                      std::string(to_string(options.engine)) +
                                          " is not on Windows");
  }
  port_ = std::make_unique<iocp::port>(core, options);
  reason_ = port_->reason();
}

}  // namespace fairway::detail
