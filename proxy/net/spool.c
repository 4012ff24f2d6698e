#include "proxy/net/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/base/memfd.h"

#define SPOOL_FIRST    (UINT64_C(64) << 10)	/* octets booked at the start: most mail needs no more */
#define SPOOL_STEP     (UINT64_C(1) << 20)	/* octets by which a large one grows; no smaller one is a promise */
#define SPOOL_LOOK     2.5			/* seconds between two looks at the promises */
#define SPOOL_PATIENCE 4			/* looks that a promise stands without another SPOOL_STEP */

struct spool {
	struct spool_house *house;
	uint64_t booked;	/* octets in the budget of all */
	uint64_t drawn;		/* octets of the house's reserve */
	uint64_t promised;	/* announced beyond those, and not come yet */
	uint64_t size;
	uint64_t seen;		/* size when the promise was believed last */
	unsigned patience;	/* looks that are left to it */
	struct spool *older, *newer;			/* among those that grow */
	struct spool *promise_next, **promise_prev;	/* among those that promise */
	bool growing;		/* holds octets, is not sealed: in the list by age */
	bool sealed, given_up;
	void (*give_up)(void *owner);
	void *owner;
	int fd;
	char *map;		/* once sealed */
};

/* Promises. */

static void
promise_lower(struct spool *s, uint64_t octets)
{
	if (octets > s->promised)
		octets = s->promised;
	if (octets == 0)
		return;
	budget_give(s->house->shared, BUDGET_PROMISED, s->house->row, octets);
	s->promised -= octets;
	if (s->promised > 0)
		return;
	*s->promise_prev = s->promise_next;
	if (s->promise_next != NULL)
		s->promise_next->promise_prev = s->promise_prev;
	if (s->house->promised == NULL)
		timer_stop(&s->house->look);
}

static void
promise(struct spool *s, uint64_t octets)
{
	struct spool_house *house = s->house;

	if (octets == 0)
		return;
	budget_take(house->shared, BUDGET_PROMISED, house->row, octets, UINT64_MAX);
	s->promised = octets;
	s->patience = SPOOL_PATIENCE;
	s->promise_next = house->promised;
	s->promise_prev = &house->promised;
	if (s->promise_next != NULL)
		s->promise_next->promise_prev = &s->promise_next;
	house->promised = s;
	if (!timer_running(&house->look))
		timer_set(&house->look, SPOOL_LOOK);
}

/* Who announced much and sends little keeps nobody else away. */
static void
on_look(void *owner)
{
	struct spool_house *house = owner;
	struct spool *next;

	for (struct spool *s = house->promised; s != NULL; s = next) {
		next = s->promise_next;
		if (s->size - s->seen >= SPOOL_STEP) {
			s->seen = s->size;
			s->patience = SPOOL_PATIENCE;
		} else if (--s->patience == 0) {
			promise_lower(s, s->promised);
		}
	}
	if (house->promised != NULL)
		timer_set(&house->look, SPOOL_LOOK);
}

/* The house. */

void
spool_house_init(struct spool_house *house, struct loop *loop, struct budgets *shared, unsigned row)
{
	*house = (struct spool_house){ .shared = shared, .row = row };
	timer_init(&house->look, loop, on_look, house);
}

void
spool_house_close(struct spool_house *house)
{
	timer_stop(&house->look);
}

void
spool_house_limits(struct spool_house *house, uint64_t max, uint64_t reserve)
{
	house->max = max;
	house->reserve = reserve;
}

/* Its first octet is here: from now on it is the newest. */
static void
begin_growing(struct spool *s)
{
	struct spool_house *house = s->house;

	s->growing = true;
	s->older = house->newest;
	if (s->older != NULL)
		s->older->newer = s;
	house->newest = s;
}

static void
end_growing(struct spool *s)
{
	if (!s->growing)
		return;
	s->growing = false;
	*(s->newer != NULL ? &s->newer->older : &s->house->newest) = s->older;
	if (s->older != NULL)
		s->older->newer = s->newer;
	s->older = s->newer = NULL;
}

static void
give_back(struct spool *s)
{
	promise_lower(s, s->promised);
	budget_give(s->house->shared, BUDGET_SPOOL, s->house->row, s->booked);
	s->house->drawn -= s->drawn;
	s->booked = s->drawn = 0;
}

static bool
book(struct spool *s, uint64_t octets)
{
	if (!budget_take(s->house->shared, BUDGET_SPOOL, s->house->row, octets, s->house->max))
		return false;
	s->booked += octets;
	promise_lower(s, octets);
	return true;
}

/* The reserve is taken to the octet: all of it together is one message of the largest size. */
static bool
draw(struct spool *s, uint64_t octets)
{
	if (s->house->reserve < s->house->drawn || s->house->reserve - s->house->drawn < octets)
		return false;
	s->house->drawn += octets;
	s->drawn += octets;
	return true;
}

static void
give_up(struct spool *s)
{
	end_growing(s);
	give_back(s);
	s->given_up = true;
	/* The pages go now, whenever its owner closes it. */
	if (ftruncate(s->fd, 0) == 0)
		s->size = 0;
	s->give_up(s->owner);
}

/* Room for so many octets more. By booking as much again as it has, a small message books little and a
 * large one seldom. */
static bool
make_room(struct spool *s, uint64_t octets)
{
	struct spool_house *house = s->house;
	uint64_t held = s->booked + s->drawn, lacking, step;

	if (s->size + octets <= held)
		return true;
	lacking = s->size + octets - held;
	step = held < SPOOL_STEP ? held : SPOOL_STEP;
	while (!book(s, step > lacking ? step : lacking) && !book(s, lacking) && !draw(s, lacking)) {
		if (house->newest == s)
			return false;
		give_up(house->newest);
	}
	return true;
}

struct spool *
spool_open(struct spool_house *house, uint64_t announced, void (*on_give_up)(void *owner), void *owner, struct err *err)
{
	struct spool *s = mem_new(sizeof(*s));
	uint64_t promised = announced > SPOOL_STEP ? announced - SPOOL_FIRST : 0;
	uint64_t used = budget_used(house->shared, BUDGET_SPOOL) + budget_used(house->shared, BUDGET_PROMISED);

	s->house = house;
	s->give_up = on_give_up;
	s->owner = owner;
	s->fd = -1;
	if ((promised > 0 && (used > house->max || house->max - used < announced)) || !book(s, SPOOL_FIRST)) {
		err_set(err, "the memory for messages in flight is spent (see spool-memory)");
		spool_close(&s);
		return NULL;
	}
	promise(s, promised);
	s->fd = memfd_create("gatepost-spool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->fd == -1) {
		err_sys(err, "memfd_create");
		spool_close(&s);
		return NULL;
	}
	return s;
}

int
spool_put(struct spool *s, struct slice bytes, struct err *err)
{
	if (bytes.len == 0)
		return 0;
	if (!s->growing && !s->sealed && !s->given_up)
		begin_growing(s);
	if (s->given_up || (s->growing && !make_room(s, bytes.len)))
		return err_set(err, "the memory for messages in flight is spent (see spool-memory)");
	while (bytes.len > 0) {
		ssize_t n = write(s->fd, bytes.at, bytes.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_sys(err, "write to the spool");
		s->size += (uint64_t)n;
		bytes = slice_part(bytes, (size_t)n, bytes.len);
	}
	return 0;
}

uint64_t
spool_size(const struct spool *s)
{
	return s->size;
}

int
spool_seal(struct spool *s, struct err *err)
{
	if (s->given_up)
		return err_set(err, "the spool was given up");
	if (memfd_seal(s->fd) == -1)
		return err_sys(err, "seal the spool");
	s->sealed = true;
	end_growing(s);
	promise_lower(s, s->promised);
	if (s->size == 0)
		return 0;
	s->map = mmap(NULL, s->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, s->fd, 0);
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		return err_sys(err, "map the spool");
	}
	return 0;
}

struct slice
spool_bytes(const struct spool *s)
{
	return s->map != NULL ? (struct slice){ s->map, s->size } : SLICE("");
}

int
spool_fd(const struct spool *s)
{
	return s->fd;
}

void
spool_close(struct spool **sp)
{
	struct spool *s = *sp;

	if (s == NULL)
		return;
	end_growing(s);
	give_back(s);
	if (s->map != NULL)
		munmap(s->map, s->size);
	if (s->fd != -1)
		close(s->fd);
	free(s);
	*sp = NULL;
}
