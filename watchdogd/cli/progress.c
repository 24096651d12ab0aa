/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#define WIDTH 30
#define PAUSE (MQW_SECOND / 10)

void mqw_progress_start(struct mqw_progress *p, bool wanted, uint64_t total)
{
	*p = (struct mqw_progress){.on = wanted && isatty(STDERR_FILENO), .total = total};
	if (p->on)
		p->started = p->last = mqw_clock_now();
}

void mqw_progress_show(struct mqw_progress *p, uint64_t done, uint64_t lines)
{
	int64_t now;
	int filled;

	if (!p->on)
		return;
	now = mqw_clock_now();
	if (now - p->last < PAUSE)
		return;
	p->last = now;
	p->drawn = true;
	if (p->total == 0) {
		fprintf(stderr, "\r%llu lines", (unsigned long long)lines);
		return;
	}
	if (done > p->total)
		done = p->total;
	filled = (int)(done * WIDTH / p->total);
	fprintf(stderr, "\r[%.*s%*s] %3d %%  %llu lines", filled, "##############################",
		WIDTH - filled, "", (int)(done * 100 / p->total), (unsigned long long)lines);
}

void mqw_progress_end(struct mqw_progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
