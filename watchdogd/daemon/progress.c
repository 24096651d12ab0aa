/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/daemon/progress.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "watchdogd/base/clock.h"

#define START_EVERY (10 * MQW_SECOND)
#define START_EXTENSION "EXTEND_TIMEOUT_USEC=60000000"
/* Of the time that systemd waits: a word that comes late does no harm then. */
#define SHARE 4

int64_t mqw_progress_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * MQW_SECOND + ts.tv_nsec / 1000;
}

static void say(struct mqw_progress *p, int64_t now)
{
	if (p->every == 0 || now - p->said_at < p->every)
		return;
	p->said_at = now;
	sd_notify(0, p->started ? "WATCHDOG=1" : START_EXTENSION);
}

void mqw_progress_init(struct mqw_progress *p, int64_t now)
{
	*p = (struct mqw_progress){.every = START_EVERY, .said_at = now};
	sd_notify(0, START_EXTENSION);
}

void mqw_progress_step(struct mqw_progress *p)
{
	if (p && p->every)
		say(p, mqw_progress_clock());
}

void mqw_progress_turn(struct mqw_progress *p, int64_t now)
{
	say(p, now);
}

void mqw_progress_ready(struct mqw_progress *p)
{
	uint64_t usec = 0;

	p->started = true;
	p->every = sd_watchdog_enabled(0, &usec) > 0 ? (int64_t)(usec / SHARE) : 0;
	sd_notify(0, "READY=1");
}

void mqw_progress_status(struct mqw_progress *p, const char *text)
{
	if (strncmp(p->status, text, sizeof(p->status) - 1) == 0)
		return;
	snprintf(p->status, sizeof(p->status), "%s", text);
	sd_notifyf(0, "STATUS=%s", p->status);
}
