// The words of the server layer: reasons, log lines, reports.

#include <fairway/server/drain.hpp>
#include <fairway/server/end_reason.hpp>
#include <fairway/server/log.hpp>

#include <array>
#include <chrono>
#include <cstdio>

namespace fairway {

namespace {

constexpr std::array<std::string_view, end_reasons> reason_names{
    "none",         "finished",        "closed_by_handler", "peer_closed",
    "peer_reset",   "io_error",        "handshake_timeout", "idle_timeout",
    "request_timeout", "write_stall",  "shed",              "drained",
    "cut_by_drain", "stopped",         "handler_failed"};

std::string seconds(port_clock::duration time) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f",
                std::chrono::duration<double>(time).count());
  return text.data();
}

// Quoted, so that a line stays one line and a value one value.
std::string in_quotes(std::string_view text) {
  std::string made = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') made += '\\';
    made += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return made + '"';
}

// A client names the path of its own unix-domain socket: no word of it may pass for a pair.
std::string one_word(const endpoint& where) {
  std::string text = where.to_string();
  return text.find_first_of(" \"") == std::string::npos ? text : in_quotes(text);
}

}  // namespace

std::string_view to_string(end_reason reason) noexcept {
  const auto at = static_cast<std::size_t>(reason);
  return at < reason_names.size() ? reason_names[at] : "unknown";
}

std::string_view to_string(log_kind kind) noexcept {
  switch (kind) {
    case log_kind::listening: return "listening";
    case log_kind::accept_failed: return "accept_failed";
    case log_kind::accept_paused: return "accept_paused";
    case log_kind::connection_began: return "connection_began";
    case log_kind::connection_refused: return "connection_refused";
    case log_kind::connection_ended: return "connection_ended";
    case log_kind::drain_began: return "drain_began";
    case log_kind::drain_ended: return "drain_ended";
  }
  return "unknown";
}

std::string to_string(const log_event& event) {
  std::string line = "event=" + std::string{to_string(event.kind)};
  const bool of_one = event.kind == log_kind::connection_began ||
                      event.kind == log_kind::connection_ended;
  if (of_one) line += " id=" + std::to_string(event.id);
  if (of_one || event.kind == log_kind::connection_refused) {
    line += " remote=" + one_word(event.remote);
  }
  if (event.kind == log_kind::listening || event.kind == log_kind::accept_failed) {
    line += " local=" + one_word(event.local);
  }
  if (event.kind == log_kind::connection_ended) {
    line += " reason=" + std::string{to_string(event.reason)} + " age=" + seconds(event.age) +
            " bytes_in=" + std::to_string(event.bytes_in) +
            " bytes_out=" + std::to_string(event.bytes_out);
  }
  if (event.ec) line += " error=" + in_quotes(event.ec.message());
  if (!event.text.empty()) line += " text=" + in_quotes(event.text);
  return line;
}

std::string drain_report::text() const {
  return "open=" + std::to_string(open_at_start) + " finished=" + std::to_string(finished.size()) +
         " cut=" + std::to_string(cut.size()) + " seconds=" + seconds(took);
}

}  // namespace fairway
