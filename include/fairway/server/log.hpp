// What a server has to say, as values: nothing is printed but by the hook that takes them.
//
// Threads: the hook is called on the port where it happened, also on several ports at a time. It
// should return soon, throws nothing (an exception would end the port's run), and may call
// everything of the server that may be called on any thread.
#pragma once

#include <fairway/engine/clock.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/server/end_reason.hpp>

#include <boost/system/error_code.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fairway {

enum class log_kind : unsigned char {
  listening,         // `local`
  accept_failed,     // `local`, `ec`; that listener was closed, so its clients are refused
  accept_paused,     // the server is full or too fast, and waits; at most one a second
  connection_began,  // `id`, `remote`
  connection_refused,  // `remote`, `text`: full, peer, draining
  connection_ended,  // `id`, `remote`, `reason`, `age`, `bytes_in`, `bytes_out`; `text`: what the
                     // handler threw
  drain_began,
  drain_ended        // `text`: the report in one line
};

std::string_view to_string(log_kind kind) noexcept;

struct log_event {
  log_kind kind;
  std::uint64_t id = 0;
  endpoint remote{};
  endpoint local{};
  end_reason reason = end_reason::none;
  boost::system::error_code ec{};
  port_clock::duration age{};
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::string text{};
};

/// One line of `key=value` pairs: what a hook that prints would print.
std::string to_string(const log_event& event);

using log_hook = std::function<void(const log_event&)>;

}  // namespace fairway
