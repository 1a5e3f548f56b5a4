#include "loopback/fast_path.hpp"

#include "engine/port_core.hpp"
#include "loopback/link.hpp"
#include "loopback/linux/linked_channel.hpp"
#include "loopback/offer_book.hpp"
#include "loopback/offering.hpp"
#include "loopback/service.hpp"
#include "loopback/system.hpp"
#include "net/objects.hpp"
#include "net/socket.hpp"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

namespace fairway::detail::shm {

namespace {

// Offers that a listener remembers until their connections are accepted, of all processes.
constexpr std::size_t offers_max = 16'384;
constexpr std::size_t links_max = 1'024;
constexpr unsigned links_at_once = 64;

std::string name_of(const address& at) { return "fairway-loopback-1-" + at.text(); }

// A listener's end: the socket with its name, the processes that connected to it, their offers.
struct rendezvous final : io_attachment {
  struct door final : io_object, handler_base {
    door(port_core& owner, rendezvous& behind, int fd)
        : io_object{owner, &destroy_it},
          handler_base{&on_ready, [](handler_base*, io_op& op) { finish(op); }},
          of{&behind} {
      handle = static_cast<native_handle>(fd);
      watching.object = this;
      read_side = &watching;
    }
    static void destroy_it(io_object* object) noexcept { delete static_cast<door*>(object); }
    static void on_ready(handler_base* base, io_op& op);
    void watch() noexcept;  // unless it does or that is of no use

    rendezvous* of;  // null once the listener is gone
    io_op watching{op_kind::wait};
  };

  explicit rendezvous(port_core& owner) : where{service::of(owner)}, book{offers_max} {
    on_close = [](io_object& o) noexcept { static_cast<rendezvous*>(o.attached)->close(); };
    destroy = [](io_object& o) noexcept { delete static_cast<rendezvous*>(o.attached); };
  }
  ~rendezvous() {
    system::close_memory(mark);
    if (entry == nullptr) return;
    entry->of = nullptr;
    drop_object(entry);
  }
  void close() noexcept {
    if (entry != nullptr && entry->core != nullptr) entry->core->close(*entry);
    system::close_memory(std::exchange(mark, -1));
    for (const auto& l : links) l->refuse_offers();
    open = false;
  }
  void drain() noexcept;
  // `why`: of an offer that is there and does not count.
  found_offer find(const address_pair& ends, path_reason& why);
  // Why an offer may be lost; none: it is not.
  path_reason lost() const noexcept {
    const auto l = std::find_if(links.begin(), links.end(), [](const auto& each) {
      return each->lost() != path_reason::none;
    });
    return l != links.end() ? (*l)->lost() : path_reason::none;
  }
  // Why no offer was found: this end may have been short of what it takes to see it.
  path_reason missing(const address_pair& ends) const noexcept {
    for (const auto& l : links) {
      if (const auto why = l->unseen(ends); why != path_reason::none) return why;
    }
    return short_of != path_reason::none ? short_of : path_reason::peer_did_not_ask;
  }

  service& where;
  result<endpoint> local = endpoint{};  // the listener's
  bool any = true;                      // on all addresses: each connection has its own
  door* entry = nullptr;
  int mark = -1;
  bool open = true;
  path_reason short_of = path_reason::none;  // else a process waits that could not be taken
  std::vector<std::shared_ptr<link>> links;
  offer_book book;
};

void rendezvous::door::on_ready(handler_base* base, io_op& op) {
  auto& self = *static_cast<door*>(base);
  port_core& owner = *self.core;
  owner.retain(self);
  finish(op);
  if (self.of != nullptr && !self.closing) {
    self.of->drain();
    self.watch();
  }
  owner.release(self);
}

// Of a process that could not be taken the system would tell again at once: the next connection
// looks for it.
void rendezvous::door::watch() noexcept {
  if (closing || !watching.idle() || of->short_of != path_reason::none) return;
  core->attach_background(watching, this);
  watching.kind = op_kind::wait;
  watching.waiting = wait_for::read;
  core->start(watching);
}

void rendezvous::drain() noexcept {
  std::erase_if(links, [&](const auto& l) {
    if (l->is_useless()) book.drop(l.get());
    return l->is_useless();
  });
  for (unsigned i = 0; i < links_at_once; ++i) {
    short_of = path_reason::none;
    const int fd = system::accept_peer(static_cast<int>(entry->handle), short_of);
    if (fd < 0) return;
    if (links.size() >= links_max) {
      system::close_memory(fd);
      continue;
    }
    try {
      links.push_back(link::make(where, fd, side::acceptor, 0));
    } catch (const std::bad_alloc&) {
      return;
    }
  }
}

found_offer rendezvous::find(const address_pair& ends, path_reason& why) {
  for (const auto& l : links) l->collect(book, l);
  found_offer found = book.take(ends);
  // Of a process that has gone it may be that of an earlier connection, which another listener of
  // this endpoint had.
  if (found.use && !found.from->is_alive()) return {};
  if (found.use && !found.from->is_trusted()) {
    why = path_reason::peer_broke_rules;
    return {};
  }
  return found;
}

void match_offer(rendezvous& at, io_object& stream) {
  port_core& core = at.where.core();
  const auto remote = sockets::remote_endpoint(stream.handle);
  const auto local = at.any ? sockets::local_endpoint(stream.handle) : at.local;
  if (!remote || !local || !remote.value().is_loopback()) {
    return tell_path(core, stream, path::tcp, path_reason::not_loopback);
  }
  const address_pair ends{address_of(remote.value()), address_of(local.value())};
  path_reason why = path_reason::none;
  found_offer found = at.find(ends, why);
  if (!found.use) {
    if (why == path_reason::none) why = at.lost();  // by links that are of no use now
    at.drain();  // the offer may be on a link that has just come
    at.entry->watch();
    found = at.find(ends, why);
    if (!found.use) {
      if (why == path_reason::none) why = at.missing(ends);
      return tell_path(core, stream, path::tcp, why);
    }
  }
  if (stream.core != &core) return tell_path(core, stream, path::tcp, path_reason::other_port);
  stream.attached = new linked_channel{stream, at.where, found.from, found.use, side::acceptor};
  tell_path(core, stream, path::tcp, path_reason::not_yet);
}

}  // namespace

void open_rendezvous(io_object& listener) noexcept {
  try {
    const auto local = sockets::local_endpoint(listener.handle);
    if (!local || !local.value().is_ip()) {
      return set_path(listener, path::local, path_reason::not_tcp);
    }
    const bool any = local.value().address().is_unspecified();
    if (!any && !local.value().is_loopback()) {
      return set_path(listener, path::tcp, path_reason::not_loopback);
    }
    auto made = std::make_unique<rendezvous>(*listener.core);
    made->local = local;
    made->any = any;
    path_reason why{};
    const auto [fd, mark] = system::listen_at(name_of(address_of(local.value())), why);
    if (fd < 0) return set_path(listener, path::tcp, why);
    made->mark = mark;
    made->entry = new (std::nothrow) rendezvous::door{*listener.core, *made, fd};
    if (made->entry == nullptr) {
      system::close_memory(fd);
      return set_path(listener, path::tcp, path_reason::no_memory);
    }
    made->entry->watch();
    // The listener's own operation goes on being one of its operations.
    if (listener.attached != nullptr) made->extra[0] = listener.attached->extra[0];
    listener.attached = made.release();
  } catch (const std::bad_alloc&) {
    set_path(listener, path::tcp, path_reason::no_memory);
  }
}

void match(io_object& listener, io_object& stream) noexcept {
  try {
    match_offer(static_cast<rendezvous&>(*listener.attached), stream);
  } catch (const std::bad_alloc&) {
    tell_path(*listener.core, stream, path::tcp, path_reason::no_memory);
  }
}

struct offer {
  service& where;
  std::shared_ptr<link> by;
  slot_use use;
  bool source_chosen;
};

namespace {

// The link to whoever listens at `target`: at its own name, or at the any address of its port.
std::shared_ptr<link> link_to(service& where, const address& target, std::size_t ring_bytes,
                              path_reason& why) {
  const address any4 = any_of(target, 4);
  const address any6 = any_of(target, 6);
  for (const address& at : {target, any4, any6}) {
    if (at == any4 && target.name >> 32 == 6) continue;
    if (auto known = where.find(at, ring_bytes)) return known;
    const int fd = system::connect_to(name_of(at), why);
    if (fd < 0) {
      if (why != path_reason::peer_did_not_ask) return nullptr;
      continue;
    }
    auto made = link::make(where, fd, side::connector, ring_bytes);
    where.add(at, made);
    return made;
  }
  return nullptr;
}

}  // namespace

offer* offer_to(io_object& stream, const endpoint& to, bool bound, std::size_t ring_bytes,
                path_reason& why) {
  service& where = service::of(*stream.core);
  auto by = link_to(where, address_of(to), ring_bytes, why);
  if (by == nullptr) return nullptr;
  slot_use slot = by->take_slot(why);
  if (!slot && why == path_reason::no_memory && where.give_up_unused(*by)) {
    slot = by->take_slot(why);
  }
  if (!slot) return nullptr;
  auto made = std::make_unique<offer>(offer{where, by, std::move(slot), !bound});
  const result<endpoint> source = source_of(stream, to, bound, why);
  if (!source) {
    by->give_slot(made->use, false);
    return nullptr;
  }
  slot_pool::offer(made->use, {address_of(source.value()), address_of(to)});
  return made.release();
}

void connected(offer* given, io_object& stream) noexcept {
  const std::unique_ptr<offer> made{given};
  if (made->source_chosen) system::allow_reuse(static_cast<int>(stream.handle), true);
  try {
    auto attached = std::make_unique<linked_channel>(stream, made->where, made->by, made->use,
                                                     side::connector);
    attached->machine().connected();
    stream.attached = attached.release();
    tell_path(*stream.core, stream, path::tcp, path_reason::not_yet);
  } catch (const std::bad_alloc&) {
    switch_machine{made->use.place(side::connector)}.revoke();
    made->by->give_slot(made->use, false);
    tell_path(*stream.core, stream, path::tcp, path_reason::no_memory);
  }
}

void withdraw(offer* given) noexcept {
  const std::unique_ptr<offer> made{given};
  if (made == nullptr || !made->where.is_own()) return;
  // Nobody has claimed it: the connect is not known to have succeeded.
  switch_machine end{made->use.place(side::connector)};
  const bool free = end.revoke();
  if (!free) end.release();
  made->by->give_slot(made->use, !free);
}

bool chose_source(const offer& made) noexcept { return made.source_chosen; }

}  // namespace fairway::detail::shm
