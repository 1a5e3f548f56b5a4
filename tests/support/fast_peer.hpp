// The other side of what is tested, as raw_peer is, but a stream of Fairway's on the fast path, on
// a port of its own that runs only inside these calls.
//
// With FAIRWAY_TEST_PATH=shared_memory the pairs of net.hpp are made of these, so the same tests
// run over shared memory; FAIRWAY_TEST_PEER_ENGINE names the engine of this side.
#pragma once

#include <fairway/fairway.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace support {

// What FAIRWAY_TEST_PATH says.
bool over_shared_memory();

class fast_peer {
 public:
  explicit fast_peer(const fairway::endpoint& to);

  // Runs what is ready on this side.
  void poll();

  std::size_t write_some(std::string_view bytes);
  enum class event { bytes, nothing, end, reset };
  event read(std::string& into);
  void shutdown_send();
  void close();
  void reset();
  fairway::stream& stream() noexcept { return stream_; }

 private:
  void begin_read();

  fairway::completion_port port_;
  fairway::connector dial_;
  fairway::stream stream_;
  std::vector<char> room_;
  bool connected_ = false;
  bool reading_ = false;
  bool got_ = false;
  boost::system::error_code ec_;
  std::size_t bytes_ = 0;
};

}  // namespace support
