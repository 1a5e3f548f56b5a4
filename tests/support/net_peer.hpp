// A plain socket of the system in the test's own thread: the other side of what is tested. Nothing
// of Fairway's engine is in it, and nothing in it blocks but connecting, which on one machine needs
// no accept.
#pragma once

#include <fairway/net/endpoint.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace support {

class fast_peer;

class raw_peer {
 public:
  using native = std::uintptr_t;
  enum class event { bytes, nothing, end, reset };

  raw_peer() = default;
  explicit raw_peer(native handle) noexcept : handle_{handle} {}
  raw_peer(raw_peer&& other) noexcept;
  raw_peer& operator=(raw_peer&& other) noexcept;
  ~raw_peer() { close(); }

  // Each throws boost::system::system_error.
  static raw_peer connect(const fairway::endpoint& to);
  // As connect, but not a plain socket: see fast_peer.hpp.
  static raw_peer connect_fast(const fairway::endpoint& to);
  static raw_peer listen(const fairway::endpoint& local, int backlog = 128);
  static raw_peer bound(const fairway::endpoint& local);  // a stream socket, neither of the above
  static raw_peer datagram(const fairway::endpoint& local);

  // Waits for a connection that is on its way.
  raw_peer accept();

  // As many bytes as the system takes now.
  std::size_t write_some(std::string_view bytes);
  // All of them: for what fits into socket buffers. Throws when it does not.
  void write(std::string_view bytes);
  // Appends what has arrived.
  event read(std::string& into);
  void send_to(std::string_view bytes, const fairway::endpoint& to);

  void shutdown_send();
  void set_receive_buffer(int bytes);
  void close() noexcept;
  // Closes with a reset (SO_LINGER, zero seconds).
  void reset();
  // Gives the socket up, blocking as it was made.
  native release();
  native handle() const noexcept { return handle_; }

  fairway::endpoint local() const;
  fairway::endpoint remote() const;

 private:
  static constexpr native none = ~native{0};
  native handle_ = none;
  std::shared_ptr<fast_peer> fast_;  // null: a plain socket
};

// False, after printing why, when this machine has no ::1.
bool has_ipv6();

// Whether a child that this process starts would inherit the handle.
bool is_inherited(std::uintptr_t handle);

}  // namespace support
