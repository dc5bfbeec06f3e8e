/* An inference server that has no model: answers vLLM's chat completions from a file of texts, at next to no cost.
 *
 *     stub PORT TEXTS STAMPS PACE
 *
 * One thread, epoll, HTTP/1.1 with keep-alive and Content-Length requests. Of a request's body it reads
 *
 *     "model"       one that ends in "-paced" streams a token every PACE microseconds, any other as fast as it goes
 *     "stream"      true for server-sent events
 *     "max_tokens"  tokens of the answer, 7 characters each; 100 where the request names none
 *     "presence_penalty"   in ten-thousandths, the slot: which text is answered with, and where the moments of a
 *                          stream's chunks are written
 *
 * TEXTS holds lines of ASCII without quotes and backslashes, each at least 7 times the tokens that are asked for; a
 * longer answer begins the line again. STAMPS is a file of SLOTS x CHUNKS moments (CLOCK_MONOTONIC, nanoseconds), which
 * the load generator maps too: chunk k of a stream with slot s leaves at [s % SLOTS][k]. So a chunk's way through a
 * proxy is timed and the text stays one that a model might write.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "moments.h"

enum { TOKEN = 7, MOST_TEXTS = 4096, EVENTS = 512, ROOM = 65536 };

typedef struct Connection {
  int fd, busy, paced, dead;
  char *in;                          /* what was read of requests */
  size_t have, in_room;
  char *out;                         /* what the socket did not take */
  size_t out_at, out_have, out_room;
  long token, tokens, slot;          /* of the stream under way */
  int64_t due;
  struct Connection *next;           /* in the queue of paced streams */
  int queued;
} Connection;

static char *texts[MOST_TEXTS];
static size_t lengths[MOST_TEXTS], text_count;
static moment *stamps;
static int poll_fd, timer_fd;
static Connection *queue, *last;     /* by the moment that is due next */
static int64_t pace;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void read_texts(const char *path) {
  FILE *file = fopen(path, "r");
  size_t room;
  if (!file) fail(path);
  while (text_count < MOST_TEXTS) {
    char *line = NULL;
    ssize_t got = getline(&line, &room, file);
    room = 0;
    if (got <= 1) break;
    if (line[got - 1] == '\n') got--;
    texts[text_count] = line;
    lengths[text_count++] = got;
  }
  fclose(file);
  if (!text_count) fail("no texts");
}

/* The characters from `start` on of text number `slot`, into `to`. */
static char *piece(char *to, long slot, size_t start, size_t count) {
  size_t which = (size_t)slot % text_count;
  for (size_t at = start % lengths[which]; count;) {
    size_t step = lengths[which] - at < count ? lengths[which] - at : count;
    memcpy(to, texts[which] + at, step);
    to += step, count -= step, at = 0;
  }
  return to;
}

static char *put(char *to, const char *text) {
  size_t length = strlen(text);
  memcpy(to, text, length);
  return to + length;
}

static void watch(Connection *c, int writing) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (writing ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

/* Send now what goes, and keep the rest for when the socket takes it. */
static void emit(Connection *c, const char *bytes, size_t count) {
  ssize_t sent = 0;
  if (c->out_have == c->out_at) {
    sent = send(c->fd, bytes, count, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) { c->dead = 1; return; }
      sent = 0;
    }
    if ((size_t)sent == count) return;
    c->out_at = c->out_have = 0;
  }
  size_t left = count - sent;
  if (c->out_have + left > c->out_room) {
    c->out_room = (c->out_have + left) * 2;
    c->out = realloc(c->out, c->out_room);
  }
  memcpy(c->out + c->out_have, bytes + sent, left);
  c->out_have += left;
  watch(c, 1);
}

static void flush(Connection *c) {
  ssize_t sent = send(c->fd, c->out + c->out_at, c->out_have - c->out_at, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN) c->dead = 1;
    return;
  }
  c->out_at += sent;
  if (c->out_at == c->out_have) c->out_at = c->out_have = 0, watch(c, 0);
}

#define HEAD "{\"id\":\"chatcmpl-bench\",\"object\":\"%s\",\"created\":1795000000,\"model\":\"%s\",\"choices\":["

static void whole(Connection *c, const char *model) {
  static char body[1 << 20], head[256];
  char *to = body + sprintf(body, HEAD, "chat.completion", model);
  to = put(to, "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
  to = piece(to, c->slot, 0, (size_t)c->tokens * TOKEN);
  to = put(to, "\",\"refusal\":null,\"annotations\":null,\"audio\":null,\"function_call\":null,\"tool_calls\":[],"
               "\"reasoning\":null},\"logprobs\":null,\"finish_reason\":\"stop\",\"stop_reason\":null,"
               "\"token_ids\":null}],\"service_tier\":null,\"system_fingerprint\":null,");
  to += sprintf(to, "\"usage\":{\"prompt_tokens\":200,\"total_tokens\":%ld,\"completion_tokens\":%ld,"
                    "\"prompt_tokens_details\":null},\"prompt_logprobs\":null,\"prompt_token_ids\":null,"
                    "\"kv_transfer_params\":null}", 200 + c->tokens, c->tokens);
  int length = sprintf(head, "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\n"
                             "content-length: %zu\r\ncontent-type: application/json\r\n\r\n", (size_t)(to - body));
  memmove(body + length, body, to - body);
  memcpy(body, head, length);
  emit(c, body, (to - body) + length);
}

/* One event, in a chunk of its own as uvicorn sends it. */
static void event(Connection *c, const char *json, size_t count) {
  char framed[1024];
  char *to = framed + sprintf(framed, "%zx\r\ndata: ", count + 8);
  memcpy(to, json, count);
  to = put(to + count, "\n\n\r\n");
  emit(c, framed, to - framed);
}

static void next_token(Connection *c) {
  char json[512], *to = json;
  const char *name = c->paced ? "bench-paced" : "bench";
  to += sprintf(to, HEAD, "chat.completion.chunk", name);
  if (c->token < c->tokens) {
    to = put(to, "{\"index\":0,\"delta\":{\"content\":\"");
    to = piece(to, c->slot, (size_t)c->token * TOKEN, TOKEN);
    to = put(to, "\"},\"logprobs\":null,\"finish_reason\":null,\"token_ids\":null}]}");
    if (c->token < CHUNKS) stamps[(size_t)c->slot % SLOTS * CHUNKS + c->token] = now();
    event(c, json, to - json);
  } else {
    to = put(to, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\",\"stop_reason\":null,"
                 "\"token_ids\":null}]}");
    event(c, json, to - json);
    emit(c, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n", 24);
    c->busy = 0;
  }
  c->token++;
}

static void enqueue(Connection *c) {
  Connection **at = queue && last->due <= c->due ? &last->next : &queue;
  while (*at && (*at)->due <= c->due) at = &(*at)->next;
  c->next = *at;
  *at = c;
  c->queued = 1;
  if (!c->next) last = c;
}

static void dequeue(Connection *c) {
  Connection **at = &queue, *before = NULL;
  while (*at && *at != c) before = *at, at = &before->next;
  if (*at) *at = c->next;
  if (last == c) last = before;
  c->queued = 0;
}

static void arm(void) {
  struct itimerspec at = {{0, 0}, {0, 0}};
  if (queue) {
    int64_t due = queue->due > 0 ? queue->due : 1;
    at.it_value.tv_sec = due / 1000000000;
    at.it_value.tv_nsec = due % 1000000000;
  }
  timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void stream(Connection *c) {
  static const char head[] =
      "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\n"
      "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
  static const char role[] = "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                             "\"finish_reason\":null}],\"prompt_token_ids\":null}";
  char json[512];
  emit(c, head, sizeof head - 1);
  char *to = json + sprintf(json, HEAD, "chat.completion.chunk", c->paced ? "bench-paced" : "bench");
  to = put(to, role);
  event(c, json, to - json);
  c->token = 0;
  c->busy = 1;
  if (c->paced) {
    c->due = now();
    next_token(c);
    c->due += pace;
    enqueue(c);
  } else {
    while (c->busy && !c->dead) next_token(c);
  }
}

/* The value that follows "name" in a body, or NULL. */
static const char *field(const char *body, size_t count, const char *name) {
  const char *at = memmem(body, count, name, strlen(name));
  if (!at) return NULL;
  at += strlen(name);
  while (*at == ' ' || *at == ':') at++;
  return at;
}

static long number(const char *body, size_t count, const char *name, long otherwise) {
  const char *at = field(body, count, name);
  long value = at ? strtol(at, NULL, 10) : 0;
  return value > 0 ? value : otherwise;
}

static void answer(Connection *c, const char *body, size_t count) {
  const char *model = field(body, count, "\"model\""), *streamed = field(body, count, "\"stream\"");
  const char *end = model ? memchr(model + 1, '"', body + count - model - 1) : NULL;
  c->paced = end && end - model > 6 && !memcmp(end - 6, "-paced", 6);
  c->tokens = number(body, count, "\"max_tokens\"", number(body, count, "\"max_completion_tokens\"", 100));
  const char *slot = field(body, count, "\"presence_penalty\"");
  c->slot = slot ? (long)(strtod(slot, NULL) * 10000 + 0.5) : 0;
  if (c->tokens > 100000) c->tokens = 100000;
  if (streamed && !strncmp(streamed, "true", 4)) stream(c);
  else whole(c, c->paced ? "bench-paced" : "bench");
}

/* Answer what was read as a whole request; return whether there was one. */
static int take(Connection *c) {
  char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t head = end + 4 - c->in, count = 0;
  for (char *line = c->in; line < end; line = memchr(line, '\n', end + 2 - line) + 1) {
    if (!strncasecmp(line, "content-length:", 15)) count = strtoul(line + 15, NULL, 10);
    if (line[0] == '\r') break;
  }
  if (c->have < head + count) return 0;
  char *body = c->in + head, kept = body[count];
  body[count] = 0;  /* there is room: see receive */
  if (count && !strncmp(c->in, "POST", 4)) {
    answer(c, body, count);
  } else {  /* a probe for health or models */
    static const char models[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"},"
        "{\"id\":\"bench-paced\",\"object\":\"model\",\"created\":1,\"owned_by\":\"bench\"}]}";
    char reply[512];
    int length = sprintf(reply, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                         sizeof models - 1, models);
    emit(c, reply, length);
  }
  body[count] = kept;
  c->have -= head + count;
  memmove(c->in, body + count, c->have);
  return 1;
}

static void hang_up(Connection *c) {
  if (c->queued) dequeue(c);
  close(c->fd);
  free(c->in);
  free(c->out);
  free(c);
}

static void receive(Connection *c) {
  for (;;) {
    if (c->in_room - c->have < ROOM / 2) {
      c->in_room = c->in_room * 2 + ROOM;
      c->in = realloc(c->in, c->in_room);
    }
    ssize_t got = recv(c->fd, c->in + c->have, c->in_room - c->have - 1, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) { c->dead = 1; return; }
    if (got < 0) break;
    c->have += got;
    if ((size_t)got < ROOM / 4) break;
  }
  while (!c->busy && !c->dead && take(c)) {}
}

int main(int count, char **given) {
  if (count != 5) return fprintf(stderr, "usage: stub PORT TEXTS STAMPS PACE\n"), 64;
  signal(SIGPIPE, SIG_IGN);
  read_texts(given[2]);
  stamps = moments(given[3]);
  pace = atol(given[4]) * 1000;
  int yes = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(given[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) fail("listen");
  poll_fd = epoll_create1(0);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event watched = {.events = EPOLLIN, .data.ptr = &listener}, found[EVENTS];
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &watched);
  watched.data.ptr = &timer_fd;
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &watched);
  for (;;) {
    int ready = epoll_wait(poll_fd, found, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (found[i].data.ptr == &listener) {
        int fd;
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
          Connection *c = calloc(1, sizeof *c);
          c->fd = fd;
          watched = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
          epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &watched);
        }
      } else if (found[i].data.ptr == &timer_fd) {
        uint64_t times;
        if (read(timer_fd, &times, sizeof times) < 0) continue;
      } else {
        Connection *c = found[i].data.ptr;
        if (found[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) receive(c);
        if (!c->dead && found[i].events & EPOLLOUT) flush(c);
        if (c->dead) hang_up(c);
      }
    }
    int64_t moment_now = now();
    while (queue && queue->due <= moment_now) {
      Connection *c = queue;
      dequeue(c);
      next_token(c);
      if (c->dead) { hang_up(c); continue; }
      c->due += pace;
      if (c->busy) enqueue(c);
      else while (!c->busy && !c->dead && take(c)) {}
    }
    arm();
  }
}
