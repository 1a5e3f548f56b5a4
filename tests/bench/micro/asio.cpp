// Boost.Asio: `io_context{1}`, the hint for one thread, and `steady_timer`.
//
// Fair because: it is the hint that still lets other threads post, as a port does, and the same
// code in one program, with one set of flags, runs over both.
#include "contexts.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace {

struct asio_loop {
  using timer = boost::asio::steady_timer;
  boost::asio::io_context context{1};
};

[[maybe_unused]] const bool registered = (bench::register_loop<asio_loop>("asio"), true);

}  // namespace
