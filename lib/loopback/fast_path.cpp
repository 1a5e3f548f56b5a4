#include "loopback/fast_path.hpp"

#include "loopback/address.hpp"
#include "loopback/channel.hpp"
#include "loopback/offering.hpp"
#include "loopback/system.hpp"
#include "net/objects.hpp"
#include "net/socket.hpp"

#include <boost/asio/error.hpp>

#include <new>

namespace fairway::detail::shm {

namespace {

channel& channel_of(io_object& stream) noexcept { return static_cast<channel&>(*stream.attached); }

}  // namespace

// From 127.0.0.1 also to 127.9.9.9, as the system chooses. Not from the target's own port: a
// socket that connects to itself is no connection.
result<endpoint> source_of(io_object& stream, const endpoint& to, bool bound, path_reason& why) {
  if (bound) {
    why = path_reason::refused_by_system;
    return sockets::local_endpoint(stream.handle);
  }
  const endpoint from = to.family() == endpoint_family::v4 ? endpoint::loopback_v4(0)
                        : to.address().to_v6().is_v4_mapped()
                            ? endpoint::parse("[::ffff:127.0.0.1]:0").value()
                            : endpoint::loopback_v6(0);
  const auto port = system::bind_source(stream.handle, from, to.port());
  if (port != 0) return from.with_port(port);
  why = path_reason::no_source_port;
  return boost::system::error_code{boost::asio::error::address_in_use};
}

offer* make_offer(io_object& stream, const endpoint& target, bool bound,
                  std::size_t ring_bytes) noexcept {
  path_reason why = path_reason::not_loopback;
  try {
    const endpoint to = reached(target);
    if (to.is_loopback()) {
      why = path_reason::peer_did_not_ask;
      if (offer* made = offer_to(stream, to, bound, ring_bytes, why)) return made;
    }
  } catch (const std::bad_alloc&) {
    why = path_reason::no_memory;
  }
  tell_path(*stream.core, stream, path::tcp, why);
  return nullptr;
}

result<void> shutdown(io_object& stream, bool receive, bool send) noexcept {
  return channel_of(stream).shutdown(receive, send);
}

std::size_t write_now(io_object& stream, const io_vec* from, unsigned count) noexcept {
  return channel_of(stream).write_now(from, count);
}

std::size_t read_now(io_object& stream, const io_vec* into, unsigned count,
                     std::size_t least) noexcept {
  return channel_of(stream).read_now(into, count, least);
}

bool leave(io_object& stream) noexcept { return channel_of(stream).leave(); }

}  // namespace fairway::detail::shm
