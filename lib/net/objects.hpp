// The engine-side state of the net layer's public classes.
#pragma once

#include "engine/operation.hpp"

#include <fairway/net/stream.hpp>

namespace fairway::detail {

struct stream_state : io_object {
  stream_state(port_core& owner, native_handle socket) : io_object{owner, &destroy_it} {
    handle = socket;
    reading.object = this;
    writing.object = this;
    read_side = &reading;
    write_side = &writing;
  }
  static void destroy_it(io_object* object) noexcept { delete static_cast<stream_state*>(object); }

  timeouts limits;
  io_op reading{op_kind::read};
  io_op writing{op_kind::write};
};

}  // namespace fairway::detail
