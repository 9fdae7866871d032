/* Latencies, in buckets that are at most 1/64 of their value wide: 1.6 % is the error of every quantile. */
#include "load.h"
#include <string.h>

#define FINE 64
#define BUCKETS (FINE * 40)

static uint64_t counts[BUCKETS];
static uint64_t total;

static int bucket_of(uint64_t ns) {
  if (ns < FINE) return (int)ns;
  int shift = 63 - __builtin_clzll(ns) - 6;
  int bucket = shift * FINE + (int)(ns >> shift);
  return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double middle_of(int bucket) {
  if (bucket < 2 * FINE) return bucket;
  int shift = bucket / FINE - 1;
  uint64_t low = (uint64_t)(bucket - shift * FINE) << shift;
  return (double)low + (double)(1ull << shift) / 2;
}

void histogram_clear(void) {
  memset(counts, 0, sizeof counts);
  total = 0;
}

void histogram_add(uint64_t ns) {
  counts[bucket_of(ns)]++;
  total++;
}

double histogram_us(double quantile) {
  uint64_t wanted = (uint64_t)((double)total * quantile), seen = 0;
  for (int bucket = 0; bucket < BUCKETS; bucket++) {
    seen += counts[bucket];
    if (seen > wanted) return middle_of(bucket) / 1000;
  }
  return total == 0 ? 0 : middle_of(BUCKETS - 1) / 1000;
}
