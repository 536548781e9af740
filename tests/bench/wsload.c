// The load client: one epoll thread that opens N WebSocket connections, publishes over HTTP, and counts what arrives.
//
// An event is a message with "t":<CLOCK_MONOTONIC ns> in it; that is when it was sent. Publishing stops before the counts are taken, so
// that every connection must have received exactly what was accepted, and the server's CPU time belongs to exactly those events.
// Prints one line of JSON. See `usage` for the options. `others_pct` and `stolen_pct` say how calm the machine was, in percent of one core:
// what other programs used, and what the hypervisor took.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define READ_BYTES (1 << 18)
#define REQUEST_BYTES (1 << 20)
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define STAMP "\"t\":"
#define QUIET_NS 1000000000ull  // nothing arrived for so long: what is missing is lost

typedef unsigned long long ull;
typedef enum { IDLE, CONNECTING, UPGRADING, OPEN, CLOSED } state_t;
typedef enum { SUBSCRIBER, PUBLISHER } kind_t;

typedef struct {
  int fd;
  uint8_t state, kind, ready, stalled;
  uint32_t held_size, held_capacity, channel;
  uint8_t *held;      // an incomplete frame, upgrade answer or response
  uint64_t events;    // received, since the connection was opened
  uint64_t asked_at;  // a request is under way since then; 0: none
} conn_t;

static struct {
  int port, subscribers, concurrency, spin, server_pid, stalled, publishers, batch, size, lockstep, channels, deflate, publish_port;
  double warm, seconds, hold, rate, deadline;
  const char *path, *ready, *publish, *greet, *header;
  const char *event_head, *event_tail, *batch_head, *batch_tail;  // around an event, and around those of a request with several
} opt = {.event_head = "", .event_tail = "", .batch_head = "[", .batch_tail = "]", .port = 8000, .path = "/", .channels = 1, .concurrency = 128, .batch = 1, .size = 128, .warm = 0.5, .seconds = 3, .deadline = 120};

static conn_t *conns;
static int epoll;
static struct sockaddr_in server, publishing_at;
static int opened, ready, failed, closed, publishing, stalling, measuring;
static uint64_t deliveries, bytes, pings, requests, refused, skipped, accepted, in_flight, last_event_at;
static uint64_t *accepted_of;  // by channel

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  return clock_gettime(clock, &t) ? 0 : t.tv_sec * 1000000000ull + t.tv_nsec;
}
static uint64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

static uint64_t server_cpu(void) {
  clockid_t clock;
  return opt.server_pid && !clock_getcpuclockid(opt.server_pid, &clock) ? clock_ns(clock) : 0;
}

static ull server_rss_kb(void) {
  char name[64];
  unsigned long total = 0, resident = 0;
  snprintf(name, sizeof name, "/proc/%d/statm", opt.server_pid);
  FILE *file = fopen(name, "r");
  if (!file) return 0;
  if (fscanf(file, "%lu %lu", &total, &resident) != 2) resident = 0;
  fclose(file);
  return resident * (ull)sysconf(_SC_PAGESIZE) / 1024;
}

// CPU time of the whole machine, in ticks: what ran on it, and what the hypervisor gave to others.
typedef struct {
  ull busy, stolen;
} machine_t;

static machine_t machine_cpu(void) {
  ull user = 0, nice = 0, system = 0, idle, waiting, irq = 0, softirq = 0, stolen = 0;
  FILE *file = fopen("/proc/stat", "r");
  if (!file) return (machine_t){0};
  if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &waiting, &irq, &softirq, &stolen) != 8)
    stolen = 0;
  fclose(file);
  return (machine_t){user + nice + system + irq + softirq, stolen};
}

static void die(const char *what) {
  perror(what);
  exit(2);
}

// Latencies: a histogram with 64 linear steps to each power of two, so at most 1.6 % off.

#define STEPS 6
static uint64_t histogram[64 << STEPS], latencies, longest;

static void add_latency(uint64_t ns) {
  int power = ns < (1 << STEPS) ? 0 : 64 - STEPS - __builtin_clzll(ns);
  int step = power ? (int)((ns >> (power - 1)) & ((1 << STEPS) - 1)) : (int)ns;
  histogram[(power << STEPS) + step]++;
  latencies++;
  if (ns > longest) longest = ns;
}

static double percentile_us(double percent) {
  uint64_t rank = (uint64_t)(percent / 100 * latencies), seen = 0;
  for (int i = 0; i < 64 << STEPS; i++) {
    seen += histogram[i];
    if (seen > rank) {
      int power = i >> STEPS, step = i & ((1 << STEPS) - 1);
      return (power ? ((uint64_t)((1 << STEPS) + step) << (power - 1)) : (uint64_t)step) / 1e3;
    }
  }
  return longest / 1e3;
}

// Connections

static void hold_bytes(conn_t *conn, const uint8_t *data, size_t size) {
  if (conn->held_size + size > conn->held_capacity) {
    conn->held_capacity = (conn->held_size + size) * 2;
    conn->held = realloc(conn->held, conn->held_capacity);
  }
  memcpy(conn->held + conn->held_size, data, size);
  conn->held_size += size;
}

static void drop_held(conn_t *conn, size_t size) {
  conn->held_size -= size;
  memmove(conn->held, conn->held + size, conn->held_size);
  if (conn->held_size) return;
  free(conn->held);
  conn->held = NULL;
  conn->held_capacity = 0;
}

static void close_conn(conn_t *conn) {
  if (conn->state == CLOSED) return;
  if (conn->kind == PUBLISHER) {
    fprintf(stderr, "a publisher's connection was closed\n");
    exit(3);
  }
  if (conn->state != OPEN)
    failed++;
  else
    closed++;
  close(conn->fd);
  conn->state = CLOSED;
}

static void start_conn(conn_t *conn, kind_t kind) {
  conn->kind = kind;
  conn->state = CONNECTING;
  conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (conn->fd < 0) die("socket");
  int one = 1, little = 4096, much = 1 << 20;
  setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (conn->stalled) setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
  if (kind == PUBLISHER) setsockopt(conn->fd, SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
  struct sockaddr_in *at = kind == PUBLISHER ? &publishing_at : &server;
  if (connect(conn->fd, (struct sockaddr *)at, sizeof *at) < 0 && errno != EINPROGRESS) die("connect");
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = conn};
  epoll_ctl(epoll, EPOLL_CTL_ADD, conn->fd, &event);
}

static void send_or_close(conn_t *conn, const void *data, size_t size) {
  if (send(conn->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) close_conn(conn);
}

// The pattern, with the channel's number in place of {}.
static const char *address(const char *pattern, uint32_t channel) {
  static char text[512];
  const char *hole = strstr(pattern, "{}");
  if (!hole) return pattern;
  snprintf(text, sizeof text, "%.*s%u%s", (int)(hole - pattern), pattern, channel, hole + 2);
  return text;
}

// Subscribers: WebSocket frames (RFC 6455, 5.2)

static void send_control(conn_t *conn, int opcode, const uint8_t *payload, size_t size) {
  static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
  uint8_t frame[131] = {0x80 | opcode, 0x80 | size, mask[0], mask[1], mask[2], mask[3]};
  for (size_t i = 0; i < size; i++) frame[6 + i] = payload[i] ^ mask[i & 3];
  send_or_close(conn, frame, 6 + size);
}

// Where the stamp of a line is. It is nearly always where that of the line before was, and a search takes as long as the rest.
static const uint8_t *stamp_of(const uint8_t *line, size_t size) {
  static size_t last;
  const size_t length = sizeof STAMP - 1;
  if (last + length <= size && !memcmp(line + last, STAMP, length)) return line + last;
  const uint8_t *at = memmem(line, size, STAMP, length);
  if (at) last = at - line;
  return at;
}

// A message may hold several events, each on a line: Centrifugo joins what it has for a client.
static void on_message(conn_t *conn, const uint8_t *text, size_t size, uint64_t time) {
  const uint8_t *at = stamp_of(text, size), *end = text + size;
  if (!at) {
    if (size == 2 && !memcmp(text, "{}", 2)) pings++, send_control(conn, 1, text, size);  // Centrifugo's, answered alike
    if (!conn->ready && opt.ready && memmem(text, size, opt.ready, strlen(opt.ready))) conn->ready = 1, ready++;
    return;
  }
  bytes += size;
  last_event_at = time;
  while (at) {
    uint64_t sent = 0;
    for (at += sizeof STAMP - 1; at < end && *at >= '0' && *at <= '9'; at++) sent = sent * 10 + (*at - '0');
    conn->events++;
    deliveries++;
    if (measuring) add_latency(time > sent ? time - sent : 0);
    const uint8_t *line = memchr(at, '\n', end - at);
    at = line ? stamp_of(line + 1, end - line - 1) : NULL;
  }
}

static void on_compressed(conn_t *conn, const uint8_t *data, size_t size, uint64_t time) {
  static uint8_t text[READ_BYTES];
  z_stream stream = {.next_in = (uint8_t *)data, .avail_in = size, .next_out = text, .avail_out = sizeof text};
  static const uint8_t tail[] = {0, 0, 0xff, 0xff};  // RFC 7692, 7.2.2
  inflateInit2(&stream, -15);
  int first = inflate(&stream, Z_SYNC_FLUSH);
  stream.next_in = (uint8_t *)tail, stream.avail_in = sizeof tail;
  int last = inflate(&stream, Z_SYNC_FLUSH);
  if (first != Z_OK || (last != Z_OK && last != Z_BUF_ERROR)) fprintf(stderr, "a message cannot be inflated\n"), exit(3);
  on_message(conn, text, sizeof text - stream.avail_out, time);
  inflateEnd(&stream);
}

// Consumes whole frames; how many bytes they had.
static size_t parse(conn_t *conn, const uint8_t *data, size_t size, uint64_t time) {
  size_t done = 0;
  while (size - done >= 2) {
    const uint8_t *frame = data + done;
    size_t header = 2, length = frame[1] & 127;
    if (length == 126) {
      if (size - done < (header = 4)) break;
      length = (size_t)frame[2] << 8 | frame[3];
    } else if (length == 127) {
      if (size - done < (header = 10)) break;
      length = 0;
      for (int i = 2; i < 10; i++) length = length << 8 | frame[i];
    }
    if (size - done < header + length) break;
    switch (frame[0]) {
      case 0x81: on_message(conn, frame + header, length, time); break;
      case 0xC1: on_compressed(conn, frame + header, length, time); break;
      case 0x89: pings++, send_control(conn, 10, frame + header, length); break;
      case 0x8A: break;
      case 0x88: close_conn(conn); break;
      default: fprintf(stderr, "unexpected frame header 0x%02x\n", frame[0]), exit(3);
    }
    if (conn->state != OPEN) return size;
    done += header + length;
  }
  return done;
}

static void on_frames(conn_t *conn, const uint8_t *data, size_t size) {
  uint64_t time = now();
  if (conn->held_size) {
    hold_bytes(conn, data, size);
    size_t done = parse(conn, conn->held, conn->held_size, time);
    if (conn->state == OPEN && done) drop_held(conn, done);
  } else {
    size_t done = parse(conn, data, size, time);
    if (conn->state == OPEN && done < size) hold_bytes(conn, data + done, size - done);
  }
}

// The line of --header, or nothing.
static const char *header(void) {
  static char line[1024];
  if (opt.header && !*line) snprintf(line, sizeof line, "%s\r\n", opt.header);
  return line;
}

static void send_upgrade(conn_t *conn) {
  char request[2048];
  int size = snprintf(request, sizeof request,
                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s%s\r\n",
                      address(opt.path, conn->channel), opt.port, header(),
                      opt.deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
  conn->state = UPGRADING;
  send_or_close(conn, request, size);
}

static void on_upgraded(conn_t *conn, const uint8_t *data, size_t size) {
  hold_bytes(conn, data, size);
  uint8_t *end = memmem(conn->held, conn->held_size, "\r\n\r\n", 4);
  if (!end) return;
  size_t head = end + 4 - conn->held;
  if (strncmp((char *)conn->held, "HTTP/1.1 101", 12) || !memmem(conn->held, head, ACCEPT, sizeof ACCEPT - 1)) {
    if (!failed) fprintf(stderr, "refused: %.*s\n", (int)head, (char *)conn->held);
    close_conn(conn);
    return;
  }
  conn->state = OPEN;
  opened++;
  if (opt.greet) {
    const char *text = address(opt.greet, conn->channel);
    if (strlen(text) > 125) fprintf(stderr, "--greet is too long for one short frame\n"), exit(2);
    send_control(conn, 1, (const uint8_t *)text, strlen(text));
  }
  if (!opt.ready) conn->ready = 1, ready++;
  drop_held(conn, head);
  if (conn->held_size) {
    size_t done = parse(conn, conn->held, conn->held_size, now());
    if (conn->state == OPEN && done) drop_held(conn, done);
  }
}

// Publishers: one request under way on each connection

static void publish(conn_t *conn) {
  static uint32_t turn;
  conn->channel = turn++ % opt.channels;
  static char request[REQUEST_BYTES], body[REQUEST_BYTES];
  char *at = body;
  uint64_t time = now();
  if (opt.batch > 1) at = stpcpy(at, opt.batch_head);
  for (int i = 0; i < opt.batch; i++) {
    if (i) *at++ = ',';
    at = stpcpy(at, address(opt.event_head, conn->channel));
    char *begin = at;
    at += sprintf(at, "{" STAMP "%llu,\"pad\":\"", (ull)time);
    while (at - begin < opt.size - 2) *at++ = 'x';
    *at++ = '"', *at++ = '}';
    at = stpcpy(at, opt.event_tail);
  }
  if (opt.batch > 1) at = stpcpy(at, opt.batch_tail);
  int head = sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n%sContent-Length: %td\r\n\r\n",
                     address(opt.publish, conn->channel), opt.port, header(), at - body);
  memcpy(request + head, body, at - body);
  conn->asked_at = time;
  in_flight++;
  send_or_close(conn, request, head + (at - body));
}

static void on_response(conn_t *conn, const uint8_t *data, size_t size) {
  hold_bytes(conn, data, size);
  uint8_t *end = memmem(conn->held, conn->held_size, "\r\n\r\n", 4);
  if (!end) return;
  *end = 0;
  const char *length = strcasestr((char *)conn->held, "content-length:");
  int chunked = strcasestr((char *)conn->held, "transfer-encoding: chunked") != NULL;
  *end = '\r';
  size_t head = end + 4 - conn->held, total = head + (length ? atol(length + 15) : 0);
  if (chunked) {  // Go sends long answers so; JSON has no line breaks
    uint8_t *last = memmem(conn->held + head, conn->held_size - head, "\r\n0\r\n\r\n", 7);
    if (!last) return;
    total = last + 7 - conn->held;
  }
  if (conn->held_size < total) return;
  requests++;
  in_flight--;
  if (!memcmp(conn->held + 9, "200", 3) || !memcmp(conn->held + 9, "201", 3)) {
    accepted += opt.batch;
    accepted_of[conn->channel] += opt.batch;
  } else if (!refused++) {
    fprintf(stderr, "refused: %.*s\n", (int)total, (char *)conn->held);
  }
  drop_held(conn, total);
  conn->asked_at = 0;
  if (publishing && opt.rate <= 0 && !opt.lockstep) publish(conn);
}

// Lockstep: nothing is sent before every subscriber has everything, so that no two events can share a write. Without it a server that
// answers before it writes gets the next request in time to join both, and looks faster than one send an event can be.

static int settled(void) { return !in_flight && deliveries == accepted * opt.subscribers / opt.channels; }

static void send_next(void) {
  if (opt.publishers) {
    publish(&conns[opt.subscribers]);
  } else {
    accepted += opt.batch;
    accepted_of[0] += opt.batch;
    send_control(&conns[0], 10, NULL, 0);  // climit -w takes any bytes
  }
}

static void publish_at_rate(void) {
  static uint64_t next;
  static int turn;
  uint64_t time = now();
  if (next + 1000000000ull < time) next = time;
  for (; next <= time; next += (uint64_t)(1e9 / opt.rate)) {
    conn_t *free_one = NULL;
    for (int i = 0; i < opt.publishers && !free_one; i++) {
      conn_t *conn = &conns[opt.subscribers + turn++ % opt.publishers];
      if (!conn->asked_at) free_one = conn;
    }
    if (free_one)
      publish(free_one);
    else
      skipped++;
  }
}

// The loop

static void readable(conn_t *conn) {
  static uint8_t buffer[READ_BYTES];
  while (conn->state != CLOSED) {
    ssize_t size = recv(conn->fd, buffer, sizeof buffer, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
      close_conn(conn);
    } else if (conn->kind == PUBLISHER) {
      on_response(conn, buffer, size);
    } else if (conn->state == UPGRADING) {
      on_upgraded(conn, buffer, size);
    } else {
      on_frames(conn, buffer, size);
    }
    if (size > 0 && size < READ_BYTES) return;  // edge-triggered: a short read has drained it
  }
}

static void connected(conn_t *conn) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) {
    if (!failed) fprintf(stderr, "connect: %s\n", strerror(error));
    close_conn(conn);
    return;
  }
  struct epoll_event event = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP, .data.ptr = conn};
  epoll_ctl(epoll, EPOLL_CTL_MOD, conn->fd, &event);
  if (conn->kind == SUBSCRIBER)
    send_upgrade(conn);
  else
    conn->state = OPEN;
}

static void step(void) {
  static struct epoll_event events[1024];
  if (publishing && opt.rate > 0) publish_at_rate();
  int count = epoll_wait(epoll, events, 1024, opt.spin ? 0 : publishing && opt.rate > 0 ? 1 : 50);
  for (int i = 0; i < count; i++) {
    conn_t *conn = events[i].data.ptr;
    if (conn->state == CLOSED) continue;
    if (conn->state == CONNECTING)
      connected(conn);
    else if (!conn->stalled || !stalling)  // a stalled one cannot see its end: that waits behind what it does not read
      readable(conn);
  }
  if (publishing && opt.lockstep && settled()) send_next();
}

static void run_for(double seconds) {
  for (uint64_t end = now() + (uint64_t)(seconds * 1e9); now() < end;) step();
}

static void open_all(void) {
  int started = 0;
  while (ready + failed + closed < opt.subscribers) {
    while (started < opt.subscribers && started - opened - failed < opt.concurrency) start_conn(&conns[started++], SUBSCRIBER);
    step();
  }
  for (int i = 0; i < opt.publishers; i++) start_conn(&conns[opt.subscribers + i], PUBLISHER);
  for (int i = 0; i < opt.publishers; i++)
    while (conns[opt.subscribers + i].state == CONNECTING) step();
}

static void start_publishing(void) {
  publishing = 1;
  if (opt.lockstep) return;  // `step` begins
  for (int i = 0; i < opt.publishers && opt.rate <= 0; i++) publish(&conns[opt.subscribers + i]);
}

// What was sent is known, so that loss is, too.
static int counted(void) { return opt.publishers || opt.lockstep; }

static uint64_t outstanding(void) {
  uint64_t missing = 0;
  for (int i = 0; i < opt.subscribers; i++) {
    uint64_t due = accepted_of[conns[i].channel];
    if (!conns[i].stalled && conns[i].events < due) missing += due - conns[i].events;
  }
  return missing;
}

// No more requests; return when all are answered and every subscriber has everything, or nothing came for a while.
static void stop_publishing(void) {
  publishing = 0;
  while (in_flight) step();
  uint64_t changed = now(), seen = deliveries;
  while (counted() && outstanding() && now() - changed < QUIET_NS) {
    step();
    if (deliveries != seen) seen = deliveries, changed = now();
  }
}

static void usage(void) {
  fputs(
      "wsload --port P --path /PATH --subscribers N [options]\n"
      "  --concurrency N   handshakes under way (128)     --ready TEXT  a subscriber is ready after a message that has this\n"
      "  --spin            never sleep: no wake-ups are charged to the server    --server-pid PID  report its CPU time and memory\n"
      "  --warm S (0.5)    --seconds S (3)                --hold S      only keep the connections, answering pings\n"
      "  --stalled N       the first N read no more once measuring begins\n"
      "  --publish /PATH   --publishers N                 --batch N     events in a request (1)\n"
      "  --size BYTES      of an event's data (128)       --rate R      requests/s; otherwise the next follows each answer\n"
      "  --channels N      {} in the paths is a channel's number; subscribers and requests take them in turn\n"
      "  --publish-port P  another node takes the requests\n"
      "  --deflate         offer permessage-deflate       --greet TEXT  a subscriber's first message\n"
      "  --event-head TEXT, --event-tail TEXT   around each event; --batch-head and --batch-tail: around several ([ and ])\n"
      "  --lockstep        the next request follows when all subscribers have all events; without publishers, climit -w is asked\n"
      "  --header LINE     of every request            --deadline S   give up (120)\n",
      stderr);
  exit(2);
}

static void options(int argc, char **argv) {
  static const struct option known[] = {
      {"port", 1, 0, 'p'}, {"path", 1, 0, 'P'}, {"subscribers", 1, 0, 'n'}, {"concurrency", 1, 0, 'c'}, {"ready", 1, 0, 'R'},
      {"spin", 0, 0, 'x'}, {"server-pid", 1, 0, 'i'}, {"warm", 1, 0, 'w'}, {"seconds", 1, 0, 'd'}, {"hold", 1, 0, 'h'},
      {"stalled", 1, 0, 's'}, {"publish", 1, 0, 'u'}, {"publishers", 1, 0, 'm'}, {"batch", 1, 0, 'b'}, {"size", 1, 0, 'z'},
      {"rate", 1, 0, 'r'}, {"lockstep", 0, 0, 'l'}, {"deadline", 1, 0, 'D'},
      {"channels", 1, 0, 'C'}, {"deflate", 0, 0, 'Z'}, {"greet", 1, 0, 'G'},
      {"publish-port", 1, 0, 'Q'}, {"header", 1, 0, 'H'},
      {"event-head", 1, 0, 1}, {"event-tail", 1, 0, 2}, {"batch-head", 1, 0, 3}, {"batch-tail", 1, 0, 4}, {0}};
  for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (option) {
      case 'p': opt.port = atoi(optarg); break;
      case 'P': opt.path = optarg; break;
      case 'n': opt.subscribers = atoi(optarg); break;
      case 'c': opt.concurrency = atoi(optarg); break;
      case 'R': opt.ready = optarg; break;
      case 'x': opt.spin = 1; break;
      case 'i': opt.server_pid = atoi(optarg); break;
      case 'w': opt.warm = atof(optarg); break;
      case 'd': opt.seconds = atof(optarg); break;
      case 'h': opt.hold = atof(optarg); break;
      case 's': opt.stalled = atoi(optarg); break;
      case 'u': opt.publish = optarg; break;
      case 'm': opt.publishers = atoi(optarg); break;
      case 'b': opt.batch = atoi(optarg); break;
      case 'z': opt.size = atoi(optarg); break;
      case 'r': opt.rate = atof(optarg); break;
      case 'l': opt.lockstep = 1; break;
      case 'C': opt.channels = atoi(optarg); break;
      case 'Z': opt.deflate = 1; break;
      case 'Q': opt.publish_port = atoi(optarg); break;
      case 'G': opt.greet = optarg; break;
      case 'H': opt.header = optarg; break;
      case 1: opt.event_head = optarg; break;
      case 2: opt.event_tail = optarg; break;
      case 3: opt.batch_head = optarg; break;
      case 4: opt.batch_tail = optarg; break;
      case 'D': opt.deadline = atof(optarg); break;
      default: usage();
    }
  if (opt.size < 48 || opt.batch < 1 || (long)opt.batch * (opt.size + 64 + strlen(opt.event_head)) > REQUEST_BYTES - 1024) usage();
  if (opt.channels < 1 || opt.subscribers % opt.channels) usage();
}

int main(int argc, char **argv) {
  options(argc, argv);
  signal(SIGPIPE, SIG_IGN);
  alarm((unsigned)opt.deadline + 1);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  publishing_at = server;
  if (opt.publish_port) publishing_at.sin_port = htons(opt.publish_port);
  epoll = epoll_create1(0);
  conns = calloc(opt.subscribers + opt.publishers + 1, sizeof(conn_t));
  accepted_of = calloc(opt.channels, sizeof *accepted_of);
  for (int i = 0; i < opt.subscribers; i++) conns[i].channel = i % opt.channels, conns[i].stalled = i < opt.stalled;

  ull rss_before = server_rss_kb();
  uint64_t begin = now(), cpu_begin = server_cpu();
  open_all();
  double open_seconds = (now() - begin) / 1e9, open_cpu_us = (server_cpu() - cpu_begin) / 1e3;
  ull rss_open = server_rss_kb();

  start_publishing();
  run_for(opt.hold > 0 ? 0 : opt.warm);
  stop_publishing();

  measuring = stalling = 1;
  uint64_t deliveries0 = deliveries, bytes0 = bytes, accepted0 = accepted, requests0 = requests;
  machine_t machine0 = machine_cpu();
  uint64_t cpu0 = server_cpu(), own0 = clock_ns(CLOCK_PROCESS_CPUTIME_ID), start = now();
  start_publishing();
  run_for(opt.hold > 0 ? opt.hold : opt.seconds);
  stop_publishing();
  uint64_t cpu = server_cpu() - cpu0, own = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own0, end = now();
  machine_t machine = machine_cpu();
  double core_us = (end - start) / 1e3, tick_us = 1e6 / sysconf(_SC_CLK_TCK);
  double others_us = (machine.busy - machine0.busy) * tick_us - (cpu + own) / 1e3, stolen_us = (machine.stolen - machine0.stolen) * tick_us;
  if (counted() && opt.subscribers && last_event_at > start) end = last_event_at;

  double seconds = (end - start) / 1e9;
  uint64_t least = opt.subscribers > opt.stalled ? UINT64_MAX : 0, most = 0, missing = 0, surplus = 0;
  for (int i = opt.stalled; i < opt.subscribers; i++) {
    uint64_t events = conns[i].events, due = accepted_of[conns[i].channel];
    least = events < least ? events : least;
    most = events > most ? events : most;
    if (counted()) missing += events < due ? due - events : 0, surplus += events > due ? events - due : 0;
  }
  uint64_t got = deliveries - deliveries0, events = accepted - accepted0;
  printf("{\"subscribers\":%d,\"open\":%d,\"failed\":%d,\"closed\":%d,", opt.subscribers,
         opened - closed, failed, closed);
  printf("\"handshakes_per_s\":%.0f,\"handshake_cpu_us\":%.2f,", opened / open_seconds, opened ? open_cpu_us / opened : 0);
  printf("\"rss_before_kb\":%llu,\"rss_open_kb\":%llu,\"rss_end_kb\":%llu,\"pings\":%llu,", rss_before, rss_open, server_rss_kb(), (ull)pings);
  printf("\"seconds\":%.3f,\"deliveries\":%llu,\"deliveries_per_s\":%.0f,", seconds, (ull)got, got / seconds);
  printf("\"delivery_bytes\":%.1f,", got ? (double)(bytes - bytes0) / got : 0);
  printf("\"requests\":%llu,\"events\":%llu,\"events_per_s\":%.1f,", (ull)(requests - requests0), (ull)events, events / seconds);
  printf("\"refused\":%llu,\"skipped\":%llu,\"accepted\":%llu,", (ull)refused, (ull)skipped, (ull)accepted);
  printf("\"missing\":%llu,\"surplus\":%llu,\"least\":%llu,\"most\":%llu,", (ull)missing, (ull)surplus, (ull)least, (ull)most);
  printf("\"p50_us\":%.1f,\"p99_us\":%.1f,", percentile_us(50), percentile_us(99));
  printf("\"p999_us\":%.1f,\"max_us\":%.1f,", percentile_us(99.9), longest / 1e3);
  printf("\"others_pct\":%.1f,\"stolen_pct\":%.1f,", 100 * (others_us > 0 ? others_us : 0) / core_us, 100 * stolen_us / core_us);
  printf("\"server_cpu_us\":%.0f,\"client_cpu_us\":%.0f}\n", cpu / 1e3, own / 1e3);
  return 0;
}
