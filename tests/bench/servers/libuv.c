// libuv, as its guide's echo server, tuned as its users tune it.
//
// Fair because: one loop on one thread, TCP_NODELAY, a buffer of 16 KiB (bulk: 64 KiB) of each
// connection's own (no allocation a read), `uv_try_write` first and a write request only for what
// did not fit, reading stopped meanwhile. libuv uses epoll here. The library is the system's
// package, a release build; this file has the flags of all contenders.
#include "common.h"

#include <uv.h>

struct client {
  uv_tcp_t tcp;
  uv_write_t request;
  uint64_t taken;
  unsigned char answer[8];
  char *room;
};

static struct bench_arguments given;
static unsigned char *pattern;

static size_t room_bytes(void) {
  return given.work == bench_echo ? bench_echo_bytes : bench_bulk_bytes;
}

static void send_pattern(struct client *c);
static void got(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer);

static void closed(uv_handle_t *handle) {
  struct client *c = handle->data;
  free(c->room);
  free(c);
}

static void drop(struct client *c) {
  if (!uv_is_closing((uv_handle_t *)&c->tcp)) uv_close((uv_handle_t *)&c->tcp, closed);
}

static void lend(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
  struct client *c = handle->data;
  (void)wanted;
  buffer->base = c->room;
  buffer->len = room_bytes();
}

static void sent(uv_write_t *request, int status) {
  struct client *c = request->data;
  if (status < 0 || given.work == bench_sink) {
    drop(c);
  } else if (given.work == bench_source) {
    send_pattern(c);
  } else {
    uv_read_start((uv_stream_t *)&c->tcp, lend, got);
  }
}

// Returns whether all of it left at once.
static int send_all(struct client *c, char *from, size_t size) {
  uv_buf_t buffer = uv_buf_init(from, (unsigned)size);
  const int done = uv_try_write((uv_stream_t *)&c->tcp, &buffer, 1);
  if (done == (int)size) return 1;
  if (done < 0 && done != UV_EAGAIN) {
    drop(c);
    return 0;
  }
  if (done > 0) buffer = uv_buf_init(from + done, (unsigned)(size - (size_t)done));
  if (uv_write(&c->request, (uv_stream_t *)&c->tcp, &buffer, 1, sent) != 0) drop(c);
  return 0;
}

static void send_pattern(struct client *c) {
  // By requests only: a loop over uv_try_write would never return to the event loop.
  uv_buf_t buffer = uv_buf_init((char *)pattern, bench_bulk_bytes);
  if (uv_write(&c->request, (uv_stream_t *)&c->tcp, &buffer, 1, sent) != 0) drop(c);
}

static void got(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  struct client *c = stream->data;
  if (size == 0) return;
  if (given.work == bench_echo) {
    if (size < 0) {
      drop(c);
    } else if (!send_all(c, buffer->base, (size_t)size)) {
      uv_read_stop(stream);
    }
    return;
  }
  if (size > 0) {
    c->taken += (uint64_t)size;
    return;
  }
  bench_count_bytes(c->taken, c->answer);
  uv_buf_t answer = uv_buf_init((char *)c->answer, sizeof c->answer);
  uv_read_stop(stream);
  if (uv_write(&c->request, stream, &answer, 1, sent) != 0) drop(c);
}

static void connected(uv_stream_t *listener, int status) {
  if (status < 0) return;
  struct client *c = calloc(1, sizeof *c);
  if (c == NULL) bench_give_up("calloc");
  c->room = aligned_alloc(bench_boundary, room_bytes());
  uv_tcp_init(listener->loop, &c->tcp);
  c->tcp.data = c;
  c->request.data = c;
  if (c->room == NULL || uv_accept(listener, (uv_stream_t *)&c->tcp) != 0) {
    drop(c);
    return;
  }
  uv_tcp_nodelay(&c->tcp, 1);
  if (given.work == bench_source) {
    send_pattern(c);
  } else {
    uv_read_start((uv_stream_t *)&c->tcp, lend, got);
  }
}

int main(int count, char **words) {
  given = bench_parse(count, words);
  pattern = bench_pattern_bytes();
  uv_loop_t *loop = uv_default_loop();
  uv_tcp_t listener;
  struct sockaddr_in at;
  int size = sizeof at;
  uv_tcp_init(loop, &listener);
  if (uv_ip4_addr(given.address, (int)given.port, &at) != 0 ||
      uv_tcp_bind(&listener, (const struct sockaddr *)&at, 0) != 0 ||
      uv_listen((uv_stream_t *)&listener, bench_backlog, connected) != 0) {
    bench_give_up("listen");
  }
  uv_tcp_getsockname(&listener, (struct sockaddr *)&at, &size);
  bench_announce(given.address, ntohs(at.sin_port));
  return uv_run(loop, UV_RUN_DEFAULT);
}
