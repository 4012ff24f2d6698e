/* resolve.c - asks through proxy/net/resolver.h and prints the answers, one line each; for tests/net.
 *
 *   resolve SERVER[,SERVER...] a|mx NAME [a|mx NAME...]
 *
 * All are asked at once. "a mail.test found 5 127.0.0.1 ::1": what, the result, the TTL, the records; or why not. */
#include <stdio.h>
#include <string.h>

#include "proxy/net/resolver.h"

static struct loop *loop;
static int waiting;

static void
print(const char *what, const char *name, const struct resolver_answer *a)
{
	static const char *const results[] = { "found", "none", "failed" };
	char text[ADDR_TEXT_MAX];

	printf("%s %s %s %u", what, name, results[a->result], a->ttl);
	for (size_t i = 0; i < a->n; i++) {
		if (a->mx != NULL)
			printf(" %u=%s", a->mx[i].preference, a->mx[i].host);
		else
			addr_host(&a->addresses[i], text);
		if (a->mx == NULL)
			printf(" %s", text);
	}
	printf("%s%s\n", a->n == 0 && a->why != NULL ? " " : "", a->n == 0 && a->why != NULL ? a->why : "");
	if (--waiting == 0)
		loop_stop(loop);
}

static void
on_addresses(void *name, const struct resolver_answer *a)
{
	print("a", name, a);
}

static void
on_mail_hosts(void *name, const struct resolver_answer *a)
{
	print("mx", name, a);
}

int
main(int argc, char **argv)
{
	struct slice list = slice_of(argc > 1 ? argv[1] : "");
	struct addr servers[8];
	struct err err = { "" };
	struct resolver *r;
	char one[64];
	size_t n = 0;

	while (list.len > 0 && n < 8)
		if (!slice_copy(slice_cut(&list, ','), one, sizeof(one)) || addr_parse(&servers[n++], one, 53, &err) == -1)
			return 2;
	loop = loop_new();
	if ((r = resolver_new(loop, servers, n, &err)) == NULL) {
		fprintf(stderr, "resolve: %s\n", err.text);
		return 1;
	}
	for (int i = 2; i + 1 < argc; i += 2, waiting++)
		if (strcmp(argv[i], "mx") == 0)
			resolver_mail_hosts(r, argv[i + 1], on_mail_hosts, argv[i + 1]);
		else
			resolver_addresses(r, argv[i + 1], on_addresses, argv[i + 1]);
	loop_run(loop);
	resolver_free(&r);
	loop_free(&loop);
	return 0;
}
