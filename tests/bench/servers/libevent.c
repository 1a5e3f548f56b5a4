// libevent, with buffer events, its recommended way: an echo moves buffers from input to output
// without a copy.
//
// Fair because: one base on one thread, no locking, TCP_NODELAY; a bufferevent reads at most 16 KiB
// at once by itself, the common size; bulk raises that to the common 64 KiB. libevent uses epoll.
// The library is the system's package, a release build; this file has the flags of all contenders.
#include "posix.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <signal.h>

struct client {
  uint64_t taken;
};

static struct bench_arguments given;
static unsigned char *pattern;

static void drop(struct bufferevent *b, struct client *c) {
  bufferevent_free(b);
  free(c);
}

static void readable(struct bufferevent *b, void *about) {
  struct client *c = about;
  struct evbuffer *input = bufferevent_get_input(b);
  if (given.work == bench_echo) {
    evbuffer_add_buffer(bufferevent_get_output(b), input);
    return;
  }
  const size_t size = evbuffer_get_length(input);
  c->taken += size;
  evbuffer_drain(input, size);
}

static void send_pattern(struct bufferevent *b) {
  evbuffer_add_reference(bufferevent_get_output(b), pattern, bench_bulk_bytes, NULL, NULL);
}

static void writable(struct bufferevent *b, void *about) {
  if (given.work == bench_source) {
    send_pattern(b);
  } else if (given.work == bench_sink) {
    drop(b, about);  // the answer has left
  }
}

static void ended(struct bufferevent *b, short what, void *about) {
  struct client *c = about;
  if (given.work != bench_sink || (what & BEV_EVENT_ERROR) != 0) {
    drop(b, c);
    return;
  }
  unsigned char answer[8];
  bench_count_bytes(c->taken, answer);
  bufferevent_disable(b, EV_READ);
  bufferevent_setcb(b, NULL, writable, ended, c);
  bufferevent_write(b, answer, sizeof answer);
}

static void connected(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int size, void *about) {
  struct event_base *base = about;
  struct client *c = calloc(1, sizeof *c);
  (void)listener, (void)from, (void)size;
  bench_no_delay(fd);
  struct bufferevent *b = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
  if (b == NULL || c == NULL) bench_give_up("bufferevent_socket_new");
  if (given.work == bench_source) {
    bufferevent_set_max_single_write(b, bench_bulk_bytes);
    bufferevent_setcb(b, NULL, writable, ended, c);
    bufferevent_enable(b, EV_READ | EV_WRITE);
    send_pattern(b);
    return;
  }
  if (given.work == bench_sink) bufferevent_set_max_single_read(b, bench_bulk_bytes);
  bufferevent_setcb(b, readable, NULL, ended, c);
  bufferevent_enable(b, EV_READ | EV_WRITE);
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
