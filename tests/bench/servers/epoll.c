// A bare epoll loop: the least that a server on epoll has to do.
//
// Fair because: one thread, level-triggered, TCP_NODELAY, one buffer of 16 KiB (bulk: 64 KiB) for
// all connections (a library cannot have that: it does not know when the user is done), a send
// tried at once, what did not fit kept and sent when there is room, the compiler's flags of all
// contenders.
#define _GNU_SOURCE
#include "posix.h"

#include <errno.h>
#include <sys/epoll.h>

enum { events_max = 512 };

struct client {
  int fd;
  int waits;         // for room, not for bytes
  uint64_t taken;    // sink
  size_t at, kept;   // of `rest`
  unsigned char *rest;
};

static struct bench_arguments given;
static unsigned char *room;
static int queue;

static void drop(struct client *c) {
  close(c->fd);  // which takes it out of the epoll set too
  free(c->rest);
  free(c);
}

static void watch(struct client *c, int for_room) {
  struct epoll_event event = {.events = for_room ? EPOLLOUT : EPOLLIN, .data.ptr = c};
  if (c->waits == for_room) return;
  c->waits = for_room;
  epoll_ctl(queue, EPOLL_CTL_MOD, c->fd, &event);
}

// Returns 0 when the client is gone.
static int send_all(struct client *c, const unsigned char *from, size_t size) {
  size_t at = 0;
  while (at < size) {
    const ssize_t sent = send(c->fd, from + at, size - at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return 0;
    at += (size_t)sent;
  }
  if (at == size) return 1;
  if (c->rest == NULL) c->rest = aligned_alloc(bench_boundary, bench_bulk_bytes);
  if (c->rest == NULL) return 0;
  memmove(c->rest, from + at, size - at);
  c->at = 0;
  c->kept = size - at;
  watch(c, 1);
  return 1;
}

static int take(struct client *c) {
  const size_t size = given.work == bench_echo ? bench_echo_bytes : bench_bulk_bytes;
  const ssize_t got = recv(c->fd, room, size, 0);
  if (got < 0) return errno == EAGAIN;
  if (given.work == bench_echo) return got > 0 && send_all(c, room, (size_t)got);
  c->taken += (uint64_t)got;
  if (got > 0) return 1;
  unsigned char answer[8];
  bench_count_bytes(c->taken, answer);
  send(c->fd, answer, sizeof answer, MSG_NOSIGNAL);
  return 0;
}

static int has_room(struct client *c) {
  while (c->kept > 0) {
    const ssize_t sent = send(c->fd, c->rest + c->at, c->kept, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    c->at += (size_t)sent;
    c->kept -= (size_t)sent;
  }
  if (given.work != bench_source) {
    watch(c, 0);
    return 1;
  }
  return send_all(c, room, bench_bulk_bytes);
}

static void accept_all(int listener) {
  for (;;) {
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL) bench_give_up("calloc");
    c->fd = fd;
    c->waits = given.work == bench_source;
    bench_no_delay(fd);
    struct epoll_event event = {.events = c->waits ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    if (epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event) != 0) bench_give_up("epoll_ctl");
  }
}

int main(int count, char **words) {
  given = bench_parse(count, words);
  room = bench_pattern_bytes();
  const int listener = bench_listen(&given, SOCK_NONBLOCK);
  queue = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(queue, EPOLL_CTL_ADD, listener, &listening);
  struct epoll_event events[events_max];
  for (;;) {
    const int ready = epoll_wait(queue, events, events_max, -1);
    for (int i = 0; i < ready; ++i) {
      struct client *c = events[i].data.ptr;
      if (c == NULL) {
        accept_all(listener);
      } else if (!(c->waits ? has_room(c) : take(c))) {
        drop(c);
      }
    }
  }
}
