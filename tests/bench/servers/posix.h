// The listening socket of the servers that are written against the system itself.
#ifndef FAIRWAY_BENCH_SERVERS_POSIX_H
#define FAIRWAY_BENCH_SERVERS_POSIX_H

#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#endif

static inline struct sockaddr_in bench_address(const struct bench_arguments *given) {
  struct sockaddr_in at;
  memset(&at, 0, sizeof at);
  at.sin_family = AF_INET;
  at.sin_port = htons((uint16_t)given->port);
  if (inet_pton(AF_INET, given->address, &at.sin_addr) != 1) bench_give_up("--listen");
  return at;
}

static inline void bench_announce_socket(int fd) {
  struct sockaddr_in at;
  socklen_t size = sizeof at;
  char text[INET_ADDRSTRLEN];
  if (getsockname(fd, (struct sockaddr *)&at, &size) != 0) bench_give_up("getsockname");
  bench_announce(inet_ntop(AF_INET, &at.sin_addr, text, sizeof text), ntohs(at.sin_port));
}

// `flags`: SOCK_NONBLOCK or 0.
static inline int bench_listen(const struct bench_arguments *given, int flags) {
  const struct sockaddr_in at = bench_address(given);
  const int one = 1;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) bench_give_up("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0) bench_give_up("bind");
  if (listen(fd, bench_backlog) != 0) bench_give_up("listen");
  bench_announce_socket(fd);
  return fd;
}

static inline void bench_no_delay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

#endif
