#include <fairway/loopback.hpp>

#include <cstdlib>

namespace fairway {

std::string_view to_string(loopback what) noexcept {
  switch (what) {
    case loopback::kernel: return "kernel";
    case loopback::shared_memory: return "shared_memory";
    case loopback::both: return "both";
    case loopback::off: break;
  }
  return "off";
}

bool parse_loopback(std::string_view name, loopback& what) noexcept {
  for (loopback l : {loopback::off, loopback::kernel, loopback::shared_memory, loopback::both}) {
    if (name == to_string(l)) {
      what = l;
      return true;
    }
  }
  return false;
}

std::string_view to_string(path what) noexcept {
  switch (what) {
    case path::kernel_fast_path: return "kernel_fast_path";
    case path::shared_memory: return "shared_memory";
    case path::local: return "local";
    case path::tcp: break;
  }
  return "tcp";
}

std::string_view to_string(path_reason why) noexcept {
  switch (why) {
    case path_reason::none: return "the fastest path that was asked for";
    case path_reason::not_asked: return "no faster path was asked for";
    case path_reason::not_loopback: return "not a loopback address";
    case path_reason::not_tcp: return "not a TCP stream";
    case path_reason::refused_by_environment: return "FAIRWAY_LOOPBACK=off forbids it";
    case path_reason::conditional_accept: return "SO_CONDITIONAL_ACCEPT is on";
    case path_reason::not_supported: return "not supported by this system";
    case path_reason::invalid_argument: return "the system calls the request invalid";
    case path_reason::access_denied: return "access denied";
    case path_reason::network_down: return "the network is down";
    case path_reason::interrupted: return "the request was interrupted";
    case path_reason::in_progress: return "another call was in progress";
    case path_reason::refused_by_system: return "the system refused it";
    case path_reason::asked_too_late: return "the stream was connected before";
    case path_reason::peer_did_not_ask: return "the other end did not ask for it";
    case path_reason::not_yet: return "the other end has not taken part yet";
    case path_reason::other_user: return "the other end runs as another user";
    case path_reason::other_version: return "the other end speaks another version";
    case path_reason::other_port: return "accepted onto another port than the listener's";
    case path_reason::name_taken: return "another socket has the rendezvous of the endpoint";
    case path_reason::no_descriptors: return "out of descriptors";
    case path_reason::no_memory: return "out of memory or of the budget for shared memory";
    case path_reason::no_source_port: return "no source port could be bound";
    case path_reason::peer_broke_rules: return "the other end broke the protocol";
  }
  return "unknown reason";
}

bool loopback_allowed() noexcept {
  const char* set = std::getenv("FAIRWAY_LOOPBACK");
  return set == nullptr || std::string_view{set} != "off";
}

}  // namespace fairway
