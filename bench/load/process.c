/* What the kernel knows of a process: its processor time, its memory, its core, its descriptors. */
#include "load.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* All threads of it, as /proc/PID/stat counts them, in seconds. */
struct usage usage_of(int pid) {
  struct usage used = {0, 0};
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return used;
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  /* The name is in parentheses and may hold anything, another parenthesis too. */
  char *rest = strrchr(text, ')');
  unsigned long user, system;
  if (rest != NULL && sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2) {
    double ticks = (double)sysconf(_SC_CLK_TCK);
    used.user = (double)user / ticks;
    used.system = (double)system / ticks;
  }
  return used;
}

/* VmRSS or VmHWM, in bytes. */
long resident_of(int pid, const char *field) {
  char path[64], line[256];
  long kilobytes = 0;
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  size_t length = strlen(field);
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, field, length) == 0 && line[length] == ':') sscanf(line + length + 1, "%ld", &kilobytes);
  }
  fclose(file);
  return kilobytes * 1024;
}

struct usage own_usage(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (struct usage){
    (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6,
    (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6,
  };
}

void pin_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("setup", "cannot run on core %d", cpu);
}

/* As many as may be had. */
int raise_descriptors(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur > 1000000 ? 1000000 : (int)limit.rlim_cur;
}
