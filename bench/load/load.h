/* What the parts of the load generator share: the options, one connection, and who does what. */
#ifndef LOAD_H
#define LOAD_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum work { ECHO, BROADCAST, HANDSHAKES, IDLE };
enum protocol { WEBSOCKET, RAW, SOCKETIO };

struct options {
  enum work work;
  enum protocol protocol;
  const char *path;
  int port;
  int pid;          /* of the server, whose processor time and memory are told */
  int cpu;          /* the core to run on; -1 for any */
  int asked;        /* connections that were asked for */
  int connections;  /* and those that the limit of descriptors allows */
  int inflight;     /* messages under way on each connection */
  int burst;        /* messages that a publisher sends at once */
  int slow;         /* members that do not read */
  int dials;        /* connections that are opened at the same time */
  size_t size;      /* of a message's payload */
  size_t stuff;     /* bytes to broadcast before the measurement, to fill the buffers of those that do not read */
  double warmup, seconds;
  double rate;      /* messages per second by the clock, whether or not answers have come; 0: the next when one has come back */
  bool deflate, text, hold, tls;
  const char *payload; /* a file to send instead of made-up bytes */
};
extern struct options options;

enum state { DIALING, SECURING, UPGRADING, GREETING, OPEN, ENDED };

#define CONTROL_MAX 125

struct connection {
  int fd;
  uint32_t id;
  enum state state;
  bool slow, writable_wanted;
  struct ssl_st *tls;
  bool write_waits; /* the same bytes must be written again first */

  /* going out: whole messages yet to be sent, and how far the first of them is */
  uint32_t to_send;
  uint64_t sent;
  size_t sent_of_frame;
  uint64_t queued;
  uint64_t *times; /* when each message under way was sent */
  uint8_t urgent[CONTROL_MAX + 8];
  size_t urgent_length, urgent_sent;

  /* coming in */
  uint8_t head[10];
  uint8_t head_length;
  bool in_frame, final, compressed;
  uint8_t opcode;
  uint64_t left; /* of the frame's payload */
  size_t received_of_message;
  uint64_t received;
  uint8_t expected_stamp[16];
  uint8_t control[CONTROL_MAX];
  size_t control_length;
  uint8_t *packed; /* a compressed message so far */
  size_t packed_length, packed_room;
  uint64_t dialed_at;
};

/* process.c */
uint64_t now_ns(void);
struct usage { double user, system; };
struct usage usage_of(int pid);
long resident_of(int pid, const char *field);
struct usage own_usage(void);
void pin_to(int cpu);
int raise_descriptors(void);

/* histogram.c */
void histogram_clear(void);
void histogram_add(uint64_t ns);
double histogram_us(double quantile);

/* message.c: what is sent, and what has to come back */
extern size_t message_size;
void message_prepare(size_t size);
size_t frame_bytes(uint64_t author, uint64_t sequence, size_t from, uint8_t *into, size_t room);
size_t frame_size(void);
void stamp(uint8_t *into, uint64_t author, uint64_t sequence);
bool message_matches(const struct connection *c, const uint8_t *bytes, size_t count);
void message_check(struct connection *c, const uint8_t *bytes, size_t count);
void message_check_packed(struct connection *c);
size_t control_frame(uint8_t *into, uint8_t opcode, const uint8_t *payload, size_t length);

/* receive.c: where frames and messages end */
void receive(struct connection *c, const uint8_t *bytes, size_t count);

/* dial.c: how connections come to be */
void dial_prepare(void);
void dial(struct connection *c);
void dial_continue(struct connection *c);
void dial_secured(struct connection *c);
void upgraded(struct connection *c, const char *head);
extern int open_connections;

/* tls.c */
void tls_prepare(void);
void tls_begin(struct connection *c);
bool tls_continue(struct connection *c);
ssize_t tls_send(struct connection *c, const void *bytes, size_t count);
ssize_t tls_receive(struct connection *c, void *into, size_t room, bool peek);
bool tls_pending(struct connection *c);
void tls_end(struct connection *c);

/* wire.c: reading, writing, waiting */
extern int poller;
void watch(struct connection *c, bool writable);
void unwatch(struct connection *c);
void flush(struct connection *c);
ssize_t wire_send(struct connection *c, const void *bytes, size_t count);
void wire_close(struct connection *c);
void poll_once(int timeout_ms);

/* work.c: what is done with a message or a connection that is complete */
void on_message(struct connection *c);
void on_open(struct connection *c);
void on_end(struct connection *c, const char *why);
void run(void);

/* main.c */
extern struct connection *connections;
extern uint64_t now; /* when what is being handled was read */
_Noreturn void fail(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
