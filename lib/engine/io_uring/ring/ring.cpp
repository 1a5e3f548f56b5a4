#include "engine/io_uring/ring/ring.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

// liburing maps and unmaps rings without libc, so the thread sanitizer takes a ring that comes to
// the address of an ended one for the same memory, used by two threads. The kernel orders the two;
// this tells the sanitizer so, and does nothing elsewhere.
#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
static char mappings;
#define FAIRWAY_RING_IS_MAPPED() __tsan_acquire(&mappings)
#define FAIRWAY_RING_IS_UNMAPPED() __tsan_release(&mappings)
#else
#define FAIRWAY_RING_IS_MAPPED() static_cast<void>(0)
#define FAIRWAY_RING_IS_UNMAPPED() static_cast<void>(0)
#endif

namespace fairway::detail::io_uring {

namespace {

// Newer than the headers of liburing 2.3 (linux/io_uring.h): an idle ring is no disk wait.
constexpr unsigned enter_no_iowait = 1u << 7;
constexpr unsigned feature_no_iowait = 1u << 17;

struct droppable {
  unsigned flags;
  const char* name;
};
// Newest first, so that a kernel loses no more than it has to. The first four need each other.
constexpr std::array<droppable, 4> ladder{{
    {IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_R_DISABLED,
     "DEFER_TASKRUN and SINGLE_ISSUER"},
    {IORING_SETUP_SUBMIT_ALL, "SUBMIT_ALL"},
    {IORING_SETUP_CQSIZE, "CQSIZE"},
    {IORING_SETUP_CLAMP, "CLAMP"},
}};

constexpr std::array<int, 9> needed_opcodes{
    IORING_OP_ACCEPT,  IORING_OP_CONNECT, IORING_OP_SEND,         IORING_OP_RECV,
    IORING_OP_SENDMSG, IORING_OP_RECVMSG, IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD,
    IORING_OP_POLL_REMOVE};

[[noreturn]] void refuse(int error, const char* what) {
  throw boost::system::system_error(
      error_code{error, boost::asio::error::get_system_category()}, what);
}

__kernel_timespec time_left(time_point until) noexcept {
  const auto now = std::chrono::steady_clock::now();
  const auto left = until > now ? until - now : duration::zero();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  __kernel_timespec t{};
  t.tv_sec = seconds.count();
  t.tv_nsec = std::chrono::nanoseconds{left - seconds}.count();
  return t;
}

}  // namespace

ring::ring(unsigned entries, bool bound, setup_call setup) {
  unsigned flags = 0;
  for (const droppable& d : ladder) flags |= d.flags;
  if (!bound) flags &= ~ladder[0].flags;
  auto rung = ladder.begin();
  for (;;) {
    io_uring_params wanted{};
    wanted.flags = flags;
    // Idle requests take no room in this queue: four a submission is a full turn and its echo.
    if ((flags & IORING_SETUP_CQSIZE) != 0) wanted.cq_entries = entries * 4;
    const int error = -setup(entries, &ring_, &wanted);
    if (error == 0) break;
    while (rung != ladder.end() && (flags & rung->flags) == 0) ++rung;
    if (error != EINVAL || rung == ladder.end()) refuse(error, "io_uring_setup");
    flags &= ~rung->flags;
    dropped_ += (dropped_.empty() ? "without " : ", ") + std::string(rung->name);
  }
  open_ = true;
  FAIRWAY_RING_IS_MAPPED();
  try {
    probe();
  } catch (...) {
    FAIRWAY_RING_IS_UNMAPPED();
    io_uring_queue_exit(&ring_);
    throw;
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) == 0) {
    gone_ = ends[0];
    const bool registered = io_uring_register_files(&ring_, &ends[1], 1) == 0;
    ::close(ends[1]);
    if (!registered) ::close(std::exchange(gone_, -1));
  }
}

ring::~ring() { end(duration::zero()); }

void ring::probe() {
  // A child made by fork must not share the queues.
  io_uring_ring_dontfork(&ring_);
  if ((ring_.features & IORING_FEAT_EXT_ARG) == 0 || (ring_.features & IORING_FEAT_NODROP) == 0) {
    refuse(EOPNOTSUPP, "io_uring without timed waits");
  }
  enter_flags_ = IORING_ENTER_GETEVENTS;
  if ((ring_.features & feature_no_iowait) != 0) enter_flags_ |= enter_no_iowait;
  io_uring_probe* known = io_uring_get_probe_ring(&ring_);
  if (known == nullptr) refuse(EOPNOTSUPP, "io_uring without a probe");
  const bool all = std::all_of(needed_opcodes.begin(), needed_opcodes.end(), [&](int code) {
    return io_uring_opcode_supported(known, code) != 0;
  });
  io_uring_free_probe(known);
  if (!all) refuse(EOPNOTSUPP, "io_uring without socket operations");
}

int ring::enable() noexcept {
  if ((ring_.flags & IORING_SETUP_R_DISABLED) == 0) return 0;
  // liburing 2.3 does not export io_uring_enable_rings.
  const int result = io_uring_register(static_cast<unsigned>(ring_.ring_fd),
                                       IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  return result < 0 ? -result : 0;
}

unsigned ring::unsubmitted() const noexcept {
  return ring_.sq.sqe_tail - io_uring_smp_load_acquire(ring_.sq.khead);
}

bool ring::overflowed() const noexcept { return io_uring_cq_has_overflow(&ring_); }

bool ring::wants_entry() const noexcept {
  const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
  // Without the flag nobody tells about deferred work; there is none then.
  return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

bool ring::empty() const noexcept {
  return *ring_.cq.khead == io_uring_smp_load_acquire(ring_.cq.ktail);
}

int ring::enter(unsigned count, time_point until) noexcept {
  io_uring_smp_store_release(ring_.sq.ktail, ring_.sq.sqe_tail);
  ring_.sq.sqe_head = ring_.sq.sqe_tail;
  const auto fd = static_cast<unsigned>(ring_.ring_fd);
  if (count == 0 || until == time_point::max()) {
    return io_uring_enter(fd, unsubmitted(), count, enter_flags_, nullptr);
  }
  __kernel_timespec left = time_left(until);
  io_uring_getevents_arg arg{};
  arg.ts = reinterpret_cast<std::uintptr_t>(&left);
  return io_uring_enter2(fd, unsubmitted(), count, enter_flags_ | IORING_ENTER_EXT_ARG,
                         reinterpret_cast<sigset_t*>(&arg), sizeof arg);
}

bool ring::take(io_uring_cqe& copy) noexcept {
  const unsigned head = *ring_.cq.khead;  // written by this side only
  if (head == io_uring_smp_load_acquire(ring_.cq.ktail)) return false;
  copy = ring_.cq.cqes[head & ring_.cq.ring_mask];
  io_uring_smp_store_release(ring_.cq.khead, head + 1);
  return true;
}

void ring::end(duration patience) noexcept {
  if (!open_) return;
  open_ = false;
  FAIRWAY_RING_IS_UNMAPPED();
  io_uring_queue_exit(&ring_);
  if (gone_ < 0) return;
  const auto limit = std::chrono::steady_clock::now() + patience;
  pollfd hang_up{gone_, 0, 0};
  while (patience > duration::zero()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        limit - std::chrono::steady_clock::now());
    if (left.count() <= 0 || ::poll(&hang_up, 1, static_cast<int>(left.count())) >= 0) break;
  }
  ::close(std::exchange(gone_, -1));
}

}  // namespace fairway::detail::io_uring
