// libevent, by plain events and buffers of one's own, as memcached uses it.
//
// Fair because: one base on one thread, no locking, TCP_NODELAY, a buffer of 16 KiB (bulk: 64 KiB)
// of each connection's own, a send at once and a write event only for what did not fit, reading
// stopped meanwhile, persistent events. A bufferevent, its other way, reads 4 KiB at a time in
// libevent 2.1, whatever its limit says (evbuffer_read; issue 798). libevent uses epoll. The
// library is the system's package, a release build; this file has the flags of all contenders.
#include "posix.h"

#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>

#include <errno.h>
#include <signal.h>

struct client {
  int fd;
  struct event *readable, *writable;
  const unsigned char *from;  // what is left to send
  size_t left;
  uint64_t taken;
  unsigned char answer[8];
  unsigned char *room;
};

static struct bench_arguments given;
static unsigned char *pattern;

static size_t room_bytes(void) {
  return given.work == bench_echo ? bench_echo_bytes : bench_bulk_bytes;
}

static void drop(struct client *c) {
  event_free(c->readable);
  event_free(c->writable);
  close(c->fd);
  free(c->room);
  free(c);
}

// Returns 1 when all of it has left, 0 when the rest waits for room, -1 when the client is gone.
static int send_left(struct client *c) {
  while (c->left > 0) {
    const ssize_t sent = send(c->fd, c->from, c->left, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN ? 0 : -1;
    c->from += sent;
    c->left -= (size_t)sent;
  }
  return 1;
}

static void on_readable(evutil_socket_t fd, short what, void *about) {
  struct client *c = about;
  (void)what;
  const ssize_t got = recv(fd, c->room, room_bytes(), 0);
  if (got < 0 && errno == EAGAIN) return;
  if (given.work == bench_sink && got > 0) {
    c->taken += (uint64_t)got;
    return;
  }
  if (got < 0 || (got == 0 && given.work != bench_sink)) {
    drop(c);
    return;
  }
  if (given.work == bench_source) return;
  c->from = c->room;
  c->left = (size_t)got;
  if (given.work == bench_sink) {
    bench_count_bytes(c->taken, c->answer);
    c->from = c->answer;
    c->left = sizeof c->answer;
  }
  const int done = send_left(c);
  if (done < 0 || (done > 0 && given.work == bench_sink)) {
    drop(c);
  } else if (done == 0) {
    event_del(c->readable);
    event_add(c->writable, NULL);
  }
}

static void on_writable(evutil_socket_t fd, short what, void *about) {
  struct client *c = about;
  (void)fd, (void)what;
  const int done = send_left(c);
  if (done < 0 || (done > 0 && given.work == bench_sink)) {
    drop(c);
  } else if (done > 0 && given.work == bench_source) {
    c->from = pattern;
    c->left = bench_bulk_bytes;
  } else if (done > 0) {
    event_del(c->writable);
    event_add(c->readable, NULL);
  }
}

static void connected(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int size, void *about) {
  struct event_base *base = about;
  struct client *c = calloc(1, sizeof *c);
  (void)listener, (void)from, (void)size;
  if (c == NULL || (c->room = aligned_alloc(bench_boundary, room_bytes())) == NULL) {
    bench_give_up("aligned_alloc");
  }
  bench_no_delay(fd);
  c->fd = fd;
  c->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
  c->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
  if (c->readable == NULL || c->writable == NULL) bench_give_up("event_new");
  event_add(c->readable, NULL);
  if (given.work == bench_source) {
    c->from = pattern;
    c->left = bench_bulk_bytes;
    event_add(c->writable, NULL);
  }
}

int main(int count, char **words) {
  given = bench_parse(count, words);
  pattern = bench_pattern_bytes();
  signal(SIGPIPE, SIG_IGN);
  struct event_config *config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  struct event_base *base = event_base_new_with_config(config);
  if (base == NULL) bench_give_up("event_base_new_with_config");
  struct sockaddr_in at = bench_address(&given);
  struct evconnlistener *listener = evconnlistener_new_bind(
      base, connected, base, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC,
      bench_backlog, (struct sockaddr *)&at, sizeof at);
  if (listener == NULL) bench_give_up("listen");
  bench_announce_socket(evconnlistener_get_fd(listener));
  return event_base_dispatch(base);
}
