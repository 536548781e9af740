// The limit: one thread that accepts N WebSocket upgrades, then writes prebuilt frames to every socket, as fast as the sockets take
// them or at a rate. Nothing is parsed, stored or looked up, so no server can deliver for less CPU with one send per subscriber.
//
//   climit -p PORT -n SUBSCRIBERS [-k FRAMES_PER_SEND] [-s PAYLOAD_BYTES] [-r SENDS_PER_SECOND | -w]
//
// With -w each round waits for a few bytes on the first connection: the client has everything and asks for more.
//
// Prints "listening" once clients can connect. Ends when a client goes away.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_FRAMES 64
#define MAX_PAYLOAD 8192

static const char ANSWER[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

// A text frame of `size` payload bytes with the time in it; 126 <= size < 65536, so that its header has 4 bytes.
static size_t build_frame(uint8_t *out, size_t size) {
  out[0] = 0x81;
  out[1] = 126;
  out[2] = size >> 8;
  out[3] = size & 255;
  char *payload = (char *)out + 4;
  size_t used = sprintf(payload, "{\"t\":%llu,\"pad\":\"", (unsigned long long)now());
  memset(payload + used, 'x', size - used - 2);
  memcpy(payload + size - 2, "\"}", 2);
  return size + 4;
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (void *)&address, sizeof address) || listen(fd, 4096)) die("bind");
  puts("listening");
  fflush(stdout);
  return fd;
}

static int accept_upgrade(int listener) {
  int fd = accept4(listener, NULL, NULL, 0), one = 1;
  if (fd < 0) die("accept");
  char request[4096];
  for (size_t got = 0; !memmem(request, got, "\r\n\r\n", 4);) {
    ssize_t more = recv(fd, request + got, sizeof request - got, 0);
    if (more <= 0) die("upgrade");
    got += more;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (send(fd, ANSWER, sizeof ANSWER - 1, 0) < 0) die("send");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

// False when the client has gone.
static int send_all(int fd, const uint8_t *data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t sent = send(fd, data + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      done += sent;
    } else if (errno == EAGAIN) {
      struct pollfd writable = {fd, POLLOUT, 0};
      poll(&writable, 1, 1000);
    } else {
      return 0;
    }
  }
  return 1;
}

// False when the client has gone.
static int wait_for_client(int fd) {
  char bytes[64];
  struct pollfd readable = {fd, POLLIN, 0};
  poll(&readable, 1, -1);
  return recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0;
}

static void wait_until(uint64_t moment) {
  for (uint64_t time; (time = now()) < moment;)
    if (moment - time > 60000) usleep((moment - time - 50000) / 1000);
}

int main(int argc, char **argv) {
  int port = 9000, subscribers = 1000, frames = 1, size = 128, asked = 0, option;
  double rate = 0;
  while ((option = getopt(argc, argv, "p:n:k:s:r:w")) != -1) switch (option) {
      case 'p': port = atoi(optarg); break;
      case 'n': subscribers = atoi(optarg); break;
      case 'k': frames = atoi(optarg); break;
      case 's': size = atoi(optarg); break;
      case 'r': rate = atof(optarg); break;
      case 'w': asked = 1; break;
      default: return 2;
    }
  if (frames < 1 || frames > MAX_FRAMES || size < 126 || size > MAX_PAYLOAD) return 2;

  int listener = listen_on(port);
  int *fds = malloc(subscribers * sizeof(int));
  for (int i = 0; i < subscribers; i++) fds[i] = accept_upgrade(listener);

  static uint8_t joined[MAX_FRAMES * (MAX_PAYLOAD + 4)];
  for (uint64_t next = now();; next += rate > 0 ? (uint64_t)(1e9 / rate) : 0) {
    if (rate > 0) wait_until(next);
    if (asked && !wait_for_client(fds[0])) return 0;
    size_t total = 0;
    for (int i = 0; i < frames; i++) total += build_frame(joined + total, size);
    for (int i = 0; i < subscribers; i++)
      if (!send_all(fds[i], joined, total)) return 0;
  }
}
