// A control code as an operation of the engine, as `detail::initiation` wants it.
#pragma once

#include <fairway/engine/detail/initiate.hpp>
#include <fairway/net/detail/control_request.hpp>

#include <boost/asio/error.hpp>

#include <concepts>
#include <new>
#include <tuple>
#include <utility>

namespace fairway {

/// How the end of a control code reaches its port. Windows: `overlapped` is a packet in the port's
/// queue, `routine` a completion routine on the port's thread. Elsewhere both are the port's queue.
enum class dispatch : std::uint8_t { overlapped, routine };

/// What control.hpp takes; a type of one's own is as good as those of control_commands.hpp.
template <class T>
concept control_command =
    std::default_initializable<typename T::output> && std::movable<typename T::output> &&
    std::copy_constructible<T> &&
    requires(const T& command, detail::control_request& request,
             const detail::control_request& answer) {
      { T::id } -> std::convertible_to<control_id>;
      { T::rules } -> std::convertible_to<control_rules>;
      command.encode(request);
      { T::decode(answer) } -> std::convertible_to<result<typename T::output>>;
    };

namespace detail {

io_op* claim_control(io_object& object);  // null: one is in flight. Throws std::bad_alloc
control_request& request_of(io_op& op) noexcept;
void start_control(io_object& object, io_op& op, dispatch how);
// The result; notes on the object what the command changed.
boost::system::error_code end_control(io_op& op) noexcept;
void forget_large(io_op& op) noexcept;
// The synchronous call.
boost::system::error_code control_now(io_object* object, control_request& request);

// The object of a stream, listener, datagram or unconnected socket; null when it is empty.
struct object_access {
  template <class Object>
  static io_object* get(const Object& object) noexcept {
    return object.state_.get();
  }
};

template <control_command Command>
struct control_operation {
  using output = typename Command::output;
  using values = std::tuple<boost::system::error_code, output>;

  static io_op* claim(io_object& object) { return claim_control(object); }
  static void start(io_object& object, io_op& op, const Command& command, dispatch how) {
    encode(command, request_of(op));
    start_control(object, op, how);
  }
  static values take(io_op& op) noexcept {
    values taken = decode(op);
    forget_large(op);
    return taken;
  }
  static values failure(boost::system::error_code ec) noexcept { return {ec, output{}}; }

 private:
  static values decode(io_op& op) noexcept {
    if (const auto ec = end_control(op)) return {ec, output{}};
    try {
      auto decoded = Command::decode(request_of(op));
      if (!decoded) return {decoded.error(), output{}};
      return {boost::system::error_code{}, std::move(decoded).value()};
    } catch (const std::bad_alloc&) {
      return {boost::asio::error::no_memory, output{}};
    }
  }
};

}  // namespace detail

}  // namespace fairway
