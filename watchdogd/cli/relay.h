/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two threads over one log, so that the outcome is that of one, byte for byte. Three steps are taken
 * with each batch of lines, each step with one batch at a time and in order:
 *
 *	fill	lines are cut and their heads taken apart     always in the caller's thread
 *	read	what lines say becomes events                 in whichever has time for it
 *	tell	the messages are followed                     always in the other thread
 *
 * What a step remembers stays with its thread, and so in the caches of one processor; only the second,
 * which remembers little, goes to and fro and makes up for what the others differ.
 */
#ifndef MQW_CLI_RELAY_H
#define MQW_CLI_RELAY_H

#include "watchdogd/cli/batch.h"

struct mqw_relay;

struct mqw_relay_steps {
	/* Puts lines into the batch, which is empty. False: these were the last. */
	bool (*fill)(void *ctx, struct mqw_batch *b);
	/* Tells what the batch's lines say. 0, or a negative errno, which ends all. */
	int (*read)(void *ctx, const struct mqw_batch *b, struct mqw_outlet *to);
	void *ctx;
};

/*
 * Makes the second thread. What comes of the lines goes to `to`, which is copied, as are the steps.
 * 0, -ENOMEM, or -EAGAIN when no thread is to be had; nothing has been read then.
 */
int mqw_relay_start(
	const struct mqw_relay_steps *steps, const struct mqw_outlet *to, struct mqw_relay **ret);

/*
 * Takes all steps to the last line, ends the thread, and frees r. 0, or what read() or the sink said
 * first; nothing is told after it.
 */
int mqw_relay_run(struct mqw_relay *r);

#endif
