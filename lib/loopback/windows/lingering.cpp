#include "loopback/windows/lingering.hpp"

#include "engine/iocp/winsock.hpp"
#include "engine/port_core.hpp"
#include "loopback/tcp.hpp"

#include <fairway/engine/detail/handle.hpp>

#include <new>
#include <utility>

namespace fairway::detail::shm {

namespace {

constexpr std::chrono::seconds patience{1};

}  // namespace

struct lingering final : io_object, handler_base {
  explicit lingering(port_core& owner)
      : io_object{owner, &destroy_it}, handler_base{&on_ready, &on_discard} {
    waiting.object = this;
    read_side = &waiting;
  }
  static void destroy_it(io_object* object) noexcept { delete static_cast<lingering*>(object); }
  static void on_ready(handler_base* base, io_op& op);
  static void on_discard(handler_base* base, io_op& op) {
    auto& self = *static_cast<lingering*>(base);
    finish(op);
    self.core->close(self);
    self.core->release(self);
  }
  void wait(time_point until) noexcept {
    end = until;
    core->attach(waiting, this);
    waiting.kind = op_kind::wait;
    waiting.waiting = wait_for::read;
    try {
      core->arm_deadline(waiting, until);
    } catch (const std::bad_alloc&) {
      owed = 0;  // what comes first ends it
    }
    core->start(waiting);
  }

  unsigned owed = 0;
  time_point end{};
  io_op waiting{op_kind::wait};
};

void lingering::on_ready(handler_base* base, io_op& op) {
  auto& self = *static_cast<lingering*>(base);
  const error_code ec = op.result.ec;
  finish(op);
  if (!ec && !self.closing) {
    std::byte room[16];
    const io_vec one{room, sizeof room};
    const tcp::outcome got = tcp::receive(self.handle, &one, 1);
    const bool ended = got.bytes == 0 && !tcp::is_would_block(got.error);
    if (!ended && got.bytes < self.owed) {
      self.owed -= static_cast<unsigned>(got.bytes);
      return self.wait(self.end);
    }
  }
  self.core->close(self);
  self.core->release(self);
}

lingering* make_lingering(port_core& core) noexcept { return new (std::nothrow) lingering{core}; }

void drop_lingering(lingering* unused) noexcept {
  if (unused != nullptr) drop_object(unused);
}

bool linger_for_bells(lingering& here, io_object& stream, unsigned bells) noexcept {
  if (here.closing) return false;
  // The packets of what is cancelled still find the stream's operations.
  ::CancelIoEx(iocp::file_of(stream.handle), nullptr);
  here.handle = std::exchange(stream.handle, no_handle);
  here.registered = stream.registered;
  here.os.bits = stream.os.bits;
  here.owed = bells;
  here.wait(stream.core->after(patience));
  return true;
}

}  // namespace fairway::detail::shm
