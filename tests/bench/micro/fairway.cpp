// Fairway: a completion port with default options on either engine, and its own timer.
//
// Fair because: the same templates as for Asio (contexts.hpp), one thread, the compiler's flags of
// all contenders, no assertions.
#include "contexts.hpp"

#include <fairway/engine/completion_port.hpp>
#include <fairway/engine/timer.hpp>

namespace {

template <fairway::engine_kind Engine>
struct fairway_loop {
  using timer = fairway::timer;
  fairway::completion_port context{{.engine = Engine}};
};

using fairway::engine_kind;
[[maybe_unused]] const bool registered =
    (bench::register_loop<fairway_loop<engine_kind::io_uring>>("fairway_io_uring"),
     bench::register_loop<fairway_loop<engine_kind::epoll>>("fairway_epoll"), true);

}  // namespace

BENCHMARK_MAIN();
