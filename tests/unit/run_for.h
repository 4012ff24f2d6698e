/* run_for.h - lets a loop run for a while. */
#ifndef TESTS_UNIT_RUN_FOR_H
#define TESTS_UNIT_RUN_FOR_H

#include "proxy/net/loop.h"

static void
run_over(void *loop)
{
	loop_stop(loop);
}

static void
run_for(struct loop *loop, double seconds)
{
	struct timer t;

	timer_init(&t, loop, run_over, loop);
	timer_set(&t, seconds);
	loop_run(loop);
	timer_stop(&t);
}

#endif
