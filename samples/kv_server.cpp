// A key-value server that redis-cli and redis-benchmark take for Redis.
#include "kv_store.hpp"
#include "resp.hpp"
#include "serving.hpp"

#include <fairway/protocol/framed.hpp>

#include <optional>
#include <string>

namespace {

const std::string help = "kv_server: speaks the protocol of Redis (RESP2)\n" +
                         std::string{samples::serving_help};

fairway::task<> serve(fairway::connection& client, kv::store& data) {
  fairway::framed peer{client.stream(), resp::codec{}};
  std::string reply;
  bool stays = true;
  while (stays) {
    auto next = co_await peer.async_read();
    if (!next) {
      if (next.error() == fairway::error::protocol_violation) {
        (void)co_await peer.async_write(peer.codec().problem());
      }
      break;
    }
    // Pipelined commands are read and answered without a turn through the port each.
    std::optional<resp::command> command = next.value();
    while (command && stays) {
      reply.clear();
      stays = data.run(*command, reply);
      auto sent = peer.try_write(reply);
      if (!sent) sent = co_await peer.async_write(reply);
      if (!sent) co_return;
      auto more = peer.try_read();
      command = more ? more.value() : std::nullopt;
    }
  }
  (void)co_await peer.async_flush();
}

}  // namespace

int main(int count, char** words) {
  constexpr std::string_view name = "kv_server";
  const samples::arguments given{
      name, help, count, words,
      {"listen", "engine", "busy-poll", "connections", "drain"}, {"verbose"}};
  kv::store data;  // one port, so nothing is locked
  return samples::serve(
      name, given, [&](fairway::connection& client) { return serve(client, data); },
      samples::serving_options(given));
}
