// Which ports a connector takes for its offers, in turn.
//
// From one at random every other port, then those between, so that none comes again before all were
// used: a connection in TIME_WAIT leaves its pair of endpoints to another one after a second at the
// earliest (tcp_tw_reuse in the kernel's ip-sysctl page), and neighbours share cache lines of the
// kernel's tables. The odd ones first, because Linux gives even ones to connect(2) while there are
// some (ip_local_port_range there).
//
// Threads: one. A fork repeats them, which costs the slower of the two another try.
#pragma once

#include <cstdint>

namespace fairway::detail::shm {

class port_choice {
 public:
  // `first` and `count` are even. Whatever `random` gives will do, the same number too.
  port_choice(unsigned first, unsigned count, unsigned (*random)() noexcept) noexcept
      : first_{first}, count_{count}, random_{random} {
    jump();
  }

  std::uint16_t next() noexcept {
    const unsigned port = first_ + at_;
    at_ += 2;
    if (at_ >= count_) at_ = (at_ + 1) % 2;
    return static_cast<std::uint16_t>(port);
  }

  // Somebody else has the ports around.
  void jump() noexcept { at_ = random_() % count_ | 1; }

 private:
  unsigned first_, count_;
  unsigned (*random_)() noexcept;
  unsigned at_ = 1;
};

}  // namespace fairway::detail::shm
