// One control code on its way: number, encoded input, room for the output. Lives in the operation,
// or on the stack of a synchronous call.
#pragma once

#include <fairway/net/provider.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace fairway {

/// On which sockets, and when, a command may be given; checked before any call.
struct control_rules {
  bool tcp_only = false;
  bool before_connect = false;
  bool waits = false;  // for an event: not without an operation
};

namespace detail {

struct control_request {
  static constexpr std::size_t inline_bytes = 448;

  control_id command = control_id::raw;
  control_rules rules{};
  std::uint32_t code = 0;
  std::uint32_t input_bytes = 0;
  std::uint32_t output_bytes = 0;
  std::uint32_t returned = 0;  // of the output, when the call is over
  std::byte* data = nullptr;   // input and output, one after the other, each aligned to 16
  std::unique_ptr<std::byte[]> large;  // null: both fit
  alignas(16) std::byte room[inline_bytes];

  control_request() = default;
  control_request(const control_request&) = delete;
  control_request& operator=(const control_request&) = delete;

  // Zeroed memory for both. Throws std::bad_alloc.
  void set(std::uint32_t number, std::size_t in, std::size_t out);
  std::byte* input() noexcept { return input_bytes == 0 ? nullptr : data; }
  std::byte* output() noexcept { return output_bytes == 0 ? nullptr : data + output_offset(); }
  const std::byte* output() const noexcept {
    return output_bytes == 0 ? nullptr : data + output_offset();
  }
  std::size_t output_offset() const noexcept { return (input_bytes + 15u) & ~std::size_t{15}; }
};

template <class Command>
void encode(const Command& command, control_request& request) {
  request.command = Command::id;
  request.rules = Command::rules;
  command.encode(request);
}

}  // namespace detail

}  // namespace fairway
