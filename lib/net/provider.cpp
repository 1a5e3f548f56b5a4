#include <fairway/net/provider.hpp>

#include "engine/port_core.hpp"
#include "net/control_state.hpp"

namespace fairway {

std::string_view to_string(control_id command) noexcept {
  switch (command) {
    case control_id::address_list: return "address_list";
    case control_id::address_list_change: return "address_list_change";
    case control_id::base_handle: return "base_handle";
    case control_id::bytes_readable: return "bytes_readable";
    case control_id::bytes_unsent: return "bytes_unsent";
    case control_id::connect_retries: return "connect_retries";
    case control_id::extension_function: return "extension_function";
    case control_id::flush: return "flush";
    case control_id::ideal_send_backlog: return "ideal_send_backlog";
    case control_id::ideal_send_backlog_change: return "ideal_send_backlog_change";
    case control_id::keepalive: return "keepalive";
    case control_id::loopback_fast_path: return "loopback_fast_path";
    case control_id::routing_interface: return "routing_interface";
    case control_id::routing_interface_change: return "routing_interface_change";
    case control_id::tcp_information: return "tcp_information";
    case control_id::raw: break;
  }
  return "raw";
}

int ioctl_call::system(int& error) { return go_on(*this, error); }

pending_ioctl ioctl_call::token() {
  if (op == nullptr) return {};
  auto& state = static_cast<detail::control_state&>(*op);
  if (state.token == nullptr) {
    state.token = std::make_shared<detail::cancel_ticket>(*state.object->core);
    state.token->op = &state;
  }
  return pending_ioctl{state.token};
}

void pending_ioctl::complete(int error, std::uint32_t bytes) const {
  if (call_ == nullptr) return;
  // Relaxed, as for a cancellation: it only becomes null.
  detail::port_core* core = call_->core.load(std::memory_order_relaxed);
  if (core == nullptr) return;
  const auto end = [ticket = call_, core, error, bytes] {
    if (ticket->op == nullptr) return;  // over already
    const boost::system::error_code ec{error, boost::system::system_category()};
    core->complete(*std::exchange(ticket->op, nullptr), ec, error == 0 ? bytes : 0);
  };
  if (detail::ownership here{*core}) {
    end();
  } else {
    detail::initiation<void>::hop(*core, end);
  }
}

int transport_provider::bind(std::uintptr_t, const void*, std::size_t, int&) { return 0; }
int transport_provider::listen(std::uintptr_t, int, int&) { return 0; }
int transport_provider::connect(std::uintptr_t, const void*, std::size_t, int&) { return 0; }
int transport_provider::accept(std::uintptr_t, std::uintptr_t, int&) { return 0; }

}  // namespace fairway
