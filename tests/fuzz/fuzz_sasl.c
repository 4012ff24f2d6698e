/* fuzz_sasl.c - any messages as a client's side of an exchange: names are bounded and fit for a line, and what was
 * shown once does not change. The first octet chooses the mechanism; messages end at LF. */
#include <stdlib.h>
#include <string.h>

#include "proxy/sasl/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_name(const char *name)
{
	size_t len = strnlen(name, SASL_NAME_MAX + 1);

	if (len > SASL_NAME_MAX)
		abort();
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size };
	char user[SASL_NAME_MAX + 1] = "";
	struct sasl_watch w;

	if (size == 0)
		return 0;
	sasl_watch_begin(&w, 1u << (data[0] % SASL_MECHANISMS));
	rest = slice_part(rest, 1, size);
	while (rest.len > 0 && sasl_watch_client(&w, slice_cut(&rest, '\n'))) {
		check_name(w.user);
		check_name(w.authzid);
		if (user[0] != '\0' && strcmp(user, w.user) != 0)
			abort();
		memcpy(user, w.user, sizeof(user));
		if (w.messages > 10 || (sasl_watch_over(&w) && sasl_watch_client(&w, SLICE("n,,n=x,r=y"))))
			abort();
	}
	return 0;
}
