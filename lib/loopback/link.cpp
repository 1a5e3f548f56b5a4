#include "loopback/link.hpp"

#include "engine/port_core.hpp"
#include "loopback/channel.hpp"
#include "loopback/service.hpp"
#include "loopback/system.hpp"
#include "net/socket.hpp"

#include <fairway/engine/detail/handle.hpp>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace fairway::detail::shm {

namespace {

constexpr std::uint64_t slots_at_first = 16;
// Of one arena, unless one slot is more: what is made for one connection is not meant for all.
constexpr std::uint64_t arena_bytes_max = std::uint64_t{8} << 20;
constexpr std::size_t arenas_max = 256;
// What one look at a link may take from it.
constexpr unsigned messages_max = 64;

}  // namespace

// The socket, watched by the port.
struct link::wire final : io_object, handler_base {
  wire(service& where, link& link_of, int fd)
      : io_object{where.core(), &destroy_it}, handler_base{&on_ready, &on_discard}, of{&link_of} {
    handle = static_cast<native_handle>(fd);
    watching.object = this;
    read_side = &watching;
  }
  static void destroy_it(io_object* object) noexcept { delete static_cast<wire*>(object); }
  static void on_discard(handler_base*, io_op& op) { finish(op); }
  static void on_ready(handler_base* base, io_op& op) {
    auto& self = *static_cast<wire*>(base);
    port_core& owner = *self.core;
    owner.retain(self);
    const bool aborted = op.result.ec == boost::asio::error::operation_aborted;
    finish(op);
    if (self.of != nullptr && !self.closing) {
      if (!aborted) self.of->on_readable();
      if (self.of != nullptr) self.of->watch();
    }
    owner.release(self);
  }

  link* of;  // null once the link is gone
  io_op watching{op_kind::wait};
};

std::shared_ptr<link> link::make(service& where, int fd, side me, std::size_t ring_bytes) {
  try {
    auto made = std::make_shared<link>(where, me, ring_bytes);
    made->wire_ = new wire{where, *made, fd};
    where.keep(made);
    made->watch();
    return made;
  } catch (...) {
    sockets::close(static_cast<native_handle>(fd));
    throw;
  }
}

link::~link() {
  system::close_memory(unmapped_);
  if (wire_ == nullptr) return;
  wire_->of = nullptr;
  drop_object(wire_);
}

bool link::is_open() const noexcept { return wire_ != nullptr && !wire_->closing; }

bool link::is_alive() noexcept {
  if (is_open()) on_readable();
  return is_open();
}

void link::watch() noexcept {
  if (!is_open() || !wire_->watching.idle()) return;
  port_core& core = service_.core();
  core.attach_background(wire_->watching, wire_);
  wire_->watching.kind = op_kind::wait;
  wire_->watching.waiting = wait_for::read;
  core.start(wire_->watching);
}

link::member* link::member_of(const slot_use& use) noexcept {
  for (member& m : members_) {
    if (m.at == use.in) return &m;
  }
  return nullptr;
}

void link::enter(channel& c) {
  if (member* m = member_of(c.use())) m->channels[c.use().slot] = &c;
}

void link::leave(channel& c, bool claimed) noexcept {
  if (member* m = member_of(c.use())) m->channels[c.use().slot] = nullptr;
  if (me_ == side::connector) pool_.give(c.use(), claimed);
}

void link::ring(const slot_use& use) noexcept {
  const std::uint64_t bit = std::uint64_t(1) << use.slot;
  use.in->header().rung[index_of(other(me_))].fetch_or(bit, std::memory_order_release);
  service_.core().counts().doorbells_sent.add();
  if (is_open()) system::send_note(static_cast<int>(wire_->handle), system::note::bell);
}

void link::on_readable() noexcept {
  for (unsigned i = 0; i < messages_max && is_open(); ++i) {
    const system::message got = system::receive(static_cast<int>(wire_->handle));
    switch (got.what) {
      case system::note::nothing: return answer_bells();
      case system::note::bell: service_.core().counts().doorbells_received.add(); break;
      case system::note::refused: wanted_ = false; break;
      case system::note::arena: take_arena(got.memory); break;
      case system::note::end: return ended();
    }
  }
  answer_bells();
}

void link::answer_bells() noexcept {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    word& rung = members_[i].at->header().rung[index_of(me_)];
    // Relaxed first: the exchange, which orders, is for when there is something.
    if (rung.load(std::memory_order_relaxed) == 0) continue;
    const std::uint64_t bits = rung.exchange(0, std::memory_order_acq_rel);
    for (std::size_t slot = 0; slot < members_[i].channels.size(); ++slot) {
      channel* const c = members_[i].channels[slot];
      if ((bits >> slot & 1) != 0 && c != nullptr && c->woken()) service_.found_by_bell();
    }
  }
}

// The other process has gone, or its port: TCP tells each channel the same. Of the arenas only
// those stay that a channel has, or an offer.
void link::ended() noexcept {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    for (channel* c : members_[i].channels) {
      if (c != nullptr) c->link_ended();
    }
  }
  service_.core().close(*wire_);
  system::close_memory(std::exchange(unmapped_, -1));
  members_.clear();
  pool_ = {};
}

slot_use link::take_slot(path_reason& why) {
  if (slot_use use = pool_.take()) return use;
  if (members_.size() >= arenas_max) {
    why = path_reason::no_memory;
    return {};
  }
  const auto slots = std::clamp<std::uint64_t>(arena_bytes_max / (2 * ring_bytes_), 1,
                                               members_.empty() ? slots_at_first : slots_max);
  const arena_shape shape{static_cast<std::uint32_t>(slots), ring_bytes_};
  auto [made, memory] = system::make_arena(shape, why);
  if (made == nullptr) return {};
  made->initialise();
  const bool sent = system::send_arena(static_cast<int>(wire_->handle), memory, shape);
  system::close_memory(memory);
  if (!sent) {
    why = path_reason::refused_by_system;
    return {};
  }
  members_.push_back({made, std::vector<channel*>(shape.slots)});
  pool_.add(std::move(made));
  members_.front().at->header().arenas.store(members_.size(), std::memory_order_release);
  return pool_.take();
}

bool link::give_up_unused() noexcept {
  if (me_ != side::connector || !is_open() || members_.empty() || !pool_.all_free()) return false;
  ended();
  return true;
}

void link::take_arena(int memory) noexcept {
  if (me_ != side::acceptor || !trusted_ || !wanted_) return system::close_memory(memory);
  if (memory < 0 || unmapped_ >= 0) {
    // The offers in it are not to be seen, those of a new link may be.
    lost_ = memory < 0 ? path_reason::no_descriptors : path_reason::no_memory;
    system::close_memory(memory);
    return refuse_offers();
  }
  path_reason why{};
  if (const auto shape = system::shape_of(memory, why)) {
    unmapped_ = memory;
    unmapped_shape_ = *shape;
    return map_arena();
  }
  if (why == path_reason::peer_broke_rules) distrust();
  system::close_memory(memory);
}

// Keeps it when there is no memory for it, to try again: the connector goes on with it.
void link::map_arena() noexcept {
  path_reason why = path_reason::no_memory;
  try {
    if (members_.size() < arenas_max) {
      if (auto mapped = system::map_arena(unmapped_, unmapped_shape_, why)) {
        members_.push_back({mapped, std::vector<channel*>(mapped->shape().slots)});
        why = path_reason::none;
      }
    }
  } catch (const std::bad_alloc&) {
    why = path_reason::no_memory;
  }
  if (why == path_reason::no_memory) return;
  if (why == path_reason::peer_broke_rules) distrust();
  system::close_memory(std::exchange(unmapped_, -1));
}

void link::collect(offer_book& book, const std::shared_ptr<link>& self) {
  if (!is_open() || !trusted_) return;
  if (unmapped_ >= 0) map_arena();
  // Arenas that were sent before the connection that is being matched.
  const std::size_t known = members_.size() + (unmapped_ >= 0 ? 1 : 0);
  const bool more = members_.empty() ? known == 0
                                     : members_.front().at->header().arenas.load(
                                           std::memory_order_acquire) > known;
  if (more) on_readable();
  for (const member& m : members_) {
    collect_offers(m.at, [&](slot_use use, const address_pair& ends) {
      book.add(ends, {std::move(use), self});
    });
  }
}

path_reason link::unseen(const address_pair& ends) const noexcept {
  if (lost_ != path_reason::none) return lost_;
  const bool there = unmapped_ >= 0 && system::has_offer(unmapped_, unmapped_shape_, ends);
  return there ? path_reason::no_memory : path_reason::none;
}

void link::refuse_offers() noexcept {
  system::close_memory(std::exchange(unmapped_, -1));
  if (!std::exchange(wanted_, false)) return;
  if (!is_open() || !service_.is_own()) return;
  system::send_note(static_cast<int>(wire_->handle), system::note::refused);
}

}  // namespace fairway::detail::shm
