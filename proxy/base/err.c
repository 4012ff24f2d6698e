#include "proxy/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
err_set(struct err *err, const char *fmt, ...)
{
	char text[ERR_MAX];	/* an argument may be err->text itself */
	va_list args;

	if (err == NULL)
		return -1;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	memcpy(err->text, text, sizeof(text));
	return -1;
}

int
err_sys(struct err *err, const char *fmt, ...)
{
	const char *why = strerror(errno);
	char text[ERR_MAX];
	va_list args;

	if (err == NULL)
		return -1;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return err_set(err, "%.*s: %s", ERR_MAX - 100, text, why);
}
