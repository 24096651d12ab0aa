/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening the ledger, whatever state it is in. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/daemon/engine_internal.h"

#define RETRY_S 3

/*
 * Where a log was read to is not known any more either: so it is read from its beginning, and what
 * is found there is said and not acted on, as at the first start ever.
 */
static int begin_anew(struct mqw_engine *e, const char *path, const char *why, char **reterr)
{
	char *name = NULL;
	int r = mqw_ledger_set_aside(path, mqw_clock_now(), &name);

	if (r < 0) {
		mqw_alert_say(MQW_ALERT_SELF, LOG_ALERT, NULL,
			"the ledger is damaged (%s) and cannot be set aside: %s; move it away by "
			"hand",
			why, strerror(-r));
		return r;
	}
	mqw_alert_say(MQW_ALERT_SELF, LOG_ALERT, NULL,
		"the ledger is damaged (%s): it is kept as %s for you to look at and a new one is "
		"begun. Messages and gaps are learned again from logs and queues; what was done "
		"about messages before and alerts not sent yet are known only to the old one, so "
		"that what is found in the logs now is said and not acted on",
		why, name ? name : path);
	free(name);
	return mqw_ledger_open(path, &e->ledger, reterr);
}

/* What somebody is about to mend, or what mends itself. */
static bool passes(int error)
{
	return error == -ENOSPC || error == -EROFS || error == -EBUSY;
}

/* Whether it was asked to end meanwhile; the loop that would notice does not run yet. */
static bool ends_within(time_t seconds)
{
	const struct timespec time = {.tv_sec = seconds};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	return sigtimedwait(&signals, NULL, &time) > 0;
}

/* Opens it as soon as that is possible: started again and again the daemon would say so each time. */
static int open_in_time(struct mqw_engine *e, const char *path, char **reterr)
{
	bool said = false;
	int r;

	for (;;) {
		r = mqw_ledger_open(path, &e->ledger, reterr);
		if (!passes(r))
			break;
		if (!said)
			mqw_alert_say(MQW_ALERT_SELF, LOG_ALERT, NULL,
				"the ledger cannot be opened (%s): the watch begins as soon as it "
				"can",
				*reterr ? *reterr : strerror(-r));
		said = true;
		free(*reterr);
		*reterr = NULL;
		mqw_progress_step(&e->progress);
		if (ends_within(RETRY_S))
			return -ECANCELED;
	}
	if (r == 0 && said)
		mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, NULL, "the ledger can be opened now");
	return r;
}

int mqw_engine_open_ledger(struct mqw_engine *e)
{
	struct mqw_buffer path = {0};
	char *error = NULL, *second = NULL;
	int r;

	mqw_buffer_printf(&path, "%s/ledger.db", e->config->state_directory);
	if (path.failed)
		return -ENOMEM;
	r = open_in_time(e, mqw_buffer_str(&path), &error);
	if (r == -EUCLEAN || r == -EINVAL) {
		r = begin_anew(e, mqw_buffer_str(&path), error ? error : "", &second);
		free(error);
		error = second;
	}
	if (r < 0 && r != -ECANCELED)
		mqw_alert_say(MQW_ALERT_SELF, LOG_ERR, NULL, "the ledger %s cannot be opened: %s",
			mqw_buffer_str(&path), error ? error : strerror(-r));
	free(error);
	mqw_buffer_done(&path);
	return r;
}
