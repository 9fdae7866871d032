/* Where frames and messages end, wherever the network has cut; and what is answered to a Ping. */
#include "load.h"
#include <stdlib.h>
#include <string.h>

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static void say(struct connection *c, uint8_t opcode, const uint8_t *payload, size_t length) {
  /* One that has not gone out yet is answered by a later one. */
  if (c->urgent_length > 0) return;
  c->urgent_length = control_frame(c->urgent, opcode, payload, length);
  c->urgent_sent = 0;
  flush(c);
}

static void message_end(struct connection *c) {
  if (c->compressed) message_check_packed(c);
  if (c->received_of_message != message_size) {
    fail("corrupt", "message %llu on connection %u has %zu bytes and not %zu", (unsigned long long)c->received, c->id,
         c->received_of_message, message_size);
  }
  c->received_of_message = 0;
  c->packed_length = 0;
  c->compressed = false;
  c->received++;
  on_message(c);
}

static void frame_end(struct connection *c) {
  c->in_frame = false;
  c->head_length = 0;
  if (c->opcode == PING) {
    say(c, PONG, c->control, c->control_length);
  } else if (c->opcode == CLOSE) {
    on_end(c, "the server closed it");
  } else if (c->state == GREETING) {
    /* Engine.IO opens with "0{...}", we join with "40", and Socket.IO answers "40{...}". */
    if (c->control[0] == '0') {
      say(c, TEXT, (const uint8_t *)"40", 2);
    } else if (c->control[0] == '4' && c->control[1] == '0') {
      c->state = OPEN;
      on_open(c);
    }
  } else if (c->opcode < CLOSE && options.protocol == SOCKETIO && c->control_length == 1 && c->control[0] == '2') {
    say(c, TEXT, (const uint8_t *)"3", 1);
  } else if (c->opcode < CLOSE && c->final) {
    message_end(c);
  }
  c->control_length = 0;
}

static void payload(struct connection *c, const uint8_t *bytes, size_t count) {
  bool lone = options.protocol == SOCKETIO && c->opcode == TEXT && c->received_of_message == 0 &&
              c->left + c->control_length == 1;
  if (c->opcode >= CLOSE || c->state == GREETING || lone) {
    size_t kept = CONTROL_MAX - c->control_length < count ? CONTROL_MAX - c->control_length : count;
    memcpy(c->control + c->control_length, bytes, kept);
    c->control_length += kept;
  } else if (c->compressed) {
    if (c->packed_length + count > c->packed_room) {
      c->packed_room = (c->packed_length + count) * 2;
      c->packed = realloc(c->packed, c->packed_room);
    }
    memcpy(c->packed + c->packed_length, bytes, count);
    c->packed_length += count;
  } else {
    message_check(c, bytes, count);
  }
}

/* Takes bytes of a header; true once it is complete. */
static bool header(struct connection *c, const uint8_t **bytes, size_t *count) {
  for (;;) {
    size_t needed = 2;
    if (c->head_length >= 2) {
      uint8_t length = c->head[1] & 127;
      if (c->head[1] & 128) fail("protocol", "a frame from the server is masked");
      needed = length == 126 ? 4 : length == 127 ? 10 : 2;
      if (c->head_length == needed) {
        c->left = length;
        if (length >= 126) {
          c->left = 0;
          for (size_t at = 2; at < needed; at++) c->left = c->left << 8 | c->head[at];
        }
        c->final = (c->head[0] & 0x80) != 0;
        c->opcode = c->head[0] & 15;
        if (c->head[0] & 0x40) c->compressed = true;
        return true;
      }
    }
    if (*count == 0) return false;
    c->head[c->head_length++] = *(*bytes)++;
    --*count;
  }
}

static void receive_raw(struct connection *c, const uint8_t *bytes, size_t count) {
  while (count > 0) {
    size_t rest = message_size - c->received_of_message;
    size_t taken = rest < count ? rest : count;
    message_check(c, bytes, taken);
    bytes += taken;
    count -= taken;
    if (c->received_of_message == message_size) message_end(c);
  }
}

void receive(struct connection *c, const uint8_t *bytes, size_t count) {
  if (options.protocol == RAW) {
    receive_raw(c, bytes, count);
    return;
  }
  while (c->state != ENDED) {
    if (!c->in_frame) {
      if (!header(c, &bytes, &count)) return;
      c->in_frame = true;
    }
    size_t taken = c->left < count ? c->left : count;
    if (taken > 0) payload(c, bytes, taken);
    c->left -= taken;
    bytes += taken;
    count -= taken;
    if (c->left > 0) return;
    frame_end(c);
  }
}
