// Faster ways for a connection that stays on one machine: the policy, and what became of it.
//
//   auto l = fairway::listener::open(port, here, {.loopback = fairway::loopback::kernel}).value();
//   fairway::connector dial{port, {.loopback = fairway::loopback::kernel}};
//   ...
//   if (s.path() == fairway::path::tcp) log(to_string(s.path_reason()));
//
// Everything is off by default, both ends have to ask, and asking never fails a connection: what
// cannot be had is ordinary TCP, and path_reason() keeps why. The environment variable
// FAIRWAY_LOOPBACK=off forbids all of it, for people who must see every byte in a packet filter.
//
// `kernel` is SIO_LOOPBACK_FAST_PATH of Windows 8 and later. Microsoft's page calls it deprecated
// and not recommended, crashes and hangs were reported on Windows Server 2016 and 2019, and its
// success proves nothing: a WFP callout silently keeps the slow path. It is here for programs that
// have measured that they want it. Send and receive keep TCP's flow control.
//
// Plain values. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fairway {

/// What a listener or a connector asks for.
enum class loopback : std::uint8_t { off, kernel, shared_memory, both };

/// What carries a stream's bytes. `kernel_fast_path`: this side asked for it and the system agreed.
enum class path : std::uint8_t { tcp, kernel_fast_path, shared_memory, local };

/// Why not a faster path, or `none` for the fastest that was asked for.
///
/// An accepting end knows who asked from what the other process sent. What it cannot take for want
/// of descriptors may be of this connection or of another one: until it can take it, it says
/// `no_descriptors` of each connection for which it finds nothing, plain ones among them. What it
/// had to drop it tells the next such connection only, and later ones `peer_did_not_ask`. While it
/// is out of memory alone it knows which connections asked.
enum class path_reason : std::uint8_t {
  none,
  not_asked,               // the options say `off`
  not_loopback,            // an end is not on a loopback address
  not_tcp,                 // a unix-domain stream has no slower path to leave
  refused_by_environment,  // FAIRWAY_LOOPBACK=off
  conditional_accept,      // SO_CONDITIONAL_ACCEPT is on; together they have crashed systems
  not_supported,           // the system or its provider has no such path
  invalid_argument,        // the system refused the request as such
  access_denied,           // a right is missing
  network_down,            // the network subsystem failed
  interrupted,             // the request was interrupted or aborted
  in_progress,             // another call was being made on the socket
  refused_by_system,       // any other error of the system
  asked_too_late,          // the stream was made elsewhere, connected already
  peer_did_not_ask,        // the other end is not Fairway, did not opt in, or cannot be reached
  not_yet,                 // both ends asked; bytes go by TCP until the other end takes part
  other_user,              // the other end runs as another user
  other_version,           // the other end speaks another version of the protocol
  other_port,              // accepted onto another port than the listener's
  name_taken,              // another socket has the rendezvous of this endpoint
  no_descriptors,          // out of descriptors
  no_memory,               // out of memory, or of the budget for shared memory
  no_source_port,          // no port could be bound for the connection's source
  peer_broke_rules         // the other end sent what no correct one sends
};

inline constexpr std::size_t path_reason_count =
    static_cast<std::size_t>(path_reason::peer_broke_rules) + 1;

/// "off", "kernel", "shared_memory", "both".
std::string_view to_string(loopback what) noexcept;
/// Returns true and stores the policy when `name` is one of those four.
bool parse_loopback(std::string_view name, loopback& what) noexcept;
/// "tcp", "kernel_fast_path", "shared_memory", "local".
std::string_view to_string(path what) noexcept;
/// A sentence without a full stop.
std::string_view to_string(path_reason why) noexcept;

/// Whether a policy asks for the kernel's path, or for shared memory.
constexpr bool asks_kernel(loopback what) noexcept {
  return what == loopback::kernel || what == loopback::both;
}
constexpr bool asks_shared_memory(loopback what) noexcept {
  return what == loopback::shared_memory || what == loopback::both;
}
/// How many bytes of shared memory the process may have for its connections: what it made and what
/// it got from other processes, each end counted where both are in it. Beyond it connections are
/// TCP, with `no_memory`; zero means none. What is in use already when a smaller limit is set stays
/// until its connections, and on Linux its port or the other process, have gone. Any thread.
void set_loopback_memory_max(std::size_t bytes) noexcept;
std::size_t loopback_memory_max() noexcept;
inline constexpr std::size_t loopback_memory_usual = std::size_t{2} << 30;
/// What it has.
std::size_t loopback_memory() noexcept;

/// False when the environment says FAIRWAY_LOOPBACK=off; read at each call.
bool loopback_allowed() noexcept;

}  // namespace fairway
