// libFuzzer's entry; FAIRWAY_FUZZ_TARGET is the name of a target in targets.hpp.

#include "fuzz/targets.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto* const target =
      std::find_if(std::begin(fuzz::targets), std::end(fuzz::targets),
                   [](const fuzz::target& t) { return t.name == FAIRWAY_FUZZ_TARGET; });
  const std::string wrong = target->check({reinterpret_cast<const char*>(data), size});
  if (!wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    std::abort();
  }
  return 0;
}
