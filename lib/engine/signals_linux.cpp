#include "engine/signals_os.hpp"

#include <array>
#include <cerrno>

#include <signal.h>

namespace fairway::detail {

namespace {

struct entry {
  unsigned kind;
  int number;
  struct sigaction before {};
};
std::array<entry, 3> entries{{{1, SIGINT}, {2, SIGTERM}, {4, SIGHUP}}};

extern "C" void fairway_signal_handler(int number) {
  const int kept = errno;
  for (const entry& e : entries) {
    if (e.number == number) raise_signal(e.kind);
  }
  errno = kept;
}

}  // namespace

bool install_signal(unsigned kind) noexcept {
  for (entry& e : entries) {
    if (e.kind != kind) continue;
    struct sigaction action {};
    action.sa_handler = &fairway_signal_handler;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    return ::sigaction(e.number, &action, &e.before) == 0;
  }
  return false;
}

void remove_signal(unsigned kind) noexcept {
  for (entry& e : entries) {
    if (e.kind == kind) ::sigaction(e.number, &e.before, nullptr);
  }
}

}  // namespace fairway::detail
