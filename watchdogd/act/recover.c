/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Brings a lost message back: the copy, narrowed to the recipients that are lost, is put before
 * the MTA again by the root helper. Exactly once: the intent has a key of the message; the helper
 * takes the name in the MTA's directory only when it is free; and whether an intent was carried out
 * is read from the log (the MTA names the id that it continues) and the queue.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/internal.h"
#include "watchdogd/base/bundle.h"

#define COPY_MAX ((uint64_t)256 * 1024 * 1024)
#define LAST_LINES (5 * MQW_SECOND) /* what may still come after the MTA said that it is done */
#define NOT_NOW MQW_MINUTE /* for want of a budget, or of what comes back */
#define PATIENCE MQW_DAY
#define EARLIER MQW_MINUTE

/* Reasons that pass by themselves: it is tried again. */
static const char vault_missing[] = "the vault cannot be opened";
static const char not_read[] = "the copy of this message cannot be read";
static const char no_memory[] = "memory is out";

static bool passes(const char *why)
{
	return why == vault_missing || why == not_read || why == no_memory;
}

static bool is_lost(
	struct mqw_act_instance *i, const struct mqw_message *m, const struct mqw_recipient *r)
{
	enum mqw_verdict v = mqw_tracker_judge(i->tracker, m, r).verdict;

	return r->address && (v == MQW_VERDICT_VANISHED || v == MQW_VERDICT_FALSE_NDR);
}

/* The lost recipients, one a line into list; *ret_keep (for the caller to free) points into m. */
static int gather(struct mqw_act_instance *i, const struct mqw_message *m,
	struct mqw_slice **ret_keep, size_t *ret_count, struct mqw_buffer *list)
{
	struct mqw_slice *keep = calloc(m->recipient_count + 1, sizeof(*keep));
	size_t n = 0;

	if (!keep)
		return -ENOMEM;
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
		if (!is_lost(i, m, r))
			continue;
		keep[n++] = mqw_slice_of(r->address);
		mqw_buffer_printf(list, "%s\n", r->address);
	}
	*ret_keep = keep;
	*ret_count = n;
	return list->failed ? -ENOMEM : 0;
}

bool mqw_act_is_over(const struct mqw_message *m, int64_t now)
{
	return m->queue_gone || m->place == MQW_PLACE_DAMAGED ||
		(m->removed && now - m->closed_at >= LAST_LINES);
}

/* How many of these recipients the copy has still to do; the others are marked as done in it. */
static int keep_recipients(const struct mqw_act_instance *i, struct mqw_buffer *content,
	const struct mqw_slice *keep, size_t count)
{
	struct mqw_buffer envelope = {0}, changed = {0};
	struct mqw_slice files[MQW_BUNDLE_MAX];
	uint64_t lengths[MQW_BUNDLE_MAX];
	int n, r;

	if (!i->probe->companion)
		return i->probe->keep_recipients(content, keep, count);
	n = mqw_probe_files(i->probe, mqw_buffer_slice(content), files);
	if (n < 0)
		return n;
	mqw_buffer_add(&envelope, files[0]);
	r = envelope.failed ? -ENOMEM : i->probe->keep_recipients(&envelope, keep, count);
	files[0] = mqw_buffer_slice(&envelope);
	for (int f = 0; f < n; f++)
		lengths[f] = files[f].len;
	mqw_bundle_add_head(&changed, lengths, (size_t)n);
	for (int f = 0; f < n; f++)
		mqw_buffer_add(&changed, files[f]);
	if (r >= 0 && changed.failed)
		r = -ENOMEM;
	mqw_buffer_done(&envelope);
	mqw_buffer_done(content);
	*content = changed;
	return r;
}

/* Ids are used again: a copy may be left of an earlier message that had this one's. */
static bool is_of_earlier_life(const struct mqw_act_instance *i, const struct mqw_message *m,
	const struct mqw_buffer *content)
{
	struct mqw_slice files[MQW_BUNDLE_MAX];
	struct mqw_queue_file f;
	bool earlier;

	if (!m->opening_seen || m->former_id ||
		mqw_probe_files(i->probe, mqw_buffer_slice(content), files) < 0 ||
		i->probe->queue_file(files[0], &f) < 0)
		return false;
	earlier = f.created_at != MQW_TIME_NONE && f.created_at < m->opened_at - EARLIER;
	mqw_queue_file_done(&f);
	return earlier;
}

const char *mqw_act_prepare(struct mqw_act_instance *i, const struct mqw_message *m,
	struct mqw_buffer *content, struct mqw_buffer *list)
{
	struct mqw_slice *keep = NULL;
	size_t count = 0;
	int r;

	if (!i->vault)
		return i->vault_missing ? vault_missing : "no copies are kept (vault: keep: none)";
	/* Whatever reported it as failed would do so again, and the sender would hear of it again. */
	if (m->former_id && (m->gave_up || !m->queue_gone))
		return "it was put back once already and was reported as failed again: its cause "
		       "has "
		       "to be mended first";
	r = mqw_vault_read_all(i->vault, mqw_slice_of(m->queue_id), COPY_MAX, content);
	if (r < 0)
		return r == -ENOENT ? "there is no copy of this message" : not_read;
	if (is_of_earlier_life(i, m, content))
		return "the copy is of an earlier message that had the same id";
	r = gather(i, m, &keep, &count, list);
	/* Where the log never named the recipients, all that the copy has to do are lost. */
	if (r == 0 && m->recipients && count == 0)
		r = -ENODATA;
	if (r == 0 && count)
		r = keep_recipients(i, content, keep, count);
	free(keep);
	if (r == -ENOMEM)
		return no_memory;
	if (r == -ENODATA)
		return "no recipient of this message is lost any more";
	if (r < 0)
		return "the copy is no sound queue file";
	if (r == 0 && count)
		return "in the copy none of the lost recipients is still to do";
	return NULL;
}

void mqw_act_forget_files(const struct mqw_act_instance *i, const char *queue_id)
{
	if (!i->vault)
		return;
	mqw_vault_remove_recover(i->vault, mqw_slice_of(queue_id));
	mqw_vault_remove_done(i->vault, mqw_slice_of(queue_id));
}

void mqw_act_conclude_recover(struct mqw_call *c)
{
	int r = mqw_act_conclude(c->act, c, c->state, c->detail);

	/* Not kept: it stays under way, lest it be asked for once more, and is tried again. */
	if (r < 0 && r != -ENOENT)
		return;
	mqw_act_forget_files(c->instance, c->queue_id);
	mqw_call_free(c);
}

/* The file for recovery is there only as long as it may have been put back. */
static void not_done(struct mqw_call *c)
{
	mqw_vault_remove_recover(c->instance->vault, mqw_slice_of(c->queue_id));
	mqw_call_free(c);
}

static void on_answer(void *ctx, int error, const struct mqw_helper_answer *answer)
{
	struct mqw_call *c = ctx;

	if (c->overtaken) {
		mqw_call_free(c);
	} else if (error < 0) {
		/* Nobody knows: the intent stays open, and mqw_act_resolve() will look. */
		mqw_alert_say(MQW_ALERT_ACTION, LOG_WARNING, c->instance->name,
			"recover, message %s: the helper gave no answer (%s); it is looked after",
			c->queue_id, strerror(-error));
		mqw_call_free(c);
	} else if (answer->status == MQW_HELPER_FAILED) {
		mqw_alert_say(MQW_ALERT_ACTION, LOG_WARNING, c->instance->name,
			"recover, message %s: %s; tried again in a while", c->queue_id,
			answer->text);
		not_done(c);
	} else {
		c->state = answer->status == MQW_HELPER_REFUSED ? MQW_ACTION_STATE_REFUSED
								: MQW_ACTION_STATE_DONE;
		snprintf(c->detail, sizeof(c->detail), "%s",
			answer->text[0] ? answer->text : "put back before the MTA");
		mqw_act_conclude_recover(c);
	}
}

static void ask(struct mqw_act *a, struct mqw_act_instance *instance, int64_t id, const char *rule,
	const char *queue_id)
{
	struct mqw_call *c = mqw_call_create(a, instance, id, MQW_ACTION_RECOVER, rule, queue_id);
	int r;

	if (!c)
		return;
	r = mqw_helper_call(a->helper, MQW_HELPER_RECOVER, instance->name, queue_id,
		MQW_HELPER_TIMEOUT, on_answer, c);
	if (r == 0)
		return;
	/* Busy is only many at a time. */
	if (r != -EBUSY)
		mqw_alert_say(MQW_ALERT_ACTION, LOG_WARNING, instance->name,
			"recover, message %s: the helper cannot be reached (%s); tried again in a "
			"while",
			queue_id, strerror(-r));
	not_done(c);
}

/* Only a file that is wholly on the disk is asked for: an older one may lie there. */
static void write_and_ask(struct mqw_act *a, struct mqw_act_instance *i, int64_t id,
	const char *rule, const char *queue_id, const struct mqw_buffer *content)
{
	int r;

	/* After a disaster there are many: those of another turn cost no write to the disk now. */
	if (mqw_helper_client_pending(a->helper) >= MQW_HELPER_CALLS_MAX)
		return;
	r = mqw_vault_write_recover(i->vault, mqw_slice_of(queue_id), mqw_buffer_slice(content));
	if (r == 0)
		ask(a, i, id, rule, queue_id);
	else
		mqw_alert_say(MQW_ALERT_ACTION, LOG_ERR, i->name,
			"recover, message %s: its file cannot be written (%s); tried again in a "
			"while",
			queue_id, strerror(-r));
}

const char *mqw_act_put_back(struct mqw_act *a, struct mqw_act_instance *i,
	const struct mqw_message *m, int64_t id, const char *rule)
{
	struct mqw_buffer content = {0}, list = {0};
	const char *why = mqw_act_prepare(i, m, &content, &list);

	if (!why)
		write_and_ask(a, i, id, rule, m->queue_id, &content);
	mqw_buffer_done(&content);
	mqw_buffer_done(&list);
	return why && passes(why) ? NULL : why;
}

void mqw_act_recover_key(char key[MQW_RECOVER_KEY_SIZE], const struct mqw_act_instance *i,
	const char *queue_id, unsigned again, int64_t first_seen)
{
	char nth[24] = "";

	if (again)
		snprintf(nth, sizeof(nth), "again-%u/", again);
	snprintf(key, MQW_RECOVER_KEY_SIZE, "recover/%s/%s/%s%lld", i->name, queue_id, nth,
		(long long)first_seen);
}

int mqw_act_recover(struct mqw_act *a, struct mqw_wish *w, int64_t now)
{
	struct mqw_act_instance *i = w->instance;
	const struct mqw_message *m = mqw_act_message(i, w->queue_id, w->first_seen);
	struct mqw_buffer content = {0}, list = {0};
	struct mqw_intent intent = {.wish = w, .recipients = w->recipient};
	/* While it is in the queue for other recipients, its name is not free. */
	bool over = m && mqw_act_is_over(m, now);
	const char *why = NULL;
	char key[MQW_RECOVER_KEY_SIZE];
	int64_t id;
	int r;

	mqw_act_recover_key(key, i, w->queue_id, w->again, w->first_seen);
	/* Of whom nobody was told yet nobody would be, once he is not lost any more. */
	if (m && m->untold) {
		w->not_before = now + MQW_SECOND;
		return 0;
	}
	if (!m)
		why = "the message is no longer followed";
	else if (over)
		why = mqw_act_prepare(i, m, &content, &list);
	if (why && passes(why) && now - w->since < PATIENCE) {
		w->not_before = now + NOT_NOW;
		r = 0;
	} else if (why) {
		mqw_act_refuse(a, w, key, why, now);
		r = 1;
	} else {
		intent.key = key;
		if (over)
			intent.recipients = mqw_buffer_str(&list);
		/* It is decided, which survives us; until it is over mqw_act_resolve() waits. */
		r = mqw_act_intend(a, &intent, now, &id);
		if (r == 1)
			mqw_tell_intend(a, i, m, key, now);
		if (r == 1 && over)
			write_and_ask(a, i, id, w->rule, w->queue_id, &content);
		if (r == -EDQUOT && now - w->since < PATIENCE)
			w->not_before = now + NOT_NOW;
		r = r < 0 && (r != -EDQUOT || w->not_before > now) ? 0 : 1;
	}
	mqw_buffer_done(&content);
	mqw_buffer_done(&list);
	return r;
}
