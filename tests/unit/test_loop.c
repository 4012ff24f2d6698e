/* test_loop.c - truths about proxy/net/loop.h: timers, watched descriptors, and the end of a turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/mem.h"
#include "proxy/net/loop.h"
#include "tests/unit/run_for.h"

static char story[64];		/* what happened, a letter each */

static void
tell(char letter)
{
	size_t len = strlen(story);

	assert_in_range(len, 0, sizeof(story) - 2);
	story[len] = letter;
	story[len + 1] = '\0';
}

static void
on_tell(void *owner)
{
	tell(*(const char *)owner);
}

#define TASKS 5

/* Letters are queued, "-" and a letter is forgotten; then the turn ends. */
static void
test_tasks(void **state)
{
	static const struct { const char *queued, *run; } cases[] = {
		{ "", "" },
		{ "a", "a" },
		{ "abc", "abc" },
		{ "cab", "cab" },
		{ "aaabbb", "ab" },		/* at most once */
		{ "a-a", "" },
		{ "-a", "" },
		{ "abc-a", "bc" },
		{ "abc-b", "ac" },
		{ "abc-c", "ab" },
		{ "abc-cd", "abd" },		/* the queue's end is in place again */
		{ "abc-ad", "bcd" },
		{ "abc-a-b-cde", "de" },
		{ "abc-aa", "bca" },
	};
	static const char letters[] = "abcde";
	struct loop *loop = loop_new();

	(void)state;
	for (size_t i = 0; i < NITEMS(cases); i++) {
		struct loop_task tasks[TASKS];

		for (size_t k = 0; k < TASKS; k++)
			tasks[k] = (struct loop_task){ .run = on_tell, .owner = (void *)&letters[k] };
		story[0] = '\0';
		for (const char *c = cases[i].queued; *c != '\0'; c++)
			if (*c == '-')
				loop_forget(loop, &tasks[*++c - 'a']);
			else
				loop_at_turn_end(loop, &tasks[*c - 'a']);
		run_for(loop, 0.001);
		assert_string_equal(story, cases[i].run);
		for (size_t k = 0; k < TASKS; k++)
			assert_false(tasks[k].queued);
	}
	loop_free(&loop);
	assert_null(loop);
}

struct chain {			/* a task that queues another, as often as `left` says */
	struct loop *loop;
	struct loop_task task, *other;
	int left;
};

static void
on_chain(void *owner)
{
	struct chain *c = owner;

	tell((char)('0' + c->left));
	if (c->left-- > 0)
		loop_at_turn_end(c->loop, &c->task);
	if (c->other != NULL)
		loop_forget(c->loop, c->other);
}

/* Freed at the end of the turn that it was given to: a sanitizer sees it if that is too early. */
static void
on_free(void *owner)
{
	struct chain *c = owner;

	loop_free_later(c->loop, c);
	c->left = 7;
	tell('f');
}

static void
test_tasks_that_make_tasks(void **state)
{
	struct loop *loop = loop_new();
	struct chain c = { .loop = loop, .left = 3 }, *freed = mem_new(sizeof(*freed));
	struct loop_task late = { .run = on_tell, .owner = (void *)"z" };
	struct timer t;

	(void)state;
	story[0] = '\0';
	c.task = (struct loop_task){ .run = on_chain, .owner = &c };
	*freed = (struct chain){ .loop = loop };
	freed->task = (struct loop_task){ .run = on_free, .owner = freed };
	timer_init(&t, loop, on_tell, (void *)"t");
	timer_set(&t, 0.001);
	loop_at_turn_end(loop, &c.task);
	loop_at_turn_end(loop, &freed->task);
	run_for(loop, 0.02);
	assert_string_equal(story, "3f210t");	/* all in the same turn */

	story[0] = '\0';			/* what a task before it made void does not run */
	c.left = 0;
	c.other = &late;
	loop_at_turn_end(loop, &c.task);
	loop_at_turn_end(loop, &late);
	run_for(loop, 0.001);
	assert_string_equal(story, "0");
	loop_free(&loop);
}

static void
test_timers(void **state)
{
	struct loop *loop = loop_new();
	struct timer a, b, idle = { 0 };

	(void)state;
	story[0] = '\0';
	timer_stop(&idle);			/* zeroed memory is no timer yet, and may be stopped */
	timer_init(&a, loop, on_tell, (void *)"a");
	timer_init(&b, loop, on_tell, (void *)"b");
	assert_false(timer_running(&a));
	timer_set(&a, 0.01);
	timer_set(&b, 0.02);
	timer_set(&a, 0.03);			/* moved */
	assert_true(timer_running(&a));
	run_for(loop, 0.06);
	assert_string_equal(story, "ba");	/* each once */
	assert_false(timer_running(&a));
	timer_set(&a, 0.01);
	timer_set(&b, 0);			/* at once */
	timer_stop(&a);
	run_for(loop, 0.03);
	assert_string_equal(story, "bab");
	loop_free(&loop);
}

static int ends[2];

static void
on_pipe(void *owner)
{
	char c;

	assert_int_equal(read(ends[0], &c, 1), 1);
	tell(c);
	if (c == 'q')
		watch_stop(owner);
}

static void
test_watch(void **state)
{
	struct loop *loop = loop_new();
	struct watch w = { 0 };

	(void)state;
	story[0] = '\0';
	watch_stop(&w);
	assert_int_equal(pipe(ends), 0);
	watch_start(&w, loop, ends[0], on_pipe, &w);
	assert_int_equal(write(ends[1], "xyqn", 4), 4);
	run_for(loop, 0.02);
	assert_string_equal(story, "xyq");
	watch_stop(&w);
	close(ends[0]);
	close(ends[1]);
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tasks),
		cmocka_unit_test(test_tasks_that_make_tasks),
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
