/*
 * What is sent, and what has to come back.
 *
 * All messages are alike but for a stamp: sixteen hexadecimal digits that say whose message it is and which. So a frame
 * is made once, with its mask, and every message is this frame with another stamp; and an answer that was lost, doubled,
 * swapped or damaged is found out.
 */
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef WITH_ZLIB
#include <zlib.h>
#endif

#define STAMP 16

size_t message_size;
static const uint8_t KEY[4] = {0x37, 0xfa, 0x21, 0x3d};
static uint8_t *plain;        /* the payload, as it has to come back */
static uint8_t *frame;        /* the whole frame, as it is sent */
static size_t header, length; /* of the frame */
static size_t stamp_at, stamp_length;
static char hexadecimal[256][2];

/* Socket.IO's packets are text with an event's name before the argument. */
#define BEFORE "42[\"m\",\""
#define AFTER "\"]"

static size_t make_header(uint8_t *into, uint8_t first, size_t payload) {
  size_t at = 0;
  into[at++] = first;
  if (payload < 126) {
    into[at++] = (uint8_t)(0x80 | payload);
  } else if (payload < 65536) {
    into[at++] = 0x80 | 126;
    into[at++] = (uint8_t)(payload >> 8);
    into[at++] = (uint8_t)payload;
  } else {
    into[at++] = 0x80 | 127;
    for (int shift = 56; shift >= 0; shift -= 8) into[at++] = (uint8_t)((uint64_t)payload >> shift);
  }
  memcpy(into + at, KEY, 4);
  return at + 4;
}

#ifdef WITH_ZLIB
/* RFC 7692 7.2.1: deflated, flushed, and without the four bytes that every flush ends in. */
static size_t pack(uint8_t *into, size_t room) {
  z_stream stream = {0};
  deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = plain;
  stream.avail_in = (uInt)message_size;
  stream.next_out = into;
  stream.avail_out = (uInt)room;
  deflate(&stream, Z_SYNC_FLUSH);
  size_t packed = room - stream.avail_out;
  deflateEnd(&stream);
  return packed - 4;
}
#endif

static uint8_t *contents(size_t *size) {
  if (options.payload == NULL) return NULL;
  FILE *file = fopen(options.payload, "rb");
  if (file == NULL) fail("setup", "cannot read %s", options.payload);
  uint8_t *bytes = malloc(1 << 20);
  *size = fread(bytes, 1, 1 << 20, file);
  fclose(file);
  return bytes;
}

void message_prepare(size_t size) {
  free(plain);
  free(frame);
  for (int byte = 0; byte < 256; byte++) {
    hexadecimal[byte][0] = "0123456789abcdef"[byte >> 4];
    hexadecimal[byte][1] = "0123456789abcdef"[byte & 15];
  }
  plain = contents(&size);
  size_t before = 0, after = 0;
  if (plain == NULL) {
    if (options.protocol == SOCKETIO) before = strlen(BEFORE), after = strlen(AFTER);
    plain = malloc(before + size + after + 1);
    memcpy(plain, BEFORE, before);
    memcpy(plain + before + size, AFTER, after);
    uint32_t random = 2463534242u;
    for (size_t at = 0; at < size; at++) {
      random ^= random << 13, random ^= random >> 17, random ^= random << 5;
      plain[before + at] = (uint8_t)('a' + random % 26);
    }
    stamp_at = before;
    stamp_length = size < STAMP ? size : STAMP;
  } else {
    stamp_at = stamp_length = 0;
  }
  message_size = before + size + after;

  frame = malloc(message_size + message_size / 2 + 128);
  bool text = options.text || options.protocol == SOCKETIO;
  uint8_t first = text ? 0x81 : 0x82;
  if (options.protocol == RAW) {
    header = 0;
    length = message_size;
    memcpy(frame, plain, message_size);
    return;
  }
  const uint8_t *payload = plain;
  size_t payload_length = message_size;
#ifdef WITH_ZLIB
  uint8_t *packed = malloc(message_size * 2 + 128);
  if (options.deflate) {
    payload_length = pack(packed, message_size * 2 + 128);
    payload = packed;
    first |= 0x40;
  }
#endif
  header = make_header(frame, first, payload_length);
  for (size_t at = 0; at < payload_length; at++) frame[header + at] = payload[at] ^ KEY[at & 3];
  length = header + payload_length;
#ifdef WITH_ZLIB
  free(packed);
#endif
}

size_t frame_size(void) {
  return length;
}

void stamp(uint8_t *into, uint64_t author, uint64_t sequence) {
  uint64_t value = author << 40 | (sequence & 0xffffffffff);
  for (int at = 0; at < STAMP / 2; at++) memcpy(into + 2 * at, hexadecimal[value >> (56 - 8 * at) & 255], 2);
}

/* Bytes of the frame of that message from that place on, as many as there is room for. */
size_t frame_bytes(uint64_t author, uint64_t sequence, size_t from, uint8_t *into, size_t room) {
  size_t count = length - from < room ? length - from : room;
  memcpy(into, frame + from, count);
  size_t low = header + stamp_at, high = low + stamp_length;
  if (stamp_length > 0 && from < high && from + count > low) {
    uint8_t mark[STAMP];
    stamp(mark, author, sequence);
    for (size_t at = from > low ? from : low; at < high && at < from + count; at++) {
      uint8_t byte = mark[STAMP - stamp_length + at - low];
      into[at - from] = header == 0 ? byte : byte ^ KEY[(at - header) & 3];
    }
  }
  return count;
}

/* Whether these bytes are what belongs at the place that the connection's message has reached. */
bool message_matches(const struct connection *c, const uint8_t *bytes, size_t count) {
  size_t from = c->received_of_message, to = from + count;
  if (to > message_size) return false;
  size_t low = stamp_at, high = stamp_at + stamp_length;
  if (from < low) {
    size_t end = to < low ? to : low;
    if (memcmp(bytes, plain + from, end - from) != 0) return false;
  }
  if (from < high && to > low) {
    size_t start = from > low ? from : low, end = to < high ? to : high;
    if (memcmp(bytes + (start - from), c->expected_stamp + STAMP - stamp_length + (start - low), end - start) != 0) {
      return false;
    }
  }
  if (to > high) {
    size_t start = from > high ? from : high;
    if (memcmp(bytes + (start - from), plain + start, to - start) != 0) return false;
  }
  return true;
}

void message_check(struct connection *c, const uint8_t *bytes, size_t count) {
  if (c->received_of_message == 0) stamp(c->expected_stamp, options.work == BROADCAST ? 0 : c->id, c->received);
  if (!message_matches(c, bytes, count)) {
    fail("corrupt", "message %llu on connection %u came back changed, within bytes %zu to %zu",
         (unsigned long long)c->received, c->id, c->received_of_message, c->received_of_message + count);
  }
  c->received_of_message += count;
}

/* A compressed answer. Most are the same bytes as one that was inflated before, and then need not be inflated again. */
void message_check_packed(struct connection *c) {
#ifdef WITH_ZLIB
  static uint8_t *known;
  static size_t known_length;
  if (known != NULL && c->packed_length == known_length && memcmp(known, c->packed, known_length) == 0) {
    c->received_of_message = message_size;
    return;
  }
  uint8_t *inflated = malloc(message_size + 1);
  static const uint8_t tail[4] = {0, 0, 0xff, 0xff};
  z_stream stream = {0};
  inflateInit2(&stream, -15);
  stream.next_out = inflated;
  stream.avail_out = (uInt)message_size + 1;
  stream.next_in = c->packed;
  stream.avail_in = (uInt)c->packed_length;
  inflate(&stream, Z_SYNC_FLUSH);
  stream.next_in = (uint8_t *)tail;
  stream.avail_in = sizeof tail;
  inflate(&stream, Z_SYNC_FLUSH);
  size_t got = message_size + 1 - stream.avail_out;
  inflateEnd(&stream);
  if (got != message_size || memcmp(inflated, plain, got) != 0) {
    fail("corrupt", "message %llu on connection %u inflates to something else", (unsigned long long)c->received, c->id);
  }
  free(inflated);
  known = realloc(known, c->packed_length);
  known_length = c->packed_length;
  memcpy(known, c->packed, known_length);
  c->received_of_message = message_size;
#else
  (void)c;
  fail("setup", "this was built without zlib");
#endif
}

size_t control_frame(uint8_t *into, uint8_t opcode, const uint8_t *payload, size_t count) {
  size_t at = make_header(into, 0x80 | opcode, count);
  for (size_t byte = 0; byte < count; byte++) into[at + byte] = payload[byte] ^ KEY[byte & 3];
  return at + count;
}
