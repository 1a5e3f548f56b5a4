#include "support/fast_peer.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <cstdlib>

namespace support {

namespace {

fairway::port_options options_of_peer() {
  fairway::port_options options;
  const char* const name = std::getenv("FAIRWAY_TEST_PEER_ENGINE");
  if (name != nullptr) fairway::parse_engine(name, options.engine);
  return options;
}

}  // namespace

bool over_shared_memory() {
  const char* const path = std::getenv("FAIRWAY_TEST_PATH");
  return path != nullptr && std::string_view{path} == "shared_memory";
}

fast_peer::fast_peer(const fairway::endpoint& to)
    : port_{options_of_peer()},
      dial_{port_, {.loopback = fairway::loopback::shared_memory}},
      room_(65536) {
  dial_.async_connect(to, [this](boost::system::error_code ec, fairway::stream s) {
    ec_ = ec;
    stream_ = std::move(s);
    connected_ = true;
  });
  for (int i = 0; i < 1000 && !connected_; ++i) {
    port_.restart();
    port_.run_one_for(std::chrono::milliseconds{10});
  }
  if (!connected_ || ec_) throw boost::system::system_error(ec_, "connect");
}

void fast_peer::poll() {
  port_.restart();
  port_.poll();
}

std::size_t fast_peer::write_some(std::string_view bytes) {
  bool done = false;
  std::size_t sent = 0;
  stream_.async_write_some(boost::asio::buffer(bytes.data(), bytes.size()),
                           [&](boost::system::error_code, std::size_t n) {
                             done = true;
                             sent = n;
                           });
  poll();
  if (!done) {
    stream_.cancel();
    while (!done) poll();
  }
  return sent;
}

void fast_peer::begin_read() {
  reading_ = true;
  got_ = false;
  stream_.async_read_some(boost::asio::buffer(room_),
                          [this](boost::system::error_code ec, std::size_t n) {
                            got_ = true;
                            ec_ = ec;
                            bytes_ = n;
                          });
}

fast_peer::event fast_peer::read(std::string& into) {
  if (!reading_) begin_read();
  poll();
  if (!got_) return event::nothing;
  reading_ = false;
  if (!ec_) {
    into.append(room_.data(), bytes_);
    return event::bytes;
  }
  return ec_ == fairway::condition::eof ? event::end : event::reset;
}

void fast_peer::shutdown_send() {
  (void)stream_.shutdown(fairway::shutdown_kind::send);
  poll();
}

void fast_peer::close() {
  stream_.close();
  poll();
}

void fast_peer::reset() {
  (void)stream_.set_option(fairway::linger{true, std::chrono::seconds{0}});
  close();
}

}  // namespace support
