// The state of a control code, and what the net layer asks of the system for it.
//
// Threads: the owner of the port.
#pragma once

#include "engine/control_op.hpp"

#include <fairway/loopback.hpp>
#include <fairway/net/control.hpp>
#include <fairway/net/endpoint.hpp>

#include <memory>

namespace fairway::detail {

struct control_state : control_op {
  explicit control_state(io_object& owner) noexcept : control_op{owner, &destroy_it} {}
  static void destroy_it(control_op& op, port_core* core) noexcept;

  control_request request;
  dispatch how = dispatch::overlapped;
  bool asked_system = false;  // its answer stands, whatever a provider says afterwards
  std::shared_ptr<cancel_ticket> token;  // null: no provider has left the call pending
  io_object* watch = nullptr;            // Linux: a reference to what waits for changes; or null
};

inline control_state& state_of(io_op& op) noexcept { return static_cast<control_state&>(op); }

// The request as the system's work, without the plan of its steps.
control_work work_of(const control_request& request) noexcept;
ioctl_call call_of(const control_work& work, native_handle handle) noexcept;

// One implementation a platform (posix/control_system.cpp, windows/control_system.cpp).
namespace control_system {

// Sets `work.next` where there are steps.
void plan(control_work& work) noexcept;
// The synchronous call. Zero, or the system's error number.
int ask(native_handle handle, control_work& work) noexcept;
// A command that waits, and that no backend can: begins and ends `state` by other means. False: it
// is for the backend.
bool wait_elsewhere(control_state& state);
std::uintptr_t this_thread() noexcept;

}  // namespace control_system

// The loopback fast path of an own socket, asked once at its moment: before connect, or before bind
// and listen. `target` is the peer, or the address to listen on. Never an error; sets what the
// object tells of its path, and returns whether the socket has it.
bool ask_fast_path(io_object& object, const endpoint& target, loopback wanted);

// A provider's word on what the engine is about to do; the error when it refuses.
template <class Ask>
error_code ask_provider(transport_provider* provider, Ask&& ask) {
  if (provider == nullptr) [[likely]] return {};
  int error = 0;
  if (ask(*provider, error) == 0) return {};
  return {error, boost::system::system_category()};
}

}  // namespace fairway::detail
