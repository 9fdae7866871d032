/*
 * The load generator of the benchmarks: one thread, one epoll, one core.
 *
 *   load WORK --port N [--pid N] [--connections N] ...   prints a line of JSON when all is open, and one at the end
 *   load pin CORE COMMAND ...                            runs a command on that core
 *
 * It ends with status 3 and {"error":...,"what":...} if an answer was not what had been sent, or none came.
 */
#include "load.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct options options = {
  .path = "/", .cpu = -1, .asked = 1, .inflight = 1, .burst = 1, .dials = 200, .size = 64, .warmup = 0.5, .seconds = 1};
struct connection *connections;

_Noreturn void fail(const char *kind, const char *format, ...) {
  char what[512];
  va_list list;
  va_start(list, format);
  vsnprintf(what, sizeof what, format, list);
  va_end(list);
  for (char *at = what; *at != 0; at++) {
    if (*at == '"' || *at == '\\') *at = '\'';
    if ((unsigned char)*at < ' ') *at = ' ';
  }
  printf("{\"error\":\"%s\",\"what\":\"%s\"}\n", kind, what);
  fflush(stdout);
  _exit(3);
}

static int one_of(const char *given, const char *const *names, const char *what) {
  for (int at = 0; names[at] != NULL; at++) {
    if (strcmp(names[at], given) == 0) return at;
  }
  fail("usage", "there is no %s %s", what, given);
}

static const char *const WORKS[] = {"echo", "broadcast", "handshakes", "idle", NULL};
static const char *const PROTOCOLS[] = {"ws", "raw", "socket.io", NULL};

static const struct option FLAGS[] = {
  {"port", 1, NULL, 'p'},     {"pid", 1, NULL, 'P'},    {"cpu", 1, NULL, 'c'},     {"connections", 1, NULL, 'n'},
  {"inflight", 1, NULL, 'k'}, {"burst", 1, NULL, 'b'},  {"slow", 1, NULL, 'l'},    {"dials", 1, NULL, 'd'},
  {"size", 1, NULL, 's'},     {"stuff", 1, NULL, 'u'},  {"warmup", 1, NULL, 'w'},  {"seconds", 1, NULL, 't'},
  {"path", 1, NULL, 'r'},     {"protocol", 1, NULL, 'o'}, {"payload", 1, NULL, 'y'}, {"deflate", 0, NULL, 'z'},
  {"text", 0, NULL, 'x'},     {"hold", 0, NULL, 'h'},   {"tls", 0, NULL, 'T'},   {"rate", 1, NULL, 'R'},
  {NULL, 0, NULL, 0}};

static void parse(int count, char **given) {
  options.work = (enum work)one_of(given[1], WORKS, "work");
  for (int flag; (flag = getopt_long(count - 1, given + 1, "", FLAGS, NULL)) != -1;) {
    switch (flag) {
      case 'p': options.port = atoi(optarg); break;
      case 'P': options.pid = atoi(optarg); break;
      case 'c': options.cpu = atoi(optarg); break;
      case 'n': options.asked = atoi(optarg); break;
      case 'k': options.inflight = atoi(optarg); break;
      case 'b': options.burst = atoi(optarg); break;
      case 'l': options.slow = atoi(optarg); break;
      case 'd': options.dials = atoi(optarg); break;
      case 's': options.size = (size_t)atoll(optarg); break;
      case 'u': options.stuff = (size_t)atoll(optarg); break;
      case 'w': options.warmup = atof(optarg); break;
      case 't': options.seconds = atof(optarg); break;
      case 'r': options.path = optarg; break;
      case 'o': options.protocol = (enum protocol)one_of(optarg, PROTOCOLS, "protocol"); break;
      case 'y': options.payload = optarg; break;
      case 'z': options.deflate = true; break;
      case 'x': options.text = true; break;
      case 'h': options.hold = true; break;
      case 'T': options.tls = true; break;
      case 'R': options.rate = atof(optarg); break;
      default: fail("usage", "see bench/load/main.c");
    }
  }
}

int main(int count, char **given) {
  if (count > 3 && strcmp(given[1], "pin") == 0) {
    raise_descriptors();
    pin_to(atoi(given[2]));
    execvp(given[3], given + 3);
    fail("setup", "cannot run %s", given[3]);
  }
  if (count < 2) fail("usage", "load WORK --port N ...");
  parse(count, given);
  if (options.port <= 0 || options.asked <= 0 || options.inflight <= 0 || options.burst <= 0) {
    fail("usage", "expected a port, and a number of connections, messages in flight and in a burst of at least one");
  }
#ifndef WITH_ZLIB
  if (options.deflate) fail("unsupported", "zlib's headers are not installed");
#endif
  int most = raise_descriptors() - 32;
  options.connections = options.asked < most ? options.asked : most;
  pin_to(options.cpu);
  poller = epoll_create1(EPOLL_CLOEXEC);
  connections = calloc((size_t)options.connections, sizeof *connections);
  uint64_t *times = calloc((size_t)options.connections * (size_t)options.inflight, sizeof *times);
  for (int at = 0; at < options.connections; at++) {
    connections[at].id = (uint32_t)at;
    connections[at].times = times + (size_t)at * (size_t)options.inflight;
  }
  message_prepare(options.size);
  dial_prepare();
  if (options.tls) tls_prepare();
  run();
  return 0;
}
