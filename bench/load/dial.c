/* How connections come to be: from several addresses, for one has ports for some 28,000 only. */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define FROM_ONE_ADDRESS 10000

#define EXTENSION "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
/* The key and its answer in RFC 6455 1.3. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

int open_connections;
static char request[1024];
static int request_length;

void dial_prepare(void) {
  request_length = snprintf(request, sizeof request,
    "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
    options.path, options.port, options.deflate ? "Sec-WebSocket-Extensions: " EXTENSION "\r\n" : "");
}

static void bind_to(int fd, uint32_t address) {
  int one = 1;
  /* The port is then chosen when the peer's address is known, and may be in use towards another. */
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
  if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0) fail("setup", "cannot bind: %s", strerror(errno));
}

void dial(struct connection *c) {
  c->state = DIALING;
  c->dialed_at = now_ns();
  c->in_frame = false;
  c->head_length = 0;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (c->fd < 0) fail("setup", "cannot open a socket: %s", strerror(errno));
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (c->slow) {
    /* Loopback's segments of 64 KiB would let the kernel take megabytes for one that does not read. */
    int small = 4096, segment = 536;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
  }
  if (options.connections > FROM_ONE_ADDRESS) bind_to(c->fd, 0x7f000002 + c->id / FROM_ONE_ADDRESS);
  struct sockaddr_in to = {
    .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
    fail("setup", "cannot connect: %s", strerror(errno));
  }
  watch(c, true);
}

static void ask(struct connection *c) {
  if (options.protocol == RAW) {
    c->state = OPEN;
    on_open(c);
    return;
  }
  if (wire_send(c, request, (size_t)request_length) != request_length) {
    fail("setup", "cannot send a request: %s", strerror(errno));
  }
  c->state = UPGRADING;
}

/* TCP is connected: TLS next, or the upgrade request. */
void dial_continue(struct connection *c) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) fail("setup", "cannot connect: %s", strerror(error));
  watch(c, false);
  if (!options.tls) {
    ask(c);
    return;
  }
  tls_begin(c);
  c->state = SECURING;
  dial_secured(c);
}

void dial_secured(struct connection *c) {
  if (tls_continue(c)) ask(c);
}

/* The response, up to the empty line. */
void upgraded(struct connection *c, const char *head) {
  if (strncmp(head, "HTTP/1.1 101 ", 13) != 0) fail("protocol", "the upgrade was refused: %.60s", head);
  if (strstr(head, ACCEPT) == NULL) fail("protocol", "Sec-WebSocket-Accept is wrong");
  if (options.deflate && strcasestr(head, "permessage-deflate") == NULL) {
    fail("unsupported", "the server does not compress");
  }
  if (!options.deflate && strcasestr(head, "Sec-WebSocket-Extensions:") != NULL) {
    fail("protocol", "an extension was accepted that was not offered");
  }
  c->state = options.protocol == SOCKETIO ? GREETING : OPEN;
  if (c->state == OPEN) on_open(c);
}
