/* mem.h - small memory, which is there or the process ends.
 *
 * A process that cannot have a few hundred bytes ends with a line on stderr and is replaced by
 * its parent; big things (connections, messages) are refused at the door long before. All
 * memory comes zeroed and is given back with free(3). */
#ifndef PROXY_BASE_MEM_H
#define PROXY_BASE_MEM_H

#include "proxy/base/slice.h"

#define NITEMS(array) (sizeof(array) / sizeof((array)[0]))

void *mem_new(size_t size);
void *mem_array(size_t n, size_t size);			/* n * size, overflow checked */
void *mem_grow(void *, size_t size);			/* realloc; new bytes are not zeroed */

/* Room for one more element of `size` bytes behind *n others: the array is moved when needed,
 * *n is counted up, the new element is returned, zeroed. */
void *mem_push(void *array_pointer, size_t *n, size_t size);

char *mem_str(const char *);				/* a copy; NULL gives NULL */
char *mem_slice(struct slice);				/* a copy with a NUL behind it */
void mem_wipe(void *, size_t);				/* for secrets: never optimised away */

#endif
