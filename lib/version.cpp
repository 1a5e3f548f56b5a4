#include <fairway/version.hpp>

namespace fairway {

std::string_view version() noexcept {
  return FAIRWAY_VERSION;
}

}  // namespace fairway
