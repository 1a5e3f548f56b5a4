// What the works have in common: one server's connections on one epoll set, and its turns. Many
// servers are alive at once and take turns of ten milliseconds and more, so that each is compared
// with what the others did in the same tenth of a second: a machine that is slower for a while is
// slower for all of them. A turn begins with what is not measured and leaves nothing in flight, so
// a server whose turn it is not sleeps.
//
// `Work` has resume(): the first requests; serve(number, events): a connection is ready; settle():
// ends what is in flight; finish(): the last looks at the bytes.
#pragma once

#include "plan.hpp"

#include <sys/epoll.h>

namespace bench {

inline std::uint64_t ns_of(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

template <class Work>
class turns {
 public:
  turns(const turns&) = delete;
  turns& operator=(const turns&) = delete;

  void turn() {
    const condition begun = plan_.count == 0 ? gauge_.look() : condition{};
    self().resume();
    until(now_ns() + ns_of(plan_.warm_seconds), 0);
    self().settle();
    server_.let_rest();
    slice_ = {};
    slice_.begun = begun;
    slice_.before = server_.look(false);
    idle_ns_ = 0;
    measuring_ = true;
    self().resume();
    until(slice_.before.at_ns + ns_of(plan_.seconds), plan_.count);
    slice_.after = server_.look(true);
    slice_.timed = slice_.requests;
    std::uint64_t in_vain = idle_ns_;  // a poll in vain is no work
    self().settle();
    measuring_ = false;
    slice_.settled_ns = now_ns();
    if (plan_.whole) {
      slice_.after.at_ns = slice_.settled_ns;
      slice_.after.own_cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
      slice_.timed = slice_.requests;
      in_vain = idle_ns_;
    }
    // By the clock: more than was spent, should another program have had the processor.
    const std::uint64_t spent = slice_.after.own_cpu_ns - slice_.before.own_cpu_ns;
    slice_.after.own_cpu_ns -= std::min(in_vain, spent);
    server_.let_rest();
    const usage rested = server_.look(false);
    slice_.after.cpu_ns = rested.cpu_ns;
    slice_.after.allocations = rested.allocations;
    if (plan_.count == 0) slice_.ended = gauge_.look();
    slice_.times = times_.look();
    times_.move_into(found_.times);
    found_.slices.push_back(slice_);
  }

 protected:
  static constexpr double settle_seconds_max = 10;

  turns(const plan& p, const target& to, outcome& found)
      : plan_{p}, to_{to}, found_{found}, bytes_{byte_stream::of_pattern()}, room_(256 * 1024),
        server_{to.pid, to.allocations}, gauge_{to.pid},
        queue_{::epoll_create1(EPOLL_CLOEXEC)} {}
  ~turns() {
    for (const int fd : open_) {
      if (fd >= 0) ::close(fd);
    }
    ::close(queue_);
  }

  // A connection that does not block from here on, under its number in the epoll set, or -1.
  int open(std::size_t number, std::uint64_t source, bool wait, std::uint32_t events) {
    const int fd = connect_to(to_, source, wait);
    if (fd < 0) {
      found_.fail(why("connect"));
      return -1;
    }
    if (wait) block(fd, false);
    if (open_.size() <= number) open_.resize(number + 1, -1);
    open_[number] = fd;
    epoll_event event{};
    event.events = events;
    event.data.u64 = number;
    ::epoll_ctl(queue_, EPOLL_CTL_ADD, fd, &event);
    return fd;
  }
  void close(std::size_t number) {
    ::close(open_[number]);
    open_[number] = -1;
  }

  static void block(int fd, bool blocking) {
    const int flags = ::fcntl(fd, F_GETFL);
    ::fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
  }

  // Until the time has come, `count` requests were measured (unless zero), `idle` says that there
  // is nothing left to wait for, or something broke.
  template <class Idle>
  void until(std::uint64_t deadline, std::uint64_t count, Idle idle) {
    epoll_event events[512];
    while (found_.errors == 0 && !idle()) {
      const std::uint64_t now = now_ns();
      if (count == 0 ? now >= deadline : slice_.requests >= count) return;
      if (count != 0 && now > deadline + ns_of(60)) return found_.fail("too slow");
      const int ready = ::epoll_wait(queue_, events, 512, plan_.poll ? 0 : 20);
      if (ready <= 0 && plan_.poll) idle_ns_ += now_ns() - now;
      for (int i = 0; i < ready && found_.errors == 0; ++i) {
        self().serve(events[i].data.u64, events[i].events);
      }
    }
  }
  void until(std::uint64_t deadline, std::uint64_t count) {
    until(deadline, count, [] { return false; });
  }

  void note(std::uint64_t begun, std::uint64_t ended) {
    if (!measuring_) return;
    times_.record(ended - begun);
    ++slice_.requests;
    slice_.bytes += plan_.size;
  }

  const plan& plan_;
  const target& to_;
  outcome& found_;
  byte_stream bytes_;
  aligned_bytes room_;
  slice slice_;
  bool measuring_ = false;
  process server_;

 private:
  Work& self() { return static_cast<Work&>(*this); }

  histogram times_;
  std::uint64_t idle_ns_ = 0;
  gauge gauge_;
  int queue_;
  std::vector<int> open_;
};

}  // namespace bench
