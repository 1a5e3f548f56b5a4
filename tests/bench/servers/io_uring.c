// A bare liburing loop in the ring's own way: multishot accept, multishot receive into a ring of
// provided buffers, sends in the ring from the very buffers that were received.
//
// Fair because: one thread, SINGLE_ISSUER and DEFER_TASKRUN, one kernel entry a turn that submits
// and waits, TCP_NODELAY, buffers of 16 KiB (bulk: 64 KiB), 1,024 of them for all connections, one
// send in flight a connection so that bytes stay in order, the compiler's flags of all contenders.
// Out of buffers, receiving starts again when one has come back.
#define _GNU_SOURCE
#include "posix.h"

#include <errno.h>
#include <liburing.h>

enum { entries = 4096, buffers = 1024, group = 1, none = -1 };
enum tag { tag_accept, tag_receive, tag_send };

struct client {
  int fd;
  int receiving, sending, ending;
  int first, last;     // buffers that wait to be sent, by number; `first` is being sent
  size_t at;           // of the first
  uint64_t taken;
  unsigned char answer[8];
  struct client *starved;  // the next one that waits for a buffer
  int is_starved;
};

static struct bench_arguments given;
static struct io_uring ring;
static struct io_uring_buf_ring *lent;
static unsigned char *memory;
static size_t buffer_bytes;
static size_t filled[buffers];
static int next_of[buffers];
static unsigned char *pattern;
static struct client *starving;

static struct io_uring_sqe *entry(struct client *c, enum tag what) {
  struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
  if (sqe == NULL) {
    io_uring_submit(&ring);
    sqe = io_uring_get_sqe(&ring);
  }
  if (sqe == NULL) bench_give_up("io_uring_get_sqe");
  io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)c | (uint64_t)what);
  return sqe;
}

static unsigned char *bytes_of(int buffer) {
  return memory + (size_t)buffer * buffer_bytes;
}

static void accept_more(int listener) {
  struct io_uring_sqe *sqe = entry(NULL, tag_accept);
  io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
  io_uring_sqe_set_data64(sqe, tag_accept);
}

static void receive(struct client *c) {
  struct io_uring_sqe *sqe = entry(c, tag_receive);
  io_uring_prep_recv(sqe, c->fd, NULL, 0, 0);
  sqe->ioprio |= IORING_RECV_MULTISHOT;
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = group;
  io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)c | tag_receive);
  c->receiving = 1;
}

static void give_back(int buffer) {
  io_uring_buf_ring_add(lent, bytes_of(buffer), (unsigned)buffer_bytes, (unsigned short)buffer,
                        io_uring_buf_ring_mask(buffers), 0);
  io_uring_buf_ring_advance(lent, 1);
  if (starving == NULL) return;
  struct client *c = starving;
  starving = c->starved;
  c->is_starved = 0;
  receive(c);
}

static void send_bytes(struct client *c, const void *from, size_t size) {
  struct io_uring_sqe *sqe = entry(c, tag_send);
  io_uring_prep_send(sqe, c->fd, from, size, MSG_NOSIGNAL);
  io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)c | tag_send);
  c->sending = 1;
}

static void send_next(struct client *c) {
  if (given.work == bench_source) {
    send_bytes(c, pattern + c->at, bench_bulk_bytes - c->at);
  } else if (given.work == bench_sink) {
    send_bytes(c, c->answer, sizeof c->answer);
  } else if (c->first != none) {
    send_bytes(c, bytes_of(c->first) + c->at, filled[c->first] - c->at);
  }
}

// Ends the connection once the kernel has let go of it.
static void end(struct client *c) {
  if (!c->ending && (c->receiving || c->sending)) shutdown(c->fd, SHUT_RDWR);
  c->ending = 1;
  if (c->receiving || c->sending || c->is_starved) return;
  while (c->first != none) {
    const int buffer = c->first;
    c->first = next_of[buffer];
    give_back(buffer);
  }
  close(c->fd);
  free(c);
}

static void received(struct client *c, const struct io_uring_cqe *cqe) {
  if (!(cqe->flags & IORING_CQE_F_MORE)) c->receiving = 0;
  if (cqe->res > 0) {
    const int buffer = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    if (given.work == bench_echo) {
      filled[buffer] = (size_t)cqe->res;
      next_of[buffer] = none;
      if (c->first == none) {
        c->first = buffer;
      } else {
        next_of[c->last] = buffer;
      }
      c->last = buffer;
      if (!c->sending && !c->ending) send_next(c);
    } else {
      c->taken += (uint64_t)cqe->res;
      give_back(buffer);
    }
    if (!c->receiving && !c->ending) receive(c);
  } else if (cqe->res == -ENOBUFS && !c->ending) {
    c->is_starved = 1;
    c->starved = starving;
    starving = c;
    return;
  } else if (cqe->res == 0 && given.work == bench_sink && !c->ending) {
    bench_count_bytes(c->taken, c->answer);
    send_next(c);
    return;
  } else if (!c->ending && c->sending && cqe->res == 0) {
    c->taken = 1;  // ends when everything has been sent back
    return;
  } else {
    end(c);
    return;
  }
  if (c->ending) end(c);
}

static void sent(struct client *c, int result) {
  c->sending = 0;
  if (result < 0 || c->ending || given.work == bench_sink) {
    end(c);
    return;
  }
  c->at += (size_t)result;
  if (given.work == bench_source) {
    if (c->at == bench_bulk_bytes) c->at = 0;
  } else if (c->at == filled[c->first]) {
    const int buffer = c->first;
    c->first = next_of[buffer];
    c->at = 0;
    give_back(buffer);
  }
  if (given.work == bench_source || c->first != none) {
    send_next(c);
  } else if (c->taken != 0) {
    end(c);
  }
}

static void accepted(int listener, const struct io_uring_cqe *cqe) {
  if (!(cqe->flags & IORING_CQE_F_MORE)) accept_more(listener);
  if (cqe->res < 0) return;
  struct client *c = calloc(1, sizeof *c);
  if (c == NULL) bench_give_up("calloc");
  c->fd = cqe->res;
  c->first = none;
  bench_no_delay(c->fd);
  if (given.work == bench_source) {
    send_next(c);
  } else {
    receive(c);
  }
}

static void make_buffers(void) {
  struct io_uring_buf_reg about;
  memset(&about, 0, sizeof about);
  buffer_bytes = given.work == bench_echo ? bench_echo_bytes : bench_bulk_bytes;
  void *shared = NULL;
  if (posix_memalign(&shared, 4096, buffers * sizeof(struct io_uring_buf)) != 0 ||
      posix_memalign((void **)&memory, 4096, buffers * buffer_bytes) != 0) {
    bench_give_up("posix_memalign");
  }
  lent = shared;
  about.ring_addr = (uint64_t)(uintptr_t)shared;
  about.ring_entries = buffers;
  about.bgid = group;
  io_uring_buf_ring_init(lent);
  memset(memory, 0, buffers * buffer_bytes);  // as of a server that has run for a while
  if (io_uring_register_buf_ring(&ring, &about, 0) != 0) bench_give_up("buffer ring");
  for (int i = 0; i < buffers; ++i) give_back(i);
}

int main(int count, char **words) {
  given = bench_parse(count, words);
  pattern = bench_pattern_bytes();
  const int listener = bench_listen(&given, 0);
  struct io_uring_params how;
  memset(&how, 0, sizeof how);
  how.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
              IORING_SETUP_CQSIZE;
  how.cq_entries = 4 * entries;
  const int made = io_uring_queue_init_params(entries, &ring, &how);
  if (made < 0) {
    errno = -made;
    bench_give_up("io_uring_queue_init_params");
  }
  make_buffers();
  accept_more(listener);
  for (;;) {
    struct io_uring_cqe *cqe = NULL;
    io_uring_submit_and_wait(&ring, 1);
    unsigned head = 0, seen = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
      ++seen;
      const uint64_t data = io_uring_cqe_get_data64(cqe);
      struct client *c = (struct client *)(uintptr_t)(data & ~(uint64_t)7);
      switch ((enum tag)(data & 7)) {
        case tag_accept: accepted(listener, cqe); break;
        case tag_receive: received(c, cqe); break;
        case tag_send: sent(c, cqe->res); break;
      }
    }
    io_uring_cq_advance(&ring, seen);
  }
}
