// Named memory of one connection, and the named mark of a listener that takes offers.
//
// Both have an owner and an access list of their own: the user of this process and nobody else. A
// name that exists already is somebody else's, whoever that is; what is opened by name is taken
// only from the same user. The system keeps a name as long as a handle of its object is open, so
// nothing is left of a process that ends, however it ends. Names are the session's ("Local\"):
// processes of two sessions do not find each other.
//
// A section is backed when it is made (SEC_COMMIT) and can neither shrink nor grow. Its size is not
// the peer's word but what VirtualQuery says of the mapping.
//
// Each connection has one of its own, made anew. Measured under Wine 8 on 2026-11-26, two processes
// in turn with TCP, medians of 390: connect, accept and a first byte take 1.83 ms, over TCP 0.91.
// Of the difference the section is less than half: 0.26 ms to make it (creating 0.10, mapping
// 0.08), 0.18 to open it (mapping 0.07); the rest are the mark, the source port, names and bells,
// each a call to Wine's server. Sections that were kept for the next connection would leave 1.5
// times TCP's. And a name of both endpoints proves by itself that the two ends mean each other: of
// a kept section the connector would have to find out first whether who listens now is who has it
// mapped, or the connection that follows a server's restart stays TCP.
//
// Threads: any.
#pragma once

#include "loopback/arena.hpp"

#include <fairway/loopback.hpp>

#include <memory>
#include <string>
#include <utility>

namespace fairway::detail::shm::system {

// A kernel object's handle, closed with it.
class kernel_handle {
 public:
  kernel_handle() = default;
  explicit kernel_handle(void* handle) noexcept : handle_{handle} {}
  kernel_handle(kernel_handle&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
  kernel_handle& operator=(kernel_handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~kernel_handle();

  void* get() const noexcept { return handle_; }
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  void* handle_ = nullptr;
};

struct section {
  std::shared_ptr<arena> memory;  // null: see `why`
  kernel_handle name;             // the name can be found until it is closed
};

// Throws std::bad_alloc, both.
section make_section(const std::string& name, const arena_shape& shape, path_reason& why);
std::shared_ptr<arena> open_section(const std::string& name, path_reason& why);

// Empty: see `why`, which says name_taken for a name that exists.
kernel_handle make_mark(const std::string& name, path_reason& why) noexcept;
// Whether a mark of that name is there, made by the same user; else see `why`.
bool find_mark(const std::string& name, path_reason& why) noexcept;

}  // namespace fairway::detail::shm::system
