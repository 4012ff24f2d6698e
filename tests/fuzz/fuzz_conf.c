/* fuzz_conf.c - any text as a configuration: words, tree, rows; then packed, unpacked, packed again; and asked.
 *
 * Up to four files in one input, parted by NUL: the main one, then "a", "b" and "c" for include and lists; behind
 * them a recipient's local part, its domain, and a user. Every other file holds a few bytes, patterns match two
 * rules; nothing is read from disk. */
#include <stdlib.h>
#include <string.h>

#include "conf/conf_load.h"
#include "conf/conf_tell.h"
#include "proxy/base/mem.h"

#define FILES 4

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
say(struct conf_answer *a, struct slice bytes)
{
	a->bytes = mem_slice(bytes);
	a->len = bytes.len;
	return 0;
}

static int
say_file(const struct slice *files, const char *path, struct conf_answer *a)
{
	static const char *const names[FILES] = { "main", "/a", "/b", "/c" };

	for (size_t i = 0; i < FILES; i++)
		if (strcmp(path, names[i]) == 0) {
			a->ino = i;
			return say(a, files[i]);
		}
	a->ino = FILES;
	return say(a, SLICE("bytes"));
}

static int
ask_input(void *arg, enum conf_question ask, const char *about, struct conf_answer *a, struct err *err)
{
	switch (ask) {
	case CONF_ASK_FILE:
	case CONF_ASK_LIST:
		return say_file(arg, about, a);
	case CONF_ASK_GLOB:
		return say(a, SLICE("/a\0/b"));
	case CONF_ASK_HOSTNAME:
		return say(a, SLICE("mx.example.org"));
	case CONF_ASK_CORES:
		return say(a, SLICE("2"));
	case CONF_ASK_FOLDER:
		return say(a, SLICE("/"));
	}
	return err_set(err, "an unknown question");
}

static struct slice
packed(const struct conf *conf, struct buf *out)
{
	buf_init(out, 64u << 20);
	if (!conf_pack(conf, out))
		abort();
	return buf_slice(out);
}

/* What was packed comes back, and is the same when it is packed again. */
static void
pack_twice(const struct conf *conf)
{
	struct buf first, second;
	struct conf *copy = conf_unpack(packed(conf, &first), NULL);

	if (copy == NULL || !slice_same(buf_slice(&first), packed(copy, &second)))
		abort();
	conf_unref(&copy);
	buf_free(&first);
	buf_free(&second);
}

/* What is taken as packed bytes says the same when it is packed. */
static void
unpack(struct slice bytes)
{
	struct conf *conf = conf_unpack(bytes, NULL);
	struct buf out;

	if (conf == NULL)
		return;
	if (!slice_same(bytes, packed(conf, &out)))
		abort();
	buf_free(&out);
	conf_unref(&conf);
}

/* Whoever is asked about, there is a profile, and a route that is nobody's is none of ours. */
static void
ask_about(const struct conf *conf, struct slice rest)
{
	struct conf_ask ask = { .listener = conf->listeners[0] };
	const struct conf_route *route;
	char *told = NULL;
	size_t len = 0;
	FILE *f;
	bool ours;

	ask.local = slice_cut(&rest, '\0');
	ask.domain = slice_cut(&rest, '\0');
	ask.user = slice_cut(&rest, '\0');
	route = conf_route_find(conf, &ask, &ours);
	if ((route == NULL && ours) || (route != NULL && !conf_route_fits(route, &ask)) || conf_profile_find(conf, &ask, route) == NULL)
		abort();
	f = open_memstream(&told, &len);
	conf_tell_recipient(f, conf, &ask);
	conf_tell_backends(f, conf);
	fclose(f);
	free(told);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice files[FILES], rest = { (const char *)data, size };
	const struct conf_world world = { ask_input, files };
	struct conf *conf;
	struct err err;

	for (size_t i = 0; i < FILES; i++)
		files[i] = slice_cut(&rest, '\0');
	conf = conf_read_from("main", &world, &err);
	if (conf != NULL) {
		pack_twice(conf);
		ask_about(conf, rest);
	}
	conf_unref(&conf);
	unpack((struct slice){ (const char *)data, size });
	return 0;
}
