/* One publisher and many readers of a trickle channel, as fast as this machine lets them be.
 *
 *   load PORT PATH CHUNK_BYTES CHUNKS_PER_SEGMENT CHUNKS_PER_S READERS SECONDS
 *
 * Both sides do what real clients do: the next request already stands on a second connection when
 * a segment ends. The publisher has a thread of its own, all readers share another. Each chunk
 * begins with the moment it was sent; its age is taken when its last byte has come. Bytes in
 * between are dropped inside the kernel (MSG_TRUNC), so that what is measured is the server.
 *
 * Prints one line of JSON. Linux only; tests/bench/load/python_load.py does the same elsewhere.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 8192, DROP_FROM = 2048, STAMP = 16, EVENTS = 64, QUIET_MS = 400 };
static const uint64_t MAGIC = 0x656c6b6369727400u;

static int port, chunks, readers;
static long chunk_bytes;
static double per_s, seconds;
static const char *path;

static volatile int publishing = 1;
static uint64_t sent_bytes, publish_errors, begun_ns, ended_ns;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* The number behind a header's name, or `otherwise`. */
static long number(const char *head, const char *name, long otherwise) {
    const char *at = strcasestr(head, name);
    return at ? atol(at + strlen(name)) : otherwise;
}

/* ---------------------------------------------------------------------- the publisher */

static int send_all(int fd, struct iovec *pieces, int count) {
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    while (message.msg_iovlen) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        while (message.msg_iovlen && (size_t)n >= message.msg_iov->iov_len) {
            n -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
            message.msg_iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static void ask_to_write(int fd, long seq) {
    char head[512];
    int n = snprintf(head, sizeof head,
                     "POST %s/%ld HTTP/1.1\r\nHost: bench\r\nContent-Type: video/MP2T\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n", path, seq);
    struct iovec piece = {head, (size_t)n};
    if (send_all(fd, &piece, 1)) publish_errors++;
}

/* Reads the answer to a finished POST; returns the connection to use next. */
static int hear(int fd) {
    char head[BUFFER];
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, head + n, sizeof head - 1 - n, 0);
        if (got <= 0) break;
        n += (size_t)got;
        head[n] = 0;
        char *end;
        while ((end = strstr(head, "\r\n\r\n")) && !strncmp(head + 9, "100", 3)) {
            end += 4;
            n -= (size_t)(end - head);
            memmove(head, end, n + 1);
        }
        if (!end || n < (size_t)(end + 4 - head) + (size_t)number(head, "content-length:", 0))
            continue;
        if (strncmp(head + 9, "200", 3)) publish_errors++;
        if (!strcasestr(head, "connection: close")) return fd;
        break;
    }
    close(fd);
    return dial();
}

static void *publish(void *unused) {
    char *data = malloc((size_t)chunk_bytes), frame[32];
    memset(data, 'x', (size_t)chunk_bytes);
    memcpy(data + 8, &MAGIC, 8);
    size_t frame_bytes = (size_t)snprintf(frame, sizeof frame, "%lx\r\n", chunk_bytes);
    int fds[2] = {dial(), dial()};
    ask_to_write(fds[0], 0);
    uint64_t number_sent = 0;
    begun_ns = now_ns();
    for (long seq = 0; now_ns() - begun_ns < (uint64_t)(seconds * 1e9); seq++) {
        int fd = fds[seq & 1];
        if (seq) fds[(seq + 1) & 1] = hear(fds[(seq + 1) & 1]);
        ask_to_write(fds[(seq + 1) & 1], seq + 1);
        for (int i = 0; i < chunks; i++) {
            if (per_s > 0) {
                uint64_t due = begun_ns + (uint64_t)((double)++number_sent * 1e9 / per_s);
                struct timespec t = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
            }
            uint64_t now = now_ns();
            memcpy(data, &now, 8);
            char *tail = i == chunks - 1 ? "\r\n0\r\n\r\n" : "\r\n";
            struct iovec pieces[] = {
                {frame, frame_bytes}, {data, (size_t)chunk_bytes}, {tail, strlen(tail)}};
            if (send_all(fd, pieces, 3)) publish_errors++;
            sent_bytes += (uint64_t)chunk_bytes;
        }
    }
    ended_ns = now_ns();
    publishing = 0;
    return unused;
}

/* ---------------------------------------------------------------------- the readers */

enum state { HEAD, LINE, DATA, AFTER, TRAILER, SKIP };

struct reader;
struct connection {
    struct reader *reader;
    int fd, asked, headed; /* a GET is out; its answer has begun */
    long seq;
    enum state state;
    long left, at; /* in this HTTP chunk; in this segment */
    unsigned char stamp[STAMP];
    size_t start, end;
    char buffer[BUFFER + 1];
};
struct reader {
    struct connection connections[2];
    long next;
    int over;
};

static uint64_t received, bad_stamps, refused, last_ns;
static float *ages;
static size_t age_count, age_room;

static void ask_to_read(struct connection *c, long seq) {
    char head[512];
    int n = snprintf(head, sizeof head, "GET %s/%ld HTTP/1.1\r\nHost: bench\r\n\r\n", path, seq);
    c->seq = seq;
    c->asked = 1;
    c->headed = 0;
    c->state = HEAD;
    c->at = 0;
    if (send(c->fd, head, (size_t)n, MSG_NOSIGNAL) != n) die("send");
}

/* Asks for the next segment as soon as the last one asked for has begun. */
static void ask_ahead(struct reader *r) {
    for (int i = 0; i < 2; i++) {
        struct connection *c = &r->connections[i], *other = &r->connections[1 - i];
        if (!c->asked && !r->over && (!other->asked || other->headed)) ask_to_read(c, r->next++);
    }
}

static void age(const unsigned char *stamp) {
    uint64_t at, magic;
    memcpy(&at, stamp, 8);
    memcpy(&magic, stamp + 8, 8);
    if (magic != MAGIC) {
        bad_stamps++;
        return;
    }
    if (age_count == age_room) {
        age_room = age_room ? age_room * 2 : 65536;
        ages = realloc(ages, age_room * sizeof *ages);
    }
    ages[age_count++] = (float)((double)(last_ns - at) / 1e6);
}

/* Takes `size` bytes of a segment; `data` is NULL for those that were dropped unseen. */
static void took(struct connection *c, const char *data, long size) {
    received += (uint64_t)size;
    c->left -= size;
    while (size) {
        long in_chunk = c->at % chunk_bytes, step = chunk_bytes - in_chunk;
        if (step > size) step = size;
        for (long i = in_chunk; data && i < STAMP && i < in_chunk + step; i++)
            c->stamp[i] = (unsigned char)data[i - in_chunk];
        c->at += step;
        size -= step;
        if (data) data += step;
        if (c->at % chunk_bytes == 0) age(c->stamp);
    }
}

static void answered(struct connection *c, char *head) {
    struct reader *r = c->reader;
    int status = atoi(head + 9);
    c->headed = 1;
    c->left = number(head, "content-length:", 0);
    if (strcasestr(head, "lp-trickle-closed") || status == 404) r->over = 1;
    if (status == 200 && strcasestr(head, "transfer-encoding: chunked")) {
        c->state = LINE;
        return;
    }
    if (status != 200) {
        refused++;
        r->next = number(head, "lp-trickle-latest:", r->next);
        c->headed = 0;
    }
    c->state = SKIP;
}

/* Works on what the buffer holds; 0 when it needs more. */
static int step(struct connection *c) {
    char *data = c->buffer + c->start, *end;
    long here = (long)(c->end - c->start), n;
    c->buffer[c->end] = 0;
    switch (c->state) {
    case HEAD:
        if (!(end = strstr(data, "\r\n\r\n"))) return 0;
        *end = 0;
        c->start += (size_t)(end + 4 - data);
        answered(c, data);
        break;
    case LINE:
    case TRAILER:
        if (!(end = strstr(data, "\r\n"))) return 0;
        c->start += (size_t)(end + 2 - data);
        if (c->state == TRAILER) {
            if (end == data) c->asked = 0;
        } else if (!(c->left = strtol(data, NULL, 16))) {
            c->state = TRAILER;
        } else {
            c->state = DATA;
        }
        break;
    case DATA:
        if (!here) return 0;
        n = here < c->left ? here : c->left;
        took(c, data, n);
        c->start += (size_t)n;
        if (!c->left) c->state = AFTER;
        break;
    case AFTER:
        if (here < 2) return 0;
        c->start += 2;
        c->state = LINE;
        break;
    case SKIP:
        n = here < c->left ? here : c->left;
        c->left -= n;
        c->start += (size_t)n;
        if (c->left) return 0;
        c->asked = 0;
        break;
    }
    return c->asked;
}

static void readable(struct connection *c) {
    static char nowhere[1 << 20];
    for (;;) {
        long chunk_left = chunk_bytes - c->at % chunk_bytes, drop = 0;
        if (c->state == DATA && c->start == c->end && c->at % chunk_bytes >= STAMP)
            drop = c->left < chunk_left ? c->left : chunk_left;
        ssize_t n, wanted;
        if (drop >= DROP_FROM) {
            wanted = drop < (long)sizeof nowhere ? drop : (long)sizeof nowhere;
            n = recv(c->fd, nowhere, (size_t)wanted, MSG_TRUNC | MSG_DONTWAIT);
        } else {
            if (c->start == c->end) {
                c->start = c->end = 0;
            } else if (c->start) {
                memmove(c->buffer, c->buffer + c->start, c->end - c->start);
                c->end -= c->start;
                c->start = 0;
            }
            wanted = (ssize_t)(BUFFER - c->end);
            n = recv(c->fd, c->buffer + c->end, (size_t)wanted, MSG_DONTWAIT);
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) {
            c->reader->over = 1;
            close(c->fd);
            return;
        }
        last_ns = now_ns();
        if (drop >= DROP_FROM) {
            took(c, NULL, n);
            if (!c->left) c->state = AFTER;
        } else {
            c->end += (size_t)n;
            while (step(c)) {}
        }
        ask_ahead(c->reader);
        if (n < wanted) return;
    }
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double cpu_s(int who) {
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: load PORT PATH CHUNK_BYTES CHUNKS CHUNKS_PER_S READERS SECONDS\n");
        return 2;
    }
    port = atoi(argv[1]);
    path = argv[2];
    chunk_bytes = atol(argv[3]);
    chunks = atoi(argv[4]);
    per_s = atof(argv[5]);
    readers = atoi(argv[6]);
    seconds = atof(argv[7]);
    if (chunk_bytes < STAMP || chunks < 1 || readers < 1) return 2;

    int poll = epoll_create1(0);
    struct reader *all = calloc((size_t)readers, sizeof *all);
    for (int i = 0; i < readers; i++) {
        for (int k = 0; k < 2; k++) {
            struct connection *c = &all[i].connections[k];
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
            c->reader = &all[i];
            c->fd = dial();
            epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event);
        }
        ask_to_read(&all[i].connections[0], all[i].next++);
    }
    struct timespec settle = {0, 200000000};
    nanosleep(&settle, NULL); /* the GETs are not part of what is measured */

    double cpu = cpu_s(RUSAGE_SELF);
    pthread_t publisher;
    pthread_create(&publisher, NULL, publish, NULL);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(poll, events, EVENTS, QUIET_MS);
        for (int i = 0; i < n; i++) readable(events[i].data.ptr);
        if (publishing) continue;
        /* What is on the way may still come; a server that lost it will not send it. */
        if (received >= sent_bytes * (uint64_t)readers) break;
        if (now_ns() - last_ns > QUIET_MS * 1000000ull && now_ns() - ended_ns > QUIET_MS * 1000000ull)
            break;
    }
    pthread_join(publisher, NULL);
    qsort(ages, age_count, sizeof *ages, by_value);
    double elapsed = (double)((last_ns > ended_ns ? last_ns : ended_ns) - begun_ns) / 1e9;
    printf("{\"sent\": %llu, \"received\": %llu, \"elapsed_s\": %.6f, \"p50_ms\": %.4f, "
           "\"p99_ms\": %.4f, \"load_cpu_s\": %.4f, \"bad_stamps\": %llu, \"refused\": %llu, "
           "\"publish_errors\": %llu}\n",
           (unsigned long long)sent_bytes, (unsigned long long)received, elapsed,
           age_count ? ages[age_count / 2] : 0.0, age_count ? ages[age_count * 99 / 100] : 0.0,
           cpu_s(RUSAGE_SELF) - cpu, (unsigned long long)bad_stamps,
           (unsigned long long)refused, (unsigned long long)publish_errors);
    return 0;
}
