/* TLS between the generator and a server, by OpenSSL. Its cost is the generator's own: the server's is counted by its process. */
#include "load.h"

#ifdef WITH_TLS

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static SSL_CTX *context;

void tls_prepare(void) {
  context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) fail("setup", "OpenSSL has no TLS");
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
}

void tls_begin(struct connection *c) {
  c->tls = SSL_new(context);
  if (c->tls == NULL || SSL_set_fd(c->tls, c->fd) != 1) fail("setup", "OpenSSL has no connection");
  SSL_set_connect_state(c->tls);
}

/* As the calls of the kernel end: -1 with errno. */
static ssize_t result_of(struct connection *c, int count) {
  if (count > 0) return count;
  int error = SSL_get_error(c->tls, count);
  ERR_clear_error();
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) errno = EAGAIN;
  else if (error != SSL_ERROR_SYSCALL || errno == 0) errno = EPROTO;
  return -1;
}

/* True when the handshake is complete. */
bool tls_continue(struct connection *c) {
  if (SSL_do_handshake(c->tls) == 1) return true;
  if (result_of(c, -1) < 0 && errno != EAGAIN) fail("setup", "the TLS handshake failed");
  return false;
}

ssize_t tls_send(struct connection *c, const void *bytes, size_t count) {
  errno = 0;
  return result_of(c, SSL_write(c->tls, bytes, (int)count));
}

ssize_t tls_receive(struct connection *c, void *into, size_t room, bool peek) {
  errno = 0;
  return result_of(c, peek ? SSL_peek(c->tls, into, (int)room) : SSL_read(c->tls, into, (int)room));
}

/* Bytes that the kernel does not report any more, because they were read already. */
bool tls_pending(struct connection *c) {
  return c->tls != NULL && SSL_has_pending(c->tls);
}

void tls_end(struct connection *c) {
  SSL_free(c->tls);
  c->tls = NULL;
}

#else

void tls_prepare(void) {
  fail("unsupported", "OpenSSL's headers are not installed");
}
void tls_begin(struct connection *c) {
  (void)c;
}
bool tls_continue(struct connection *c) {
  (void)c;
  return true;
}
ssize_t tls_send(struct connection *c, const void *bytes, size_t count) {
  (void)c, (void)bytes, (void)count;
  return -1;
}
ssize_t tls_receive(struct connection *c, void *into, size_t room, bool peek) {
  (void)c, (void)into, (void)room, (void)peek;
  return -1;
}
bool tls_pending(struct connection *c) {
  (void)c;
  return false;
}
void tls_end(struct connection *c) {
  (void)c;
}

#endif
