#include "proxy/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *
or_die(void *mem)
{
	static const char words[] = "gatepost: out of memory, this process ends\n";

	if (mem == NULL) {
		(void)!write(STDERR_FILENO, words, sizeof(words) - 1);
		_exit(71);	/* EX_OSERR */
	}
	return mem;
}

void *
mem_new(size_t size)
{
	return or_die(calloc(1, size > 0 ? size : 1));
}

void *
mem_array(size_t n, size_t size)
{
	return or_die(calloc(n > 0 ? n : 1, size));
}

void *
mem_grow(void *mem, size_t size)
{
	return or_die(realloc(mem, size > 0 ? size : 1));
}

void *
mem_push(void *array_pointer, size_t *n, size_t size)
{
	char *array;

	memcpy(&array, array_pointer, sizeof(array));
	/* Powers of two only, so the count alone says when the array is full. */
	if ((*n & (*n - 1)) == 0)
		array = or_die(reallocarray(array, *n > 0 ? *n * 2 : 1, size));
	memcpy(array_pointer, &array, sizeof(array));
	array += *n * size;
	memset(array, 0, size);
	(*n)++;
	return array;
}

char *
mem_str(const char *str)
{
	return str != NULL ? or_die(strdup(str)) : NULL;
}

char *
mem_slice(struct slice s)
{
	char *copy = mem_new(s.len + 1);

	if (s.len > 0)
		memcpy(copy, s.at, s.len);
	return copy;
}

void
mem_wipe(void *mem, size_t size)
{
	explicit_bzero(mem, size);
}
