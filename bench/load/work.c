/* The works: what is done with a message that came back, and what is counted. */
#include "load.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Nothing for so long is no slowness: somebody waits for something that will not come. */
#define PATIENCE 15e9
/* After the last connection is open, for servers that add a member a moment after they have answered it. */
#define SETTLING 0.2
/* Fewer messages than this say nothing of a rate, so the measurement goes on until they are there. */
#define FEWEST 200

static bool measuring, going;
static uint64_t done, lost, progress_at;
uint64_t now;
static uint32_t readers, awaited;
static uint64_t *burst_times;
static int next_to_dial;
static uint64_t ended_slow;

static void send_messages(struct connection *c, uint32_t count) {
  for (uint32_t message = 0; message < count; message++) c->times[c->queued++ % (uint64_t)options.inflight] = now;
  c->to_send += count;
  flush(c);
}

/*
 * The open loop: a message is sent when it is due, whatever has come back, and its time runs from when it was due. It is sent by
 * looking at the clock again and again, since no timer is as exact as a round trip on loopback.
 */
static uint64_t rate_began, rate_sent;

static uint64_t due_at(uint64_t message) {
  return rate_began + (uint64_t)((double)message * 1e9 / options.rate);
}

static void send_due(void) {
  for (uint64_t at = now_ns(); due_at(rate_sent) <= at; rate_sent++) {
    struct connection *c = &connections[rate_sent % (uint64_t)options.connections];
    if (c->queued - c->received >= (uint64_t)options.inflight) {
      fail("overrun", "more than %d messages are under way on connection %u", options.inflight, c->id);
    }
    c->times[c->queued++ % (uint64_t)options.inflight] = due_at(rate_sent);
    c->to_send++;
    flush(c);
  }
}

static void publish(void) {
  awaited = readers * (uint32_t)options.burst;
  for (int message = 0; message < options.burst; message++) burst_times[message] = now;
  connections[0].to_send += (uint32_t)options.burst;
  flush(&connections[0]);
}

static void finished(uint64_t since) {
  progress_at = now;
  if (!measuring) return;
  done++;
  histogram_add(now - since);
}

void on_message(struct connection *c) {
  if (options.work == ECHO) {
    finished(c->times[(c->received - 1) % (uint64_t)options.inflight]);
    if (going && options.rate == 0) send_messages(c, 1);
  } else if (options.work == BROADCAST) {
    if (awaited == 0) fail("corrupt", "connection %u was sent a message twice", c->id);
    finished(burst_times[0]);
    if (--awaited == 0 && going) publish();
  } else {
    fail("corrupt", "connection %u was sent a message that nobody asked for", c->id);
  }
}

static void dial_next(void) {
  if (next_to_dial < options.connections) dial(&connections[next_to_dial++]);
}

void on_open(struct connection *c) {
  now = now_ns();
  if (options.work == HANDSHAKES) {
    finished(c->dialed_at);
    /* A reset leaves nothing behind, neither on our ports nor in the server's work. */
    struct linger reset = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    wire_close(c);
    if (going) dial(c);
    else c->state = ENDED;
    return;
  }
  open_connections++;
  progress_at = now;
  if (c->slow) unwatch(c);
  dial_next();
}

void on_end(struct connection *c, const char *why) {
  if (c->slow) ended_slow++;
  else if (options.work != IDLE) fail("lost", "connection %u: %s", c->id, why);
  lost++;
  unwatch(c);
  wire_close(c);
  c->state = ENDED;
}

/* Until that instant, or until that many connections are open. */
static void turn(uint64_t until, int opened) {
  for (;;) {
    now = now_ns();
    if (now >= until || open_connections >= opened) return;
    if (options.work != IDLE && (double)(now - progress_at) > PATIENCE) {
      fail("stalled", "nothing has come for %.0f s, with %d of %d connections open", PATIENCE / 1e9, open_connections,
           options.connections);
    }
    if (going && options.rate > 0) {
      send_due();
      poll_once(0);
      continue;
    }
    uint64_t left = (until - now) / 1000000 + 1;
    poll_once(left > 1000 ? 1000 : (int)left);
  }
}

static void go_on(double seconds) {
  turn(now_ns() + (uint64_t)(seconds * 1e9), INT32_MAX);
}

static void for_seconds(double seconds) {
  progress_at = now_ns();
  go_on(seconds);
}

/* Fills the buffers of those that do not read, so that what follows waits in the server. */
static void stuff(void) {
  size_t large = 8192;
  message_prepare(large);
  int burst = options.burst;
  options.burst = 1;
  for (size_t sent = 0; sent < options.stuff; sent += large) {
    progress_at = now = now_ns();
    publish();
    while (awaited > 0) go_on(0.01);
  }
  options.burst = burst;
  message_prepare(options.size);
}

static void open_all(void) {
  if (options.slow > 0) {
    int every = options.connections / options.slow;
    /* The first publishes, and so reads; where all are to be slow, nobody publishes. */
    int first = options.slow < options.connections ? 1 : 0;
    for (int member = first, marked = 0; member < options.connections && marked < options.slow; member += every, marked++) {
      connections[member].slow = true;
    }
  }
  for (int at = 0; at < options.connections; at++) readers += !connections[at].slow;
  int together = options.dials < options.connections ? options.dials : options.connections;
  progress_at = now_ns();
  while (next_to_dial < together) dial_next();
  turn(UINT64_MAX, options.connections);
}

static void begin(void) {
  now = progress_at = now_ns();
  going = true;
  if (options.work == ECHO && options.rate > 0) {
    rate_began = now;
  } else if (options.work == ECHO) {
    for (int at = 0; at < options.connections; at++) send_messages(&connections[at], (uint32_t)options.inflight);
  } else if (options.work == BROADCAST) {
    if (options.stuff > 0) {
      going = false;
      stuff();
      going = true;
    }
    publish();
  } else if (options.work == HANDSHAKES) {
    for (int at = 0; at < options.connections; at++) dial(&connections[at]);
  }
}

void run(void) {
  burst_times = calloc((size_t)options.burst + 1, sizeof *burst_times);
  uint64_t began = now_ns();
  if (options.work != HANDSHAKES) open_all();
  double opening = (double)(now_ns() - began) / 1e9;
  printf("{\"open\":%d,\"seconds\":%.4f}\n", open_connections, opening);
  fflush(stdout);
  for_seconds(SETTLING);

  begin();
  for_seconds(options.warmup);
  struct usage server = usage_of(options.pid), own = own_usage();
  uint64_t from = now_ns();
  histogram_clear();
  measuring = true;
  for_seconds(options.seconds);
  while (options.work != IDLE && done < FEWEST) go_on(0.01);
  measuring = false;
  double took = (double)(now_ns() - from) / 1e9;
  struct usage server_after = usage_of(options.pid), own_after = own_usage();
  going = false;

  printf("{\"connections\":%d,\"asked\":%d,\"seconds\":%.4f,\"messages\":%llu,\"lost\":%llu,\"slowEnded\":%llu,"
         "\"latency\":{\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f},\"generatorCpu\":%.4f,"
         "\"server\":{\"user\":%.2f,\"system\":%.2f,\"resident\":%ld,\"peak\":%ld}}\n",
         options.connections, options.asked, took, (unsigned long long)done, (unsigned long long)lost,
         (unsigned long long)ended_slow, histogram_us(0.5), histogram_us(0.99), histogram_us(0.999),
         (own_after.user + own_after.system - own.user - own.system) / took, server_after.user - server.user,
         server_after.system - server.system, resident_of(options.pid, "VmRSS"), resident_of(options.pid, "VmHWM"));
  fflush(stdout);
  /* Whoever holds our standard input looks at the server meanwhile. Its Pings are still answered. */
  if (!options.hold) return;
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, 0) == 0) for_seconds(0.05);
}
