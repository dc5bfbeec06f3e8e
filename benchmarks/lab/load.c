/* A load generator that is not the bottleneck: one thread, epoll, HTTP/1.1, nanoseconds.
 *
 *     load MODE PORT BODIES SECONDS CONNECTIONS RATE STAMPS [HEADER ...]
 *
 * MODE  closed   every connection asks again as soon as it is answered
 *       open     RATE requests a second, evenly; each is timed from the moment it was to be sent, so that a proxy that
 *                falls behind is not asked less often (no coordinated omission); RATE is 0 elsewhere
 *       stream   every connection keeps one stream of events under way; their beginnings are spread over SECONDS / 4
 *
 * BODIES holds one request body a line, asked in turn; `"presence_penalty":` is put in front of each, as many
 * ten-thousandths as the number of the connection, by which the stub knows where to write its moments (moments.h): a
 * field that everybody passes on and nobody draws conclusions from, as one does from a seed. Requests end SECONDS after
 * the first, and those under way are waited for (30 s at most), so that what was used can be divided by what was
 * answered.
 *
 * Prints one line of JSON: requests (answered in full with 200), errors, seconds, bytes of bodies; percentiles in
 * microseconds of the whole answer ("latency"), of the first character of a stream ("first"), and of the way of each
 * chunk of 7 characters from the stub's send to here ("chunk"); characters of streams and chunks (characters / 7).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include "moments.h"

enum { TOKEN = 7, EVENTS = 512, ROOM = 65536, MOST_BODIES = 65536, WAIT = 30 };
typedef enum { HEAD, LENGTH, SIZE, DATA, AFTER, TRAILER, UNTIL_CLOSE } Part;

typedef struct {
  int fd, busy, status, closes, done;
  Part part;
  size_t left;                      /* bytes of the body or of the chunk that are still to come */
  char *in;                         /* what is not understood yet */
  size_t have, room;
  char *line;                       /* of an event, as far as it came */
  size_t line_have, line_room;
  char *out;                        /* the request, and how much of it the socket took */
  size_t out_at, out_have, out_room;
  int64_t scheduled, starts;
  long characters, slot;
} Connection;

typedef struct { float *values; size_t count, room; } Sample;

static char *bodies[MOST_BODIES];
static size_t body_count, next_body;
static Connection *connections;
static long count_connections, requests, errors, busy, characters;
static int first_error;
static double bytes;
static int port, streaming, poll_fd;
static char headers[4096];
static moment *stamps;
static Sample latency, first, chunk;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void note(Sample *sample, int64_t nanoseconds) {
  if (sample->count == sample->room) {
    sample->room = sample->room * 2 + 4096;
    sample->values = realloc(sample->values, sample->room * sizeof(float));
  }
  sample->values[sample->count++] = nanoseconds / 1000.0f;
}

static void read_bodies(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  for (size_t room = 0; body_count < MOST_BODIES; room = 0) {
    char *line = NULL;
    ssize_t got = getline(&line, &room, file);
    if (got <= 1) break;
    if (line[got - 1] == '\n') line[got - 1] = 0;
    bodies[body_count++] = line;
  }
  fclose(file);
  if (!body_count) fail("no bodies");
}

static void watch(Connection *c, int writing, int how) {
  struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(poll_fd, how, c->fd, &event);
}

static void dial(Connection *c) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  int yes = 1;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  watch(c, 0, EPOLL_CTL_ADD);
}

static void flush(Connection *c) {
  ssize_t sent = send(c->fd, c->out + c->out_at, c->out_have - c->out_at, MSG_NOSIGNAL);
  if (sent > 0) c->out_at += sent;
  if (c->out_at < c->out_have) watch(c, 1, EPOLL_CTL_MOD);
}

static void ask(Connection *c, int64_t scheduled) {
  const char *body = bodies[next_body++ % body_count] + 1;  /* without its opening brace */
  char slot[40];
  size_t length = strlen(body) + sprintf(slot, "{\"presence_penalty\":0.%04ld,", c->slot), most = length + sizeof headers + 256;
  if (c->fd < 0) dial(c);
  if (most > c->out_room) c->out = realloc(c->out, c->out_room = most);
  c->out_have = sprintf(c->out, "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n"
                                "Content-Type: application/json\r\nUser-Agent: bench\r\n%s"
                                "Content-Length: %zu\r\n\r\n%s%s", headers, length, slot, body);
  c->out_at = c->have = c->line_have = c->status = c->closes = c->done = 0;
  c->characters = 0;
  c->part = HEAD;
  c->busy = 1;
  c->scheduled = scheduled;
  busy++;
  flush(c);
}

static void finished(Connection *c, int whole) {
  int right = whole && c->status == 200 && (!streaming || c->done);
  if (right) {
    requests++;
    note(&latency, now() - c->scheduled);
  } else if (!errors++) {
    first_error = c->status;
  }
  characters += c->characters;
  c->busy = 0;
  busy--;
  if (!whole || c->closes) {
    close(c->fd);
    c->fd = -1;
  }
}

/* One line of an event: its characters came now. */
static void line(Connection *c, char *text, size_t length) {
  if (length < 6 || memcmp(text, "data:", 5)) return;
  if (memmem(text, length, "[DONE]", 6)) { c->done = 1; return; }
  char *at = memmem(text, length, "\"content\":", 10);
  if (!at) return;
  at += 10;
  while (*at == ' ') at++;
  if (*at++ != '"') return;
  char *end = memchr(at, '"', text + length - at);
  if (!end || end == at) return;
  int64_t moment_now = now();
  if (!c->characters) note(&first, moment_now - c->scheduled);
  long before = c->characters / TOKEN, after = (c->characters += end - at) / TOKEN;
  for (long k = before; k < after && k < CHUNKS; k++) {
    int64_t left_at = stamps[(size_t)c->slot % SLOTS * CHUNKS + k];
    if (left_at) note(&chunk, moment_now - left_at);
  }
}

static void body(Connection *c, const char *data, size_t count) {
  bytes += count;
  if (!streaming) return;
  while (count) {
    const char *end = memchr(data, '\n', count);
    size_t step = end ? (size_t)(end - data) : count;
    if (c->line_have + step + 1 > c->line_room)
      c->line = realloc(c->line, c->line_room = (c->line_have + step) * 2 + 512);
    memcpy(c->line + c->line_have, data, step);
    c->line_have += step;
    if (!end) return;
    c->line[c->line_have] = 0;
    line(c, c->line, c->line_have);
    c->line_have = 0;
    data += step + 1, count -= step + 1;
  }
}

static int head(Connection *c) {
  char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
  if (!end) return 0;
  int framed = 0;
  c->status = atoi(c->in + 9);
  c->part = UNTIL_CLOSE;
  for (char *at = memchr(c->in, '\n', c->have) + 1; at < end; at = memchr(at, '\n', end + 2 - at) + 1) {
    if (!strncasecmp(at, "content-length:", 15)) c->part = LENGTH, c->left = strtoul(at + 15, NULL, 10), framed = 1;
    if (!strncasecmp(at, "transfer-encoding: chunked", 26)) c->part = SIZE, framed = 1;
    if (!strncasecmp(at, "connection: close", 17)) c->closes = 1;
  }
  if (!framed) c->closes = 1;
  c->have -= end + 4 - c->in;
  memmove(c->in, end + 4, c->have);
  return 1;
}

/* Go through what was read; return whether the answer is complete. */
static int understand(Connection *c) {
  if (c->part == HEAD && !head(c)) return 0;
  size_t at = 0;
  int complete = 0;
  while (!complete) {
    size_t step = c->have - at;
    if (c->part == LENGTH || c->part == DATA || c->part == UNTIL_CLOSE) {
      if (c->part != UNTIL_CLOSE && step > c->left) step = c->left;
      body(c, c->in + at, step);
      at += step;
      if (c->part == UNTIL_CLOSE) break;
      c->left -= step;
      if (c->left) break;
      if (c->part == LENGTH) complete = 1;
      else c->part = AFTER;
      continue;
    }
    char *end = memchr(c->in + at, '\n', step);
    if (!end) break;
    if (c->part == SIZE) {
      c->left = strtoul(c->in + at, NULL, 16);
      c->part = c->left ? DATA : TRAILER;
    } else if (c->part == AFTER) {
      c->part = SIZE;
    } else if (c->in[at] == '\r') {
      complete = 1;
    }
    at = end + 1 - c->in;
  }
  c->have -= at;
  memmove(c->in, c->in + at, c->have);
  return complete;
}

static void receive(Connection *c) {
  for (;;) {
    if (c->room - c->have < ROOM) c->in = realloc(c->in, c->room = c->room * 2 + 2 * ROOM);
    ssize_t got = recv(c->fd, c->in + c->have, c->room - c->have - 1, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      if (c->busy) finished(c, got == 0 && c->part == UNTIL_CLOSE);
      if (c->fd >= 0) close(c->fd);
      c->fd = -1;
      return;
    }
    c->have += got;
    if (!c->busy) continue;
    if (understand(c)) { finished(c, 1); return; }
    if (got < ROOM) return;
  }
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static void print(const char *name, Sample *sample) {
  qsort(sample->values, sample->count, sizeof(float), by_value);
  if (!sample->count) return;
#define AT(share) sample->values[(size_t)((sample->count - 1) * (share))]
  printf(",\"%s\":{\"count\":%zu,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, sample->count, AT(0.5),
         AT(0.9), AT(0.99), AT(1));
}

int main(int count, char **given) {
  if (count < 8)
    return fprintf(stderr, "usage: load MODE PORT BODIES SECONDS CONNECTIONS RATE STAMPS [HEADER ...]\n"), 64;
  signal(SIGPIPE, SIG_IGN);
  int open_loop = !strcmp(given[1], "open");
  streaming = !strcmp(given[1], "stream");
  port = atoi(given[2]);
  read_bodies(given[3]);
  double seconds = atof(given[4]), rate = atof(given[6]);
  count_connections = atol(given[5]);
  stamps = moments(given[7]);
  for (int i = 8; i < count; i++) {
    strncat(headers, given[i], sizeof headers - strlen(headers) - 3);
    strcat(headers, "\r\n");
  }
  poll_fd = epoll_create1(0);
  int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event timed = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &timed);
  connections = calloc(count_connections, sizeof *connections);
  next_body = (size_t)now() / 1000 % body_count;  /* not the same users in every run */
  for (long i = 0; i < count_connections; i++) {
    connections[i].slot = i + 1;
    dial(&connections[i]);
  }
  int64_t began = now(), last = began + (int64_t)(seconds * 1e9), ended = 0, due = began;
  int64_t gap = rate > 0 ? (int64_t)(1e9 / rate) : 0;
  for (long i = 0; i < count_connections; i++)
    connections[i].starts = streaming ? began + (int64_t)(seconds / 4 * 1e9) * i / count_connections : began;
  int64_t next_start = began;
  struct epoll_event found[EVENTS];
  for (;;) {
    int64_t moment_now = now(), wake = last;
    if (moment_now < last) {
      if (open_loop) {
        for (long i = 0; i < count_connections && due <= moment_now; i++) {
          if (connections[i].busy) continue;
          ask(&connections[i], due);
          due += gap;
        }
        wake = due > moment_now ? due : moment_now + 200000;  /* all are busy: whoever is answered first asks */
      } else if (next_start <= moment_now) {
        next_start = last;
        for (long i = 0; i < count_connections; i++) {
          Connection *c = &connections[i];
          if (c->busy) continue;
          if (c->starts <= moment_now) ask(c, moment_now);
          else if (c->starts < next_start) next_start = c->starts;
        }
        wake = next_start;
      } else {
        wake = next_start;
      }
    } else if (!busy || moment_now > last + WAIT * 1000000000LL) {
      ended = moment_now;
      break;
    } else {
      wake = moment_now + 1000000000;
    }
    struct itimerspec at = {{0, 0}, {wake / 1000000000, wake % 1000000000}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    int ready = epoll_wait(poll_fd, found, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      Connection *c = found[i].data.ptr;
      uint64_t times;
      if (!c) {
        if (read(timer_fd, &times, sizeof times) < 0) continue;
        continue;
      }
      if (c->fd >= 0 && found[i].events & EPOLLOUT) {
        watch(c, 0, EPOLL_CTL_MOD);
        flush(c);
      }
      if (c->fd >= 0 && found[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        int was_busy = c->busy;
        receive(c);
        if (was_busy && !c->busy && !open_loop && now() < last) ask(c, now());
      }
    }
  }
  printf("{\"requests\":%ld,\"errors\":%ld,\"first_error\":%d,\"unfinished\":%ld,\"seconds\":%.4f,\"bytes\":%.0f,"
         "\"characters\":%ld,\"chunks\":%ld", requests, errors, first_error, busy, (ended - began) / 1e9, bytes,
         characters, characters / TOKEN);
  print("latency", &latency);
  print("first", &first);
  print("chunk", &chunk);
  printf("}\n");
  return 0;
}
