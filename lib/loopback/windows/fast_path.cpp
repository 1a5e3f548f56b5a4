#include "loopback/fast_path.hpp"

#include "net/objects.hpp"

#include <boost/asio/error.hpp>

// No shared memory on this system: every function leaves TCP, and says so.
namespace fairway::detail::shm {

namespace {

// Why the kernel's path was not had says more, where that was asked for as well.
void refuse(io_object& object) noexcept {
  if (reason_in(object) != path_reason::not_asked) return;
  set_path(object, path::tcp, path_reason::not_supported);
}

}  // namespace

struct offer {};

void open_rendezvous(io_object& listener) noexcept { refuse(listener); }
void match(io_object&, io_object& stream) noexcept { refuse(stream); }

offer* make_offer(io_object& stream, const endpoint&, bool, std::size_t) noexcept {
  refuse(stream);
  return nullptr;
}

void connected(offer*, io_object&) noexcept {}
void withdraw(offer*) noexcept {}
bool chose_source(const offer&) noexcept { return false; }

result<void> shutdown(io_object&, bool, bool) noexcept {
  return boost::system::error_code{boost::asio::error::operation_not_supported};
}

bool leave(io_object&) noexcept { return true; }

}  // namespace fairway::detail::shm
