// What every server of the comparison shares, so that they differ only in how they wait and
// transfer: the command line, the work, the sizes of buffers, the bytes, the listening socket of
// those whose library has no word for it. C and C++.
//
//   SERVER --work echo|sink|source [--listen ADDRESS:PORT] [further words of its own]
//
// echo    sends back what it receives, from a buffer of 16 KiB
// sink    takes everything into a buffer of 64 KiB; at the end answers how many bytes that were,
//         as 8 bytes, the low ones first
// source  sends the pattern in pieces of 64 KiB until the client goes away
//
// Buffers begin at a multiple of 64 bytes, in all of these and in the load generator (ZeroMQ and
// redis-server make their own). The kernel copies with `rep movsb`, which takes some processors
// (AMD's Zen 3) thirty times as long when (destination - source) modulo 4,096 is 1 to 31. Large
// blocks of malloc begin 16 bytes into a page, so messages of whole pages met that, or did not, by
// the luck of a start.
//
// The first line of output says where it listens. It runs until it is killed.
#ifndef FAIRWAY_BENCH_SERVERS_COMMON_H
#define FAIRWAY_BENCH_SERVERS_COMMON_H

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  bench_echo_bytes = 16 * 1024,
  bench_bulk_bytes = 64 * 1024,
  bench_boundary = 64,
  bench_backlog = 4096
};
enum bench_work { bench_echo, bench_sink, bench_source };

struct bench_arguments {
  enum bench_work work;
  char address[64];
  unsigned port;
  int count;
  char **words;
};

// The value of `--name`, or what is given for its absence.
static inline const char *bench_word(const struct bench_arguments *given, const char *name,
                                     const char *otherwise) {
  for (int i = 1; i + 1 < given->count; ++i) {
    if (strcmp(given->words[i], name) == 0) return given->words[i + 1];
  }
  return otherwise;
}

static inline struct bench_arguments bench_parse(int count, char **words) {
  struct bench_arguments given;
  memset(&given, 0, sizeof given);
  given.count = count;
  given.words = words;
  const char *work = bench_word(&given, "--work", "echo");
  if (strcmp(work, "echo") == 0) {
    given.work = bench_echo;
  } else if (strcmp(work, "sink") == 0) {
    given.work = bench_sink;
  } else if (strcmp(work, "source") == 0) {
    given.work = bench_source;
  } else {
    fprintf(stderr, "unknown work '%s'\n", work);
    exit(2);
  }
  const char *listen = bench_word(&given, "--listen", "127.0.0.1:0");
  const char *colon = strrchr(listen, ':');
  if (colon == NULL || (size_t)(colon - listen) >= sizeof given.address) {
    fprintf(stderr, "--listen takes ADDRESS:PORT\n");
    exit(2);
  }
  memcpy(given.address, listen, (size_t)(colon - listen));
  given.port = (unsigned)strtoul(colon + 1, NULL, 10);
  return given;
}

static inline void bench_announce(const char *address, unsigned port) {
  printf("listening on %s:%u\n", address, port);
  fflush(stdout);
}

static inline void bench_give_up(const char *what) {
  perror(what);
  exit(1);
}

// The first place at a boundary; `memory` has `bench_boundary` bytes more than are wanted.
static inline char *bench_align(void *memory) {
  const uintptr_t at = (uintptr_t)memory + bench_boundary - 1;
  return (char *)(at - at % bench_boundary);
}

// Byte `at` of the pattern; it repeats after 64 KiB.
static inline unsigned char bench_pattern(uint32_t at) {
  at = (at & 0xffffu) * 2654435761u;
  return (unsigned char)(at >> 24);
}

static inline unsigned char *bench_pattern_bytes(void) {
  void *memory = malloc(bench_bulk_bytes + bench_boundary);
  if (memory == NULL) bench_give_up("malloc");
  unsigned char *made = (unsigned char *)bench_align(memory);
  for (uint32_t i = 0; i < bench_bulk_bytes; ++i) made[i] = bench_pattern(i);
  return made;
}

// The answer of a sink.
static inline void bench_count_bytes(uint64_t total, unsigned char answer[8]) {
  for (int i = 0; i < 8; ++i) answer[i] = (unsigned char)(total >> (8 * i));
}

#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

#endif
