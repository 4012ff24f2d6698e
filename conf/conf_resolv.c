#include "conf/conf_resolv.h"

#include <string.h>

#include "proxy/base/mem.h"

static bool
read_address(struct slice word, struct addr *a)
{
	struct err err;
	char text[64];

	/* In brackets IPv6 cannot be taken for a name with a port. */
	if (word.len == 0 || word.len > sizeof(text) - 3 || slice_has(word, '[') || slice_starts(word, "unix:"))
		return false;
	if (!slice_has(word, ':'))
		return slice_copy(word, text, sizeof(text)) && addr_parse(a, text, 53, &err) == 0;
	text[0] = '[';
	if (!slice_copy(word, text + 1, sizeof(text) - 2))
		return false;
	text[word.len + 1] = ']';
	text[word.len + 2] = '\0';
	return addr_parse(a, text, 53, &err) == 0;
}

void
conf_resolv_read(struct slice text, struct addr **servers, size_t *n)
{
	struct addr a;

	while (text.len > 0 && *n < CONF_RESOLV_MAX) {
		struct slice line = slice_cut(&text, '\n'), word;

		if (line.len > 0 && line.at[line.len - 1] == '\r')
			line.len--;
		word = slice_word(&line);
		if (slice_is(word, "nameserver") && read_address(slice_word(&line), &a))
			*(struct addr *)mem_push(servers, n, sizeof(a)) = a;
	}
	if (*n == 0 && read_address(SLICE("127.0.0.1"), &a))
		*(struct addr *)mem_push(servers, n, sizeof(a)) = a;
}
