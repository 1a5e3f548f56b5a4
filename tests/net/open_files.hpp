// Whether this process has as many open descriptors as when this was made. Says yes where the
// system does not tell.
#pragma once

#include <cstddef>

#if defined(__linux__)
#include <filesystem>
#include <iterator>
#endif

class open_files {
 public:
  open_files() : before_(count()) {}
  bool are_as_before() const { return count() == before_; }

 private:
  static std::size_t count() {
#if defined(__linux__)
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(files), end(files)));
#else
    return 0;
#endif
  }

  std::size_t before_;
};
