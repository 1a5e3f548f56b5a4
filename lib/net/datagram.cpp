#include <fairway/net/datagram.hpp>

#include "engine/port_core.hpp"
#include "net/objects.hpp"
#include "net/socket.hpp"

#include <boost/asio/error.hpp>

#include <cassert>
#include <cstring>

namespace fairway::detail {

namespace {

// Room for the largest address of any family (a unix-domain one, 110 bytes).
constexpr std::size_t address_room = 128;

struct datagram_state : io_object {
  datagram_state(port_core& owner, native_handle socket)
      : io_object{owner, &destroy_it} {
    handle = socket;
    stream_like = false;
    net_bits = net_datagram;
    receiving.object = this;
    sending.object = this;
    read_side = &receiving;
    write_side = &sending;
  }
  static void destroy_it(io_object* object) noexcept {
    delete static_cast<datagram_state*>(object);
  }

  io_op receiving{op_kind::receive_from};
  io_op sending{op_kind::send_to};
  endpoint* sender = nullptr;  // the caller's; null when it does not ask
  alignas(8) std::byte from[address_room];
  alignas(8) std::byte to[address_room];
};

}  // namespace

void start_receive_from(io_object& object, io_op& op, const buffer_list& buffers,
                        endpoint* sender) {
  auto& state = static_cast<datagram_state&>(object);
  op.kind = op_kind::receive_from;
  object.core->set_vecs(op, buffers.data(), buffers.size());
  state.sender = sender;
  op.address = state.from;
  op.address_bytes = sizeof state.from;
  object.core->start(op);
}

void start_send_to(io_object& object, io_op& op, const buffer_list& buffers, const endpoint* to) {
  auto& state = static_cast<datagram_state&>(object);
  op.kind = op_kind::send_to;
  object.core->set_vecs(op, buffers.data(), buffers.size());
  op.address_bytes = 0;
  op.address = state.to;
  if (to != nullptr) {
    assert(to->size() <= sizeof state.to);
    std::memcpy(state.to, to->data(), to->size());
    op.address_bytes = static_cast<std::uint32_t>(to->size());
  }
  object.core->start(op);
}

transfer_values take_received_from(io_op& op) noexcept {
  auto& state = *static_cast<datagram_state*>(op.object);
  const auto& [ec, bytes] = op.result;
  if (state.sender != nullptr && (!ec || ec == boost::asio::error::message_size)) {
    if (auto from = endpoint::from_native(op.address, op.address_bytes)) {
      *state.sender = from.value();
    }
  }
  return {ec, bytes};
}

result<io_object*> open_datagram(completion_port& port, const endpoint& local,
                                 const datagram_options& options) {
  BOOST_OUTCOME_TRY(const native_handle handle, sockets::open(local, sockets::type::datagram));
  const auto prepare = [&]() -> result<void> {
    if (options.reuse_address) {
      BOOST_OUTCOME_TRY(set_option(handle, reuse_address{true}));
    }
    if (options.reuse_port) {
      BOOST_OUTCOME_TRY(set_option(handle, reuse_port{true}));
    }
    if (local.family() == endpoint_family::v6) {
      const bool any = local.address().is_unspecified();
      BOOST_OUTCOME_TRY(set_option(handle, v6_only{options.v6_only.value_or(!any)}));
    }
    return sockets::bind(handle, local);
  };
  if (auto done = prepare(); !done) {
    sockets::close(handle);
    return done.error();
  }
  try {
    return new datagram_state{core_of(port), handle};
  } catch (...) {
    sockets::close(handle);
    throw;
  }
}

result<void> connect_datagram_object(io_object* object, const endpoint& peer) {
  return sockets::connect_datagram(handle_of(object), peer);
}

}  // namespace fairway::detail
