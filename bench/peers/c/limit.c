/*
 * The limit: an echo of bytes with one epoll, one read and one write per message, and no protocol at all.
 * What the kernel takes for this, every server pays.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

static int poller;

static void add(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

int main(int count, char **given) {
  const char *role = count > 1 ? given[1] : "echo";
  if (strcmp(role, "echo") != 0 && strcmp(role, "idle") != 0) {
    printf("{\"lacks\":\"%s\"}\n", role);
    return 0;
  }
  static char buffer[CHUNK];
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  bind(listener, (struct sockaddr *)&at, sizeof at);
  listen(listener, 511);
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("{\"port\":%d,\"version\":\"epoll in C\"}\n", ntohs(at.sin_port));
  fflush(stdout);

  poller = epoll_create1(0);
  add(listener);
  add(0);
  struct epoll_event events[512];
  for (;;) {
    int ready = epoll_wait(poller, events, 512, -1);
    for (int event = 0; event < ready; event++) {
      int fd = events[event].data.fd;
      if (fd == listener) {
        int one = 1, accepted = accept4(listener, NULL, NULL, 0);
        if (accepted < 0) continue;
        setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        add(accepted);
        continue;
      }
      ssize_t got = read(fd, buffer, CHUNK);
      if (fd == 0) {
        if (got <= 0) return 0;
        printf("{\"live\":null}\n");
        fflush(stdout);
      } else if (got <= 0) {
        close(fd);
      } else {
        /* Blocking, because whoever does not read is not among those that this is measured with. */
        for (ssize_t put = 0; put < got;) {
          ssize_t some = send(fd, buffer + put, (size_t)(got - put), MSG_NOSIGNAL);
          if (some <= 0) break;
          put += some;
        }
      }
    }
  }
}
