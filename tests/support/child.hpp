// A forked child that does something and reports by its exit status. Linux only.
//
// The child ends by `_exit`: no destructor of the parent's objects runs in it.
#pragma once

#include <exception>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace support {

// Runs `body` in a child. Returns what `body` returned (0 to 100), 101 when it threw, and 200 plus
// the signal's number when a signal ended it.
template <class Body>
int in_child(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int status = 101;
    try {
      status = body();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

}  // namespace support
