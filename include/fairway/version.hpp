// The version of the library that the program is linked with.
//
// It can differ from the version of the headers when Fairway is a shared library that was replaced
// after the program was built. A program that reports its parts calls this once.
// Cost: none. Threads: any.
#pragma once

#include <string_view>

namespace fairway {

/// The linked library's version as "major.minor.patch".
[[nodiscard]] std::string_view version() noexcept;

}  // namespace fairway
