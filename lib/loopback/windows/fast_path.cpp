#include "loopback/fast_path.hpp"

#include "engine/port_core.hpp"
#include "loopback/offering.hpp"
#include "loopback/service.hpp"
#include "loopback/system.hpp"
#include "loopback/windows/bell_channel.hpp"
#include "loopback/windows/section.hpp"
#include "net/objects.hpp"
#include "net/socket.hpp"

#include <memory>
#include <new>
#include <string>
#include <utility>

// Here an arena has one slot and a name: that of the two endpoints of its connection.
namespace fairway::detail::shm {

namespace {

std::string name_of_listener(const address& at) {
  return "Local\\fairway-loopback-1-listener-" + at.text();
}

std::string name_of_connection(const address_pair& ends) {
  return "Local\\fairway-loopback-1-" + ends.source.text() + "-" + ends.target.text();
}

constexpr unsigned the_slot = 0;
constexpr std::uint64_t the_generation = 1;

// A listener's end: the mark by which connectors know that it takes offers.
struct rendezvous final : io_attachment {
  rendezvous() {
    on_close = [](io_object& o) noexcept {
      static_cast<rendezvous*>(o.attached)->mark = system::kernel_handle{};
    };
    destroy = [](io_object& o) noexcept { delete static_cast<rendezvous*>(o.attached); };
  }
  system::kernel_handle mark;
};

void match_offer(io_object& listener, io_object& stream) {
  port_core& core = *listener.core;
  const auto remote = sockets::remote_endpoint(stream.handle);
  const auto local = sockets::local_endpoint(stream.handle);
  if (!remote || !local || !remote.value().is_loopback()) {
    return tell_path(core, stream, path::tcp, path_reason::not_loopback);
  }
  // Looking at memory is for the port that has the stream.
  if (stream.core != &core) return tell_path(core, stream, path::tcp, path_reason::other_port);
  const address_pair ends{address_of(remote.value()), address_of(local.value())};
  path_reason why{};
  auto memory = system::open_section(name_of_connection(ends), why);
  if (memory == nullptr) return tell_path(core, stream, path::tcp, why);
  const slot_use use{std::move(memory), the_slot, the_generation};
  const slot_header& slot = use.in->slot(the_slot);
  const address_pair offered{load(slot.source), load(slot.target)};
  if (!is_live(use) || use.in->shape().slots != 1 || !(offered == ends)) {
    return tell_path(core, stream, path::tcp, path_reason::peer_broke_rules);
  }
  stream.attached = new bell_channel{stream, service::of(*stream.core), use, side::acceptor,
                                     system::kernel_handle{}};
  tell_path(core, stream, path::tcp, path_reason::not_yet);
}

}  // namespace

void open_rendezvous(io_object& listener) noexcept {
  try {
    const auto local = sockets::local_endpoint(listener.handle);
    if (!local || !local.value().is_ip()) {
      return set_path(listener, path::local, path_reason::not_tcp);
    }
    if (!local.value().address().is_unspecified() && !local.value().is_loopback()) {
      return set_path(listener, path::tcp, path_reason::not_loopback);
    }
    auto made = std::make_unique<rendezvous>();
    path_reason why{};
    made->mark = system::make_mark(name_of_listener(address_of(local.value())), why);
    if (!made->mark) return set_path(listener, path::tcp, why);
    // The listener's own operation goes on being one of its operations.
    if (listener.attached != nullptr) made->extra[0] = listener.attached->extra[0];
    listener.attached = made.release();
  } catch (const std::bad_alloc&) {
    set_path(listener, path::tcp, path_reason::no_memory);
  }
}

void match(io_object& listener, io_object& stream) noexcept {
  try {
    match_offer(listener, stream);
  } catch (const std::bad_alloc&) {
    tell_path(*listener.core, stream, path::tcp, path_reason::no_memory);
  }
}

struct offer {
  service& where;
  slot_use use;
  system::kernel_handle name;
  bool source_chosen;
};

namespace {

// Whether a listener of this user takes offers at `target`, or at the any address of its port.
bool is_awaited(const address& target, path_reason& why) {
  const address any4 = any_of(target, 4);
  const address any6 = any_of(target, 6);
  for (const address& at : {target, any4, any6}) {
    if (at == any4 && target.name >> 32 == 6) continue;
    if (system::find_mark(name_of_listener(at), why)) return true;
    if (why != path_reason::peer_did_not_ask) return false;
  }
  return false;
}

}  // namespace

offer* offer_to(io_object& stream, const endpoint& to, bool bound, std::size_t ring_bytes,
                path_reason& why) {
  if (!is_awaited(address_of(to), why)) return nullptr;
  auto made = std::make_unique<offer>(offer{service::of(*stream.core), {}, {}, !bound});
  const result<endpoint> source = source_of(stream, to, bound, why);
  if (!source) return nullptr;
  const address_pair ends{address_of(source.value()), address_of(to)};
  auto [memory, name] = system::make_section(name_of_connection(ends), {1, ring_bytes}, why);
  if (memory == nullptr) return nullptr;
  made->use = {std::move(memory), the_slot, the_generation};
  made->name = std::move(name);
  slot_pool::offer(made->use, ends);
  return made.release();
}

void connected(offer* given, io_object& stream) noexcept {
  const std::unique_ptr<offer> made{given};
  try {
    auto attached = std::make_unique<bell_channel>(stream, made->where, made->use,
                                                   side::connector, std::move(made->name));
    attached->machine().connected();
    stream.attached = attached.release();
    tell_path(*stream.core, stream, path::tcp, path_reason::not_yet);
  } catch (const std::bad_alloc&) {
    switch_machine{made->use.place(side::connector)}.revoke();
    tell_path(*stream.core, stream, path::tcp, path_reason::no_memory);
  }
}

void withdraw(offer* given) noexcept {
  const std::unique_ptr<offer> made{given};
  if (made != nullptr) switch_machine{made->use.place(side::connector)}.revoke();
}

bool chose_source(const offer& made) noexcept { return made.source_chosen; }

}  // namespace fairway::detail::shm
