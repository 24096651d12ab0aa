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

/* Whether a recipient is to do in the copy by another record than one that is done. */
static bool is_to_do(
	const struct mqw_message *m, const struct mqw_queue_file *f, const struct mqw_recipient *r)
{
	for (size_t k = 0; k < f->recipient_count; k++)
		if (!f->recipients[k].done &&
			mqw_tracker_recipient(m, mqw_slice_of(f->recipients[k].address)) == r)
			return true;
	return false;
}

/*
 * Takes out of keep those that the copy, as f, says are done. A report is made of what is done, too, so
 * that a false one proves nothing against it; but who is said to have vanished and is done was
 * delivered to, and the log lacks the line.
 */
static size_t drop_done(struct mqw_act_instance *i, const struct mqw_message *m,
	const struct mqw_queue_file *f, struct mqw_slice *keep, size_t count)
{
	for (size_t k = 0; k < f->recipient_count; k++) {
		const struct mqw_recipient *r = f->recipients[k].done
			? mqw_tracker_recipient(m, mqw_slice_of(f->recipients[k].address))
			: NULL;
		size_t n = 0;

		if (!r || mqw_tracker_judge(i->tracker, m, r).verdict != MQW_VERDICT_VANISHED ||
			is_to_do(m, f, r))
			continue;
		while (n < count && keep[n].ptr != r->address)
			n++;
		if (n < count)
			memmove(keep + n, keep + n + 1, (--count - n) * sizeof(*keep));
	}
	return count;
}

/*
 * The recipients that are lost and to do in the copy, f, one a line into list; *ret_keep (for the
 * caller to free) points into m. -ENODATA: none is lost any more; *ret_count 0: none of them is to do.
 */
static int gather(struct mqw_act_instance *i, const struct mqw_message *m,
	const struct mqw_queue_file *f, struct mqw_slice **ret_keep, size_t *ret_count,
	struct mqw_buffer *list)
{
	struct mqw_slice *keep = calloc(m->recipient_count + 1, sizeof(*keep));
	size_t n = 0;

	if (!keep)
		return -ENOMEM;
	*ret_keep = keep;
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (is_lost(i, m, r))
			keep[n++] = mqw_slice_of(r->address);
	/* Where the log never named the recipients, all that the copy has to do are lost. */
	if (n == 0 && m->recipients)
		return -ENODATA;
	*ret_count = drop_done(i, m, f, keep, n);
	for (size_t k = 0; k < *ret_count; k++)
		mqw_buffer_printf(list, "%s\n", keep[k].ptr);
	return list->failed ? -ENOMEM : 0;
}

bool mqw_act_is_over(const struct mqw_act_instance *i, const struct mqw_message *m, int64_t now)
{
	const struct mqw_control_ops *ops = i->probe->control;

	if (m->file_lost && m->place == MQW_PLACE_QUEUED && ops && ops->completes &&
		ops->completes(m))
		return true;
	return m->queue_gone || m->place == MQW_PLACE_DAMAGED ||
		(m->removed && now - m->closed_at >= LAST_LINES);
}

/* The copy's files, the envelope with what its journal says in a buffer of its own. */
struct copy {
	struct mqw_buffer envelope;
	struct mqw_slice files[MQW_BUNDLE_MAX]; /* the first is not used */
	size_t count;
	struct mqw_queue_file f;
};

/* content has to stay as long as the copy; one that is a single file, which may be large, is taken. */
static int open_copy(const struct mqw_act_instance *i, struct mqw_buffer *content, struct copy *ret)
{
	int n = mqw_probe_files(i->probe, mqw_buffer_slice(content), ret->files), r = 0;

	if (n < 0)
		return n;
	ret->count = (size_t)n;
	if (i->probe->companion) {
		r = mqw_probe_envelope(i->probe, ret->files, ret->count, &ret->envelope);
	} else {
		ret->envelope = *content;
		*content = (struct mqw_buffer){0};
	}
	/* The journal is in the envelope now, and is the last. */
	if (i->probe->journal && ret->count > i->probe->journal + 1)
		ret->count = i->probe->journal + 1;
	return r < 0 ? r : i->probe->queue_file(mqw_buffer_slice(&ret->envelope), &ret->f);
}

static void close_copy(struct copy *c)
{
	mqw_buffer_done(&c->envelope);
	mqw_queue_file_done(&c->f);
}

/* Puts the copy with its changed envelope together again, into content. 0 or -ENOMEM. */
static int put_together(
	const struct mqw_act_instance *i, struct copy *c, struct mqw_buffer *content)
{
	struct mqw_buffer changed = {0};
	uint64_t lengths[MQW_BUNDLE_MAX];

	if (!i->probe->companion) {
		*content = c->envelope;
		c->envelope = (struct mqw_buffer){0};
		return 0;
	}
	c->files[0] = mqw_buffer_slice(&c->envelope);
	for (size_t n = 0; n < c->count; n++)
		lengths[n] = c->files[n].len;
	mqw_bundle_add_head(&changed, lengths, c->count);
	for (size_t n = 0; n < c->count; n++)
		mqw_buffer_add(&changed, c->files[n]);
	mqw_buffer_done(content);
	*content = changed;
	return changed.failed ? -ENOMEM : 0;
}

/* Ids are used again: a copy may be left of an earlier message that had this one's. */
static bool is_of_earlier_life(const struct mqw_message *m, const struct mqw_queue_file *f)
{
	return m->opening_seen && !m->former_id && f->created_at != MQW_TIME_NONE &&
		f->created_at < m->opened_at - EARLIER;
}

/* How many recipients are to do in the copy, which is narrowed to those in list; or -errno. */
static int narrow(struct mqw_act_instance *i, const struct mqw_message *m, struct copy *c,
	struct mqw_buffer *list)
{
	struct mqw_slice *keep = NULL;
	size_t count = 0;
	int r = gather(i, m, &c->f, &keep, &count, list);

	if (r == 0 && m->recipients)
		r = count ? i->probe->keep_recipients(&c->envelope, keep, count) : 0;
	else if (r == 0)
		for (size_t k = 0; k < c->f.recipient_count; k++)
			r += !c->f.recipients[k].done;
	free(keep);
	return r;
}

const char *mqw_act_prepare(struct mqw_act_instance *i, const struct mqw_message *m,
	struct mqw_buffer *content, struct mqw_buffer *list)
{
	struct copy c = {0};
	const char *why = NULL;
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
	r = open_copy(i, content, &c);
	if (r == 0 && is_of_earlier_life(m, &c.f))
		why = "the copy is of an earlier message that had the same id";
	if (r == 0 && !why)
		r = narrow(i, m, &c, list);
	if (r > 0 && put_together(i, &c, content) < 0)
		r = -ENOMEM;
	close_copy(&c);
	if (why)
		return why;
	if (r == -ENOMEM)
		return no_memory;
	if (r == -ENODATA)
		return "no recipient of this message is lost any more";
	if (r < 0)
		return "the copy is no sound queue file";
	return r == 0 ? "in the copy none of the lost recipients is still to do" : NULL;
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

void mqw_act_ask_recover(struct mqw_call *c)
{
	const struct mqw_message *m = mqw_act_message(c->instance, c->queue_id, c->first_seen);

	if (m)
		(void)mqw_act_put_back(c->act, c->instance, m, c->id, c->rule);
	mqw_call_free(c);
}

/* Without memory for it the intent is looked after by mqw_act_resolve(). */
static void ask_later(struct mqw_act *a, const struct mqw_wish *w, int64_t id)
{
	struct mqw_call *c =
		mqw_call_create(a, w->instance, id, MQW_ACTION_RECOVER, w->rule, w->queue_id);

	if (!c)
		return;
	c->unasked = true;
	c->first_seen = w->first_seen;
}

int mqw_act_recover(struct mqw_act *a, struct mqw_wish *w, int64_t now)
{
	struct mqw_act_instance *i = w->instance;
	const struct mqw_message *m = mqw_act_message(i, w->queue_id, w->first_seen);
	struct mqw_buffer content = {0}, list = {0};
	struct mqw_intent intent = {.wish = w, .recipients = w->recipient};
	/* While it is in the queue for other recipients, its name is not free. */
	bool over = m && mqw_act_is_over(i, m, now);
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
			ask_later(a, w, id);
		if (r == -EDQUOT && now - w->since < PATIENCE)
			w->not_before = now + NOT_NOW;
		r = r < 0 && (r != -EDQUOT || w->not_before > now) ? 0 : 1;
	}
	mqw_buffer_done(&content);
	mqw_buffer_done(&list);
	return r;
}
