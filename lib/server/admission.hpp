// Who may come in: how many connections, how many of one peer, how fast. No I/O and no clock of
// its own.
//
// Threads: any; a mutex, taken once for a connection's beginning and once for its end.
#pragma once

#include <fairway/engine/clock.hpp>
#include <fairway/net/endpoint.hpp>
#include <fairway/server/limits.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace fairway::detail {

class admission {
 public:
  enum class verdict { admitted, full, peer };

  explicit admission(const server_limits& limits) noexcept;

  std::size_t limit() const noexcept { return most_; }
  std::size_t open() const;
  bool has_room() const { return open() < most_; }
  verdict enter(const endpoint& remote);
  // For a connection that takes the place of one that was shed and has not left yet.
  void enter_over_limit(const endpoint& remote);
  void leave(const endpoint& remote);

 private:
  bool counted(const endpoint& remote) const noexcept {
    return per_peer_ < most_ && remote.is_ip();
  }
  void count(const endpoint& remote);

  std::size_t most_;
  std::size_t per_peer_;
  mutable std::mutex mutex_;
  std::size_t open_ = 0;
  std::map<boost::asio::ip::address, std::size_t> peers_;  // only while `per_peer_` is below most_
};

// A place that was given to a connection that has not begun: free again unless it begins. It is in
// what is posted meanwhile, and so not lost with that.
template <class Core>
class given_place {
 public:
  given_place(std::shared_ptr<Core> core, const endpoint& remote)
      : core_{std::move(core)}, remote_{remote} {}
  given_place(given_place&& other) noexcept = default;
  given_place& operator=(given_place&&) = delete;
  ~given_place() {
    if (core_) core_->left(remote_);
  }
  const endpoint& remote() const noexcept { return remote_; }
  // The connection has it now.
  void taken() noexcept { core_.reset(); }

 private:
  std::shared_ptr<Core> core_;  // null: taken, or moved from
  endpoint remote_;
};

// A bucket of tokens, a tenth of a second deep.
class accept_pacer {
 public:
  explicit accept_pacer(std::uint32_t per_second) noexcept;
  // Takes a token. Returns zero, or how long to wait before asking again.
  port_clock::duration take(port_clock::time_point now) noexcept;

 private:
  double rate_;
  double depth_;
  double tokens_;
  port_clock::time_point last_{};
};

}  // namespace fairway::detail
