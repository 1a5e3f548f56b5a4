// Changes of addresses and routes, told by the kernel on a netlink socket (rtnetlink(7)).
//
// The watch is an object of its own with a wait for reading, so both engines serve it as they serve
// any wait. It is made with the first such command of a socket and stays with it: what happens
// between two waits ends the second one at once, so a program that asks for the list after each
// change misses none.
//
// Threads: the owner of the port.
#pragma once

#include "net/control_state.hpp"

namespace fairway::detail {

// Begins to wait for `state`'s command; it completes when the change comes, or is cancelled.
void watch_changes(control_state& state);

// AF_INET, ... of a socket, or a negated errno value.
int family_of(native_handle handle) noexcept;
// The address that datagrams to `to` would be sent from. Zero, or an errno value.
int local_address_towards(const endpoint& to, endpoint& local) noexcept;

}  // namespace fairway::detail
