/* Reading, writing and waiting: one read for each time that a connection is ready, one write for what it led to. */
#include "load.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (256 * 1024)

int poller;
static uint8_t in[CHUNK], out[CHUNK];
static struct connection *handled; /* its answers are written when its chunk has been handled */

void watch(struct connection *c, bool writable) {
  struct epoll_event event = {.events = EPOLLIN | (writable ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
  if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event) != 0) epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
  c->writable_wanted = writable;
}

void unwatch(struct connection *c) {
  epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL);
}

ssize_t wire_send(struct connection *c, const void *bytes, size_t count) {
  return c->tls != NULL ? tls_send(c, bytes, count) : send(c->fd, bytes, count, MSG_NOSIGNAL);
}

static ssize_t wire_receive(struct connection *c, void *into, size_t room, bool peek) {
  return c->tls != NULL ? tls_receive(c, into, room, peek) : recv(c->fd, into, room, peek ? MSG_PEEK : 0);
}

void wire_close(struct connection *c) {
  if (c->tls != NULL) tls_end(c);
  c->write_waits = false;
  close(c->fd);
}

static size_t fill(const struct connection *c) {
  size_t length = 0;
  if (c->sent_of_frame == 0 && c->urgent_length > 0 && !c->write_waits) {
    length = c->urgent_length - c->urgent_sent;
    memcpy(out, c->urgent + c->urgent_sent, length);
  }
  size_t from = c->sent_of_frame;
  for (uint32_t message = 0; message < c->to_send && length < CHUNK; message++, from = 0) {
    length += frame_bytes(c->id, c->sent + message, from, out + length, CHUNK - length);
  }
  return length;
}

static void written(struct connection *c, size_t count) {
  if (c->sent_of_frame == 0 && c->urgent_length > 0 && !c->write_waits) {
    size_t rest = c->urgent_length - c->urgent_sent;
    if (count < rest) {
      c->urgent_sent += count;
      return;
    }
    count -= rest;
    c->urgent_length = c->urgent_sent = 0;
  }
  c->sent_of_frame += count;
  size_t whole = c->sent_of_frame / frame_size();
  c->sent_of_frame %= frame_size();
  c->sent += whole;
  c->to_send -= (uint32_t)whole;
}

void flush(struct connection *c) {
  /* One whose chunk opened it may have been replaced by a new one already, which waits for its own events. */
  if (c == handled || (c->state != GREETING && c->state != OPEN)) return;
  while (c->to_send > 0 || c->urgent_length > 0) {
    size_t length = fill(c);
    ssize_t count = wire_send(c, out, length);
    if (count < 0) {
      if (errno == EAGAIN) {
        c->write_waits = c->tls != NULL && (c->write_waits || c->urgent_length == 0 || c->sent_of_frame > 0);
        break;
      }
      if (errno == EINTR) continue;
      on_end(c, strerror(errno));
      return;
    }
    written(c, (size_t)count);
    c->write_waits = false;
    if ((size_t)count < length) break;
  }
  bool wanted = c->to_send > 0 || c->urgent_length > 0;
  if (wanted != c->writable_wanted) watch(c, wanted);
}

/* The answer to an upgrade request; what comes behind it are frames already. */
static void read_response(struct connection *c) {
  /* Looked at first and taken when it is whole, so that no connection needs a buffer for it. */
  ssize_t count = wire_receive(c, in, 4096, true);
  if (count <= 0) {
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    on_end(c, count == 0 ? "the server ended it before it was open" : strerror(errno));
    return;
  }
  in[count] = 0;
  char *end = memmem(in, (size_t)count, "\r\n\r\n", 4);
  if (end == NULL) {
    if (count == 4096) fail("protocol", "the answer to the upgrade does not end");
    return;
  }
  size_t length = (size_t)(end + 4 - (char *)in);
  if (wire_receive(c, in, length, false) != (ssize_t)length) fail("setup", "what was peeked at is gone");
  end[2] = 0;
  upgraded(c, (char *)in);
}

static void read_some(struct connection *c) {
  ssize_t count = wire_receive(c, in, CHUNK, false);
  if (count <= 0) {
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    on_end(c, count == 0 ? "the server ended it" : strerror(errno));
    return;
  }
  now = now_ns();
  handled = c;
  receive(c, in, (size_t)count);
  handled = NULL;
  flush(c);
}

void poll_once(int timeout_ms) {
  struct epoll_event events[512];
  int count = epoll_wait(poller, events, 512, timeout_ms);
  for (int at = 0; at < count; at++) {
    struct connection *c = events[at].data.ptr;
    if (c->state == DIALING) dial_continue(c);
    else if (c->state == SECURING) dial_secured(c);
    else if (c->state == UPGRADING) read_response(c);
    else if (c->state != ENDED) {
      if (events[at].events & EPOLLOUT) flush(c);
      if (c->state != ENDED && events[at].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_some(c);
    }
    while (c->state == OPEN && tls_pending(c)) {
      uint64_t before = c->received;
      read_some(c);
      if (c->received == before) break;
    }
  }
}
