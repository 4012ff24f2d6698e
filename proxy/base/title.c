#include "proxy/base/title.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

extern char **environ;

static char *room;
static size_t room_size;

/* The kernel shows the octets that argv and the environment were laid out in, one behind the
 * other. The strings of the environment are moved away first, so that getenv() goes on working. */
void
title_init(int argc, char **argv)
{
	char *end;

	if (argc < 1)
		return;
	end = argv[0] + strlen(argv[0]) + 1;
	for (int i = 1; i < argc && argv[i] == end; i++)
		end += strlen(argv[i]) + 1;
	for (size_t i = 0; environ[i] != NULL; i++) {
		char *copy;

		if (environ[i] != end || (copy = strdup(environ[i])) == NULL)
			break;
		end += strlen(environ[i]) + 1;
		environ[i] = copy;
	}
	for (int i = 1; i < argc; i++)
		argv[i] = strdup(argv[i]);
	room = argv[0];
	room_size = (size_t)(end - argv[0]);
	argv[0] = strdup("gatepost");
}

void
title_set(const char *fmt, ...)
{
	char text[128] = "gatepost: ";
	size_t head = strlen(text), len;
	va_list args;

	if (room_size < 2)
		return;
	va_start(args, fmt);
	vsnprintf(text + head, sizeof(text) - head, fmt, args);
	va_end(args);
	len = strlen(text);
	if (len > room_size - 1)
		len = room_size - 1;
	memcpy(room, text, len);
	memset(room + len, 0, room_size - len);
}
