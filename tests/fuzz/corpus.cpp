// The corpus of each codec, and small changes of it, as ordinary tests.

#include "fuzz/targets.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// One byte changed, lost or doubled, or a piece of it repeated.
std::string changed(std::string bytes, std::mt19937& random) {
  if (bytes.empty()) return bytes;
  const std::size_t at = random() % bytes.size();
  switch (random() % 4) {
    case 0: bytes[at] = static_cast<char>(random()); break;
    case 1: bytes.erase(at, 1); break;
    case 2: bytes.insert(at, 1, bytes[at]); break;
    default: bytes += bytes.substr(at);
  }
  return bytes;
}

}  // namespace

TEST_CASE("every codec stands its corpus") {
  for (const fuzz::target& target : fuzz::targets) {
    CAPTURE(std::string{target.name});
    std::mt19937 random{2026};
    std::size_t files = 0;
    const std::filesystem::path folder = std::filesystem::path{FAIRWAY_CORPUS} / target.name;
    for (const auto& entry : std::filesystem::directory_iterator{folder}) {
      CAPTURE(entry.path().string());
      const std::string bytes = contents(entry.path());
      CHECK(target.check(bytes) == "");
      std::string mutant = bytes;
      for (int i = 0; i < 300; ++i) {
        mutant = i % 30 == 0 ? bytes : changed(std::move(mutant), random);
        CAPTURE(mutant);
        REQUIRE(target.check(mutant) == "");
      }
      ++files;
    }
    CHECK(files > 0);
  }
}
