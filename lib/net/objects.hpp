// The engine-side state of the net layer's public classes.
#pragma once

#include "engine/operation.hpp"

#include <fairway/net/stream.hpp>

namespace fairway::detail {

// Notes in io_object::net_bits.
inline constexpr std::uint8_t net_unconnected = 1;  // an unconnected_socket's
inline constexpr std::uint8_t net_fast_path = 2;    // the kernel's fast path is on
inline constexpr std::uint8_t net_local = 4;        // unix-domain
inline constexpr std::uint8_t net_datagram = 8;

// What io_object::net_path and net_reason hold; relaxed, as said there.
inline void set_path(io_object& object, path what, path_reason why) noexcept {
  object.net_path.store(static_cast<std::uint8_t>(what), std::memory_order_relaxed);
  object.net_reason.store(static_cast<std::uint8_t>(why), std::memory_order_relaxed);
}
inline path path_in(const io_object& object) noexcept {
  return static_cast<path>(object.net_path.load(std::memory_order_relaxed));
}
inline path_reason reason_in(const io_object& object) noexcept {
  return static_cast<path_reason>(object.net_reason.load(std::memory_order_relaxed));
}

// The same for what the option for shared memory led to; `counting` counts it.
void tell_path(port_core& counting, io_object& object, path what, path_reason why) noexcept;

inline void mark_local(io_object& object) noexcept {
  object.net_bits |= net_local;
  set_path(object, path::local, path_reason::not_tcp);
}

struct stream_state : io_object {
  stream_state(port_core& owner, native_handle socket) : io_object{owner, &destroy_it} {
    handle = socket;
    reading.object = this;
    writing.object = this;
    read_side = &reading;
    write_side = &writing;
    set_path(*this, path::tcp, path_reason::not_asked);
  }
  static void destroy_it(io_object* object) noexcept {
    if (object->attached != nullptr) object->attached->destroy(*object);
    delete static_cast<stream_state*>(object);
  }

  timeouts limits;
  io_op reading{op_kind::read};
  io_op writing{op_kind::write};
};

}  // namespace fairway::detail
