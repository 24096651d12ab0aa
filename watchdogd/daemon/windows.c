/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the windows of rules count, between the rules and the ledger. */
#include "watchdogd/ledger/windows.h"

#include <string.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/daemon/engine_internal.h"

static int forget(void *ctx, const char *rule)
{
	return mqw_ledger_forget_windows(ctx, rule);
}

static int keep(void *ctx, const struct mqw_window_record *w)
{
	return mqw_ledger_put_window(ctx, w);
}

int mqw_engine_keep_windows(struct mqw_engine *e)
{
	const struct mqw_window_store store = {.forget = forget, .keep = keep, .ctx = e->ledger};
	int r;

	if (!mqw_rules_unsaved(e->rules))
		return 0;
	r = mqw_ledger_begin(e->ledger);
	if (r < 0)
		return r;
	r = mqw_rules_save(e->rules, &store);
	if (r <= 0) {
		mqw_ledger_rollback(e->ledger);
		return r;
	}
	r = mqw_ledger_commit(e->ledger);
	if (r == 0)
		mqw_rules_saved(e->rules);
	return r;
}

static int restore_one(void *ctx, const struct mqw_window_record *w)
{
	struct mqw_engine *e = ctx;

	if (mqw_rules_restore(e->rules, w, mqw_clock_now()) < 0)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
			"what the rule \"%s\" had counted cannot be read in the ledger: it counts "
			"from none again",
			w->rule);
	return 0;
}

void mqw_engine_restore_windows(struct mqw_engine *e)
{
	int r = mqw_ledger_each_window(e->ledger, restore_one, e);

	if (r < 0)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, NULL,
			"what the rules had counted cannot be read in the ledger (%s): they count "
			"from none again",
			mqw_ledger_error(e->ledger));
}
