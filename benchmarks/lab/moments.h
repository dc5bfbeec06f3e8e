/* The clock and the file of moments that the stub and the load generator share. */
#ifndef MOMENTS_H
#define MOMENTS_H
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Streams under way at most, and chunks of one that are timed. */
enum { SLOTS = 4096, CHUNKS = 4096 };

typedef volatile int64_t moment;

static inline int64_t now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static moment *moments(const char *path) {
  size_t room = sizeof(int64_t) * SLOTS * CHUNKS;
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, room)) {
    perror(path);
    exit(1);
  }
  void *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) {
    perror(path);
    exit(1);
  }
  return at;
}
#endif
