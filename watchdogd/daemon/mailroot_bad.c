/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is new in Badmail: whose it is, and why, as far as the files tell. */
#include <syslog.h>

#include "probes/windows/mailroot_look.h"
#include "watchdogd/act/alert.h"
#include "watchdogd/daemon/mailroot_internal.h"
#include "watchdogd/ledger/ledger.h"

#define TOTAL "badmail" /* in the ledger: when the newest was written that was told of */

int64_t mqw_mailroot_bad_since(struct mqw_mailroot *m)
{
	const struct mqw_instance *i = m->instance;
	int64_t time = 0;

	if (!m->bad_loaded && mqw_ledger_get_total(i->host.ledger, i->act.name, TOTAL, &time) == 1)
		m->bad_since = time;
	m->bad_loaded = true;
	return m->bad_since == MQW_TIME_NONE ? INT64_MAX : m->bad_since;
}

static void add_bad(struct mqw_buffer *b, const json_t *file)
{
	size_t count = json_array_size(mqw_look_recipients(file));

	mqw_buffer_add_str(b, b->len ? "; " : "");
	mqw_buffer_add_printable(b, mqw_look_text(file, "name"));
	if (json_is_true(json_object_get(file, "report"))) {
		mqw_buffer_add_str(b, ", a report of failure");
	} else if (mqw_look_text(file, "sender").len) {
		mqw_buffer_add_str(b, " from <");
		mqw_buffer_add_printable(b, mqw_look_text(file, "sender"));
		mqw_buffer_add_str(b, ">");
	}
	for (size_t n = 0; n < count && n < 3; n++) {
		mqw_buffer_add_str(b, n ? ", <" : " to <");
		mqw_buffer_add_printable(b, mqw_look_recipient(file, n));
		mqw_buffer_add_str(b, ">");
	}
	if (mqw_look_text(file, "why").len) {
		mqw_buffer_add_str(b, " (");
		mqw_buffer_add_printable(b, mqw_look_text(file, "why"));
		mqw_buffer_add_str(b, ")");
	}
}

/* It could be neither delivered nor returned: whose it is, once. */
static void hold(struct mqw_mailroot_look *l, const json_t *file)
{
	struct mqw_buffer why = {0};
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUE_PRESENT, l->now);

	if (mqw_mailroot_followed(l, file))
		return;
	mqw_buffer_add_str(&why, "in Badmail: it could be neither delivered nor returned");
	if (mqw_look_text(file, "why").len) {
		mqw_buffer_add_str(&why, "; ");
		mqw_buffer_add(&why, mqw_look_text(file, "why"));
	}
	mqw_mailroot_introduce(
		l, file, mqw_buffer_str(&why), mqw_look_ours(l, mqw_look_number(file, "written")));
	e.queue_id = mqw_look_text(file, "name");
	e.place = MQW_PLACE_HELD;
	mqw_instance_emit(l->i, &e);
	mqw_buffer_done(&why);
}

static void keep_bad_since(struct mqw_mailroot *m, int64_t time)
{
	const struct mqw_instance *i = m->instance;

	/* What the ledger cannot keep now is told of once more after a restart. */
	if (time != m->bad_since)
		(void)mqw_ledger_put_total(i->host.ledger, i->act.name, TOTAL, time);
	m->bad_since = time;
}

void mqw_mailroot_take_bad(struct mqw_mailroot_look *l, const json_t *found)
{
	struct mqw_mailroot *m = l->mailroot;
	const json_t *files = json_object_get(found, "files"), *file;
	int64_t newest = mqw_look_number(json_object_get(found, "badmail"), "newest"),
		last = MQW_TIME_NONE;
	struct mqw_buffer told = {0};
	size_t count = 0;

	for (size_t n = 0; m->bad_since != MQW_TIME_NONE && n < json_array_size(files); n++) {
		file = json_array_get(files, n);
		if (!mqw_look_is_in(file, "badmail"))
			continue;
		add_bad(&told, file);
		hold(l, file);
		last = mqw_look_number(file, "written");
		count++;
	}
	if (count)
		mqw_alert_say(MQW_ALERT_FINDING, LOG_WARNING, l->i->act.name,
			"new in Badmail of %s, neither delivered nor returned to its sender: %s. "
			"Look at the files of that name (.BAD is the mail, .BDP and .BDR say "
			"why): the server tells nobody",
			m->root, mqw_buffer_str(&told));
	mqw_buffer_done(&told);
	/* Of more than are told of at a time the rest comes with the next look. */
	if (count < MQW_MAILROOT_BAD_TOLD)
		last = newest != MQW_TIME_NONE          ? newest
			: m->bad_since != MQW_TIME_NONE ? m->bad_since
							: l->now + l->ahead;
	keep_bad_since(m, last);
}
