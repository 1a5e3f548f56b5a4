// What a port looks at in its turns because no kernel queue tells of it: memory that other
// processes write.
//
// A port has at most one hook; its owner fills the functions in. While `hot` the port looks in
// every turn, also when it has nothing else to do, for as long as `window` says; then it parks the
// hook, which arms whatever wakes the port through the kernel, and sleeps.
//
// Threads: all functions run on the port's owner. They complete operations; they run no handler.
#pragma once

#include <fairway/engine/clock.hpp>

namespace fairway::detail {

struct poll_hook {
  using duration = port_clock::duration;

  // Something is waited for that only looking can find.
  bool (*hot)(const poll_hook&) noexcept = nullptr;
  // Completes what has come; true when there was any.
  bool (*look)(poll_hook&) noexcept = nullptr;
  // How long looking may go on before the next sleep; zero: not at all.
  duration (*window)(const poll_hook&) noexcept = nullptr;
  // The window has passed without anything.
  void (*missed)(poll_hook&) noexcept = nullptr;
  // Arms, then looks once more; true when something had come.
  bool (*park)(poll_hook&) noexcept = nullptr;
  // The port has slept for that long.
  void (*slept)(poll_hook&, duration) noexcept = nullptr;
  // The port has closed all its objects and ends: deletes the hook.
  void (*end)(poll_hook&) noexcept = nullptr;
};

}  // namespace fairway::detail
