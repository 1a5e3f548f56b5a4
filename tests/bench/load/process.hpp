// What the system knows of a process: the server's, and our own.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bench {

inline std::uint64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec at{};
  ::clock_gettime(clock, &at);
  return static_cast<std::uint64_t>(at.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(at.tv_nsec);
}

struct usage {
  std::uint64_t at_ns = 0;
  std::uint64_t cpu_ns = 0;        // exact of a process that sleeps
  std::uint64_t own_cpu_ns = 0;    // the load generator's
  std::uint64_t user_ticks = 0;    // sampled by the kernel: right only in the sum of many rounds
  std::uint64_t system_ticks = 0;
  std::uint64_t allocations = 0;   // when the server runs with the counting allocator
  std::uint64_t switches = 0;      // times that a thread of it slept
  std::uint64_t resident_kib = 0;
  std::uint64_t threads = 0;
};

class process {
 public:
  // `counter`: the file that the counting allocator keeps its number in; may be null.
  process(pid_t pid, const char* counter) : pid_{pid} {
    if (counter == nullptr) return;
    const int fd = ::open(counter, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void* at = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    if (at != MAP_FAILED) allocations_ = static_cast<const volatile std::uint64_t*>(at);
  }

  // The clocks first: what follows costs time.
  usage look(bool memory) const {
    usage seen;
    seen.at_ns = now_ns();
    seen.own_cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    clockid_t clock{};
    if (pid_ > 0 && ::clock_getcpuclockid(pid_, &clock) == 0) seen.cpu_ns = now_ns(clock);
    if (allocations_ != nullptr) seen.allocations = *allocations_;
    if (pid_ <= 0) return seen;
    read_ticks(seen);
    if (memory) read_status(seen);
    return seen;
  }

  // Until the process sleeps, a hundredth of a second at most. The kernel brings the clock of a
  // process that runs on another processor up to date at its ticks alone, 4 ms apart as a rule; of
  // one that sleeps the clock is exact.
  void let_rest() const {
    if (pid_ <= 0) return;
    const std::uint64_t last = now_ns() + 10'000'000;
    for (int seen = 0; seen < 2 && now_ns() < last;) {
      const timespec pause{0, 50'000};
      ::ppoll(nullptr, 0, &pause, nullptr);
      char text[1024];
      const char* rest = read_file("stat", text, sizeof text);
      rest = rest != nullptr ? std::strrchr(rest, ')') : nullptr;
      seen = rest == nullptr || rest[1] != ' ' || rest[2] == 'S' ? seen + 1 : 0;
    }
  }

 private:
  void read_ticks(usage& seen) const {
    char text[1024];
    const char* rest = read_file("stat", text, sizeof text);
    rest = rest != nullptr ? std::strrchr(rest, ')') : nullptr;
    unsigned long user = 0, system = 0;
    if (rest != nullptr && std::sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u"
                                                 " %lu %lu", &user, &system) == 2) {
      seen.user_ticks = user;
      seen.system_ticks = system;
    }
  }

  void read_status(usage& seen) const {
    char text[8192];
    if (const char* all = read_file("status", text, sizeof text)) {
      seen.resident_kib = number(all, "VmRSS:");
      seen.threads = number(all, "Threads:");
    }
    char folder[64];
    std::snprintf(folder, sizeof folder, "/proc/%d/task", static_cast<int>(pid_));
    DIR* tasks = ::opendir(folder);
    if (tasks == nullptr) return;
    while (const dirent* task = ::readdir(tasks)) {
      if (task->d_name[0] == '.') continue;
      char name[64];
      std::snprintf(name, sizeof name, "task/%.20s/status", task->d_name);
      if (const char* all = read_file(name, text, sizeof text)) {
        seen.switches += number(all, "\nvoluntary_ctxt_switches:");
      }
    }
    ::closedir(tasks);
  }

  static std::uint64_t number(const char* text, const char* key) {
    unsigned long value = 0;
    const char* found = std::strstr(text, key);
    if (found != nullptr) std::sscanf(found + std::strlen(key), " %lu", &value);
    return value;
  }

  const char* read_file(const char* name, char* text, std::size_t size) const {
    char path[128];
    std::snprintf(path, sizeof path, "/proc/%d/%s", static_cast<int>(pid_), name);
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return nullptr;
    const ssize_t got = ::read(fd, text, size - 1);
    ::close(fd);
    if (got <= 0) return nullptr;
    text[got] = '\0';
    return text;
  }

  pid_t pid_;
  const volatile std::uint64_t* allocations_ = nullptr;
};

}  // namespace bench
