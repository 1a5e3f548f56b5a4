#include <fairway/version.hpp>

#include <doctest/doctest.h>

#include <algorithm>

TEST_CASE("the version has three numbers") {
  const auto version = fairway::version();
  CHECK(std::count(version.begin(), version.end(), '.') == 2);
}
