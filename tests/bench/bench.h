/* bench.h - the few lines that the load client and the sink share.
 *
 * Both are programs of one file each, on purpose without Gatepost's own code: a fault in our line
 * reader must not hide itself from the programs that measure it. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define FNV_START 0xcbf29ce484222325u

static inline void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

/* FNV-1a, 64 bits: the client and the sink must come to the same number for the same body. */
static inline uint64_t
fnv(uint64_t hash, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)at[i]) * 0x100000001b3u;
	return hash;
}

static inline double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static inline unsigned long
number(const char *option, const char *text, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != '\0' || n < min || n > max)
		die("%s %s: a number from %lu to %lu is expected", option, text, min, max);
	return n;
}

static inline struct sockaddr_in
ipv4(const char *host, unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
		die("--host %s: an IPv4 address is expected", host);
	return in;
}

static inline void
no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

#endif
