/* The bound the Go servers are held against: an echo server in C, one thread, level-triggered
 * epoll, one read and one write per message. A reply the kernel does not take whole is kept, and
 * its connection is not read again until the rest is out. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 64 * 1024, BACKLOG = 4096 };

struct rest { char *bytes; size_t length, sent; };

static struct rest *rests; /* by descriptor: what is still to be written */
static char buffer[BUFFER];
static int poll_fd;

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(int operation, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poll_fd, operation, fd, &event) < 0) die("epoll_ctl");
}

static void drop(int fd) {
    free(rests[fd].bytes);
    rests[fd] = (struct rest){0};
    close(fd);
}

static void keep(int fd, const char *bytes, size_t length) {
    char *copy = malloc(length);
    if (!copy) die("malloc");
    memcpy(copy, bytes, length);
    rests[fd] = (struct rest){.bytes = copy, .length = length};
    watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void echo(int fd) {
    ssize_t n = read(fd, buffer, BUFFER);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) { drop(fd); return; }
    ssize_t sent = write(fd, buffer, (size_t)n);
    if (sent < 0 && errno != EAGAIN) { drop(fd); return; }
    if (sent < 0) sent = 0;
    if (sent < n) keep(fd, buffer + sent, (size_t)(n - sent));
}

static void flush(int fd) {
    struct rest *rest = &rests[fd];
    ssize_t n = write(fd, rest->bytes + rest->sent, rest->length - rest->sent);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) { drop(fd); return; }
    rest->sent += (size_t)n;
    if (rest->sent < rest->length) return;
    free(rest->bytes);
    *rest = (struct rest){0};
    watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void accept_all(int listener, int limit) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return; /* EAGAIN, or a connection that went away */
        if (fd >= limit) { close(fd); return; }
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static int listen_on_loopback(void) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof addr;
    if (fd < 0) die("socket");
    /* Set on the listener, inherited by every connection: no call per connection. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&addr, size) < 0) die("bind");
    if (listen(fd, BACKLOG) < 0) die("listen");
    if (getsockname(fd, (struct sockaddr *)&addr, &size) < 0) die("getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

static int raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) die("setrlimit");
    return limit.rlim_cur > 1 << 20 ? 1 << 20 : (int)limit.rlim_cur;
}

int main(void) {
    struct epoll_event events[EVENTS];
    int limit = raise_descriptor_limit();
    if (!(rests = calloc((size_t)limit, sizeof *rests))) die("calloc");
    if ((poll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
    int listener = listen_on_loopback();
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        int n = epoll_wait(poll_fd, events, EVENTS, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all(listener, limit);
            else if (rests[fd].bytes) flush(fd);
            else echo(fd);
        }
    }
}
