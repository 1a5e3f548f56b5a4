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
    case path_reason::not_built: return "this version of the library has no such path";
  }
  return "unknown reason";
}

bool loopback_allowed() noexcept {
  const char* set = std::getenv("FAIRWAY_LOOPBACK");
  return set == nullptr || std::string_view{set} != "off";
}

}  // namespace fairway
