// Host and service names into endpoints, without blocking a port.
//
// The system's look-up blocks, for seconds when a name server does not answer. It runs on one
// thread of the process, started at the first name; look-ups that wait for it queue up, at most
// name_query::queue_max. A numeric address with a numeric port needs neither queue nor thread.
//
//   auto query = std::make_shared<name_query>("localhost", "80", &answered, this);
//   if (query->start()) use(query->error(), query->found());   // else answered(this) comes
//   ...
//   query->close();                                            // before `this` goes away
//
// Threads: start, close, error and found belong to the asker, one thread at a time. answered is
// called on the resolver thread, under a lock that close takes too: it posts to the asker's port
// and does nothing else. After close returned, answered neither runs nor will run.
//
// Lifetime: the thread is detached and blocks all signals. It and its queue live until the process
// ends, for nothing can interrupt a look-up. After a fork the child knows nothing of the parent's
// queries: their close does nothing there, and the child's first look-up starts its own thread.
#pragma once

#include "resolver_system.hpp"

#include <fairway/net/endpoint.hpp>

#include <boost/system/error_code.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace fairway::detail {

class resolver;

/// One look-up: first the question, then the answer.
class name_query : public std::enable_shared_from_this<name_query> {
 public:
  using answered_function = void(void* asker) noexcept;

  /// How many look-ups may wait for the thread, in the whole process.
  static constexpr std::size_t queue_max = 1024;

  name_query(std::string host, std::string service, answered_function* answered, void* asker);

  /// Begins the look-up, once. Returns: true when the answer is there already, and answered will
  /// not be called: the names are numeric, or can be no names, or the queue is full
  /// (no_buffer_space).
  bool start();

  /// Drops the look-up. May be called in every state.
  /// Returns: whether answered was called, or there was nothing to wait for.
  bool close() noexcept;

  /// Why there are no endpoints: host_not_found, service_not_found, ... of boost::asio::error.
  const boost::system::error_code& error() const noexcept { return answer_.error; }

  /// In the order of the system's address selection (RFC 6724), each once.
  const std::vector<endpoint>& found() const noexcept { return answer_.found; }

 private:
  friend class resolver;

  void look_up() noexcept;

  const std::string host_;
  const std::string service_;
  answered_function* const answered_;
  void* const asker_;
  resolver* owner_ = nullptr;  // empty until queued
  bool closed_ = false;        // this and the next: guarded by the owner's mutex
  bool told_ = false;
  look_up_answer answer_;      // the thread's until answered is called, then the asker's
};

/// Replaces the system's look-up of names, for tests; returns the one before. Any thread.
look_up_function* exchange_look_up(look_up_function* replacement) noexcept;

}  // namespace fairway::detail
