// Counts handlers and coroutines that are alive, and those that were run.
#pragma once

#include <boost/system/error_code.hpp>

namespace support {

struct census {
  int alive = 0;
  int ran = 0;

  struct member {
    census* of;
    explicit member(census& c) noexcept : of{&c} { ++of->alive; }
    member(member&& other) noexcept : of{other.of} { ++of->alive; }
    member(const member&) = delete;
    member& operator=(const member&) = delete;
    ~member() { --of->alive; }
    void runs() noexcept { ++of->ran; }
  };
  member one() noexcept { return member{*this}; }
  auto handler() {
    return [m = member{*this}](boost::system::error_code, auto&&...) mutable { m.runs(); };
  }
  bool all_gone() const noexcept { return alive == 0 && ran == 0; }
};

}  // namespace support
