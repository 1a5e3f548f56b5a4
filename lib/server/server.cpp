#include <fairway/server/server.hpp>

#include "server/server_core.hpp"

#include <utility>
#include <vector>

namespace fairway {

namespace {

std::vector<completion_port*> all_of(port_group& group) {
  std::vector<completion_port*> ports;
  for (std::size_t i = 0; i < group.size(); ++i) ports.push_back(&group[i]);
  return ports;
}

}  // namespace

server::server(port_group& ports, connection_handler handler, server_options options)
    : core_{std::make_shared<detail::server_core>(all_of(ports), std::move(handler),
                                                  std::move(options),
                                                  [&ports] { ports.stop(); })} {}

server::server(completion_port& port, connection_handler handler, server_options options)
    : core_{std::make_shared<detail::server_core>(std::vector{&port}, std::move(handler),
                                                  std::move(options), [&port] { port.stop(); })} {}

server::~server() { core_->stop(); }

result<endpoint> server::listen(const endpoint& local) { return core_->listen(local); }
void server::drain_on_signals() { core_->drain_on_signals(); }
void server::stop() { core_->stop(); }
drain_report server::report() const { return core_->report(); }
server_metrics server::metrics() const { return core_->metrics(); }
std::size_t server::connections() const noexcept { return core_->open(); }

namespace detail {

void begin_drain(const std::shared_ptr<server_core>& core, port_clock::duration deadline,
                 drain_done done) {
  core->begin_drain(deadline, std::move(done));
}

completion_port& first_port(const server_core& core) noexcept { return core.first_port(); }

}  // namespace detail

}  // namespace fairway
