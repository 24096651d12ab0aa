/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After a false failure report and a recovery: one short note to the sender. It is noted in the
 * ledger together with the recovery, under that recovery's key, and sent when that is done. At most
 * once: the record is set to "unclear" before the relay is talked to, and only what the relay
 * certainly did not take is tried again, by this process. Nothing goes to the null sender, to a list
 * or to a robot (RFC 3834 section 2).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/act/alerts/sender.h"
#include "watchdogd/act/internal.h"
#include "watchdogd/base/json_text.h"

#define KEY_PREFIX "tell/"
#define KIND "tell_sender"
#define COPY_MAX ((uint64_t)256 * 1024 * 1024)
#define TRIES 5
#define FIRST_PAUSE MQW_MINUTE
#define GIVE_UP_AFTER (25 * MQW_HOUR) /* a recovery that waits for the queue has ended by then */

/* A note that is under way. */
struct mqw_tell {
	struct mqw_tell *next;
	const struct mqw_act_instance *instance;
	int64_t id; /* of its record */
	char *to, *queue_id;
	json_t *note;
	unsigned tries;
	int64_t not_before;
	bool sending;
};

static struct mqw_tell *free_tell(struct mqw_tell *t)
{
	if (!t)
		return NULL;
	json_decref(t->note);
	free(t->to);
	free(t->queue_id);
	free(t);
	return NULL;
}

void mqw_tells_free(struct mqw_act *a)
{
	while (a->tells) {
		struct mqw_tell *next = a->tells->next;

		free_tell(a->tells);
		a->tells = next;
	}
}

void mqw_tell_intend(struct mqw_act *a, const struct mqw_act_instance *i,
	const struct mqw_message *m, const char *recover_key, int64_t now)
{
	struct mqw_buffer key = {0}, list = {0};
	struct mqw_action_record record = {.kind = KIND,
		.rule = "tell_sender",
		.instance = i->name,
		.queue_id = m->queue_id,
		.cause = "the failure report was wrong",
		.intended_at = now};
	int64_t id;

	for (const struct mqw_recipient *r = m->recipients; r; r = r->next)
		if (r->address &&
			mqw_tracker_judge(i->tracker, m, r).verdict == MQW_VERDICT_FALSE_NDR)
			mqw_buffer_printf(&list, "%s\n", r->address);
	mqw_buffer_printf(&key, KEY_PREFIX "%s", recover_key);
	record.key = mqw_buffer_str(&key);
	record.recipients = mqw_buffer_str(&list);
	/* A note that is not written is a courtesy less. */
	if (i->tell_via && m->sender && m->sender[0] && list.len && !list.failed && !key.failed)
		(void)mqw_ledger_intend(a->ledger, &record, &id);
	mqw_buffer_done(&key);
	mqw_buffer_done(&list);
}

/* The next header field of a mail, with the lines that continue it; false behind the last one. */
static bool next_field(
	struct mqw_slice *mail, struct mqw_slice *ret_name, struct mqw_slice *ret_value)
{
	struct mqw_slice line, begin = *mail;

	if (!mqw_slice_take_until(mail, '\n', &line) || line.len == 0)
		return false;
	while (mail->len && (mail->ptr[0] == ' ' || mail->ptr[0] == '\t'))
		if (!mqw_slice_take_until(mail, '\n', &line))
			*mail = mqw_slice_from(*mail, mail->len);
	*ret_value = mqw_slice_head(begin, begin.len - mail->len);
	*ret_name = mqw_slice_trim(mqw_slice_head(*ret_value, mqw_slice_chr(*ret_value, ':')));
	*ret_value = mqw_slice_from(*ret_value, mqw_slice_chr(*ret_value, ':') + 1);
	return true;
}

static bool says_any(struct mqw_slice value, const char *const *words)
{
	for (; *words; words++)
		if (mqw_slice_find_nocase(value, mqw_slice_of(*words)) < value.len)
			return true;
	return false;
}

/* Why a header says that nobody waits for an answer; NULL when none does. */
static const char *robot_by_header(struct mqw_slice mail)
{
	static const char *const bulk[] = {"bulk", "list", "junk", NULL};
	struct mqw_slice name, value;

	while (next_field(&mail, &name, &value)) {
		if (mqw_slice_eq_nocase(mqw_slice_head(name, 5), MQW_LIT("List-")) ||
			mqw_slice_eq_nocase(name, MQW_LIT("Mailing-List")))
			return "the mail is a mailing list's";
		if (mqw_slice_eq_nocase(name, MQW_LIT("Precedence")) && says_any(value, bulk))
			return "the mail says that it is one of many";
		while (value.len && strchr(" \t\r\n", value.ptr[0]))
			value = mqw_slice_from(value, 1);
		if (mqw_slice_eq_nocase(name, MQW_LIT("Auto-Submitted")) &&
			!mqw_slice_eq_nocase(mqw_slice_head(value, 2), MQW_LIT("no")))
			return "the mail says that a program wrote it";
	}
	return NULL;
}

/* Why an address is none that a person reads, or not fit for a header; NULL when it is. */
static const char *robot_by_address(struct mqw_slice address)
{
	static const char *const robots[] = {"-request", "-bounces", "mailer-daemon", "no-reply",
		"noreply", "do-not-reply", "donotreply", NULL};
	struct mqw_slice local;

	for (size_t i = 0; i < address.len; i++)
		if (address.ptr[i] < 0x21 || address.ptr[i] > 0x7e ||
			strchr("<>()[]\\,;:\"", address.ptr[i]))
			return "the sender's address is an unusual one";
	if (!mqw_slice_take_until(&address, '@', &local) || !local.len || !address.len)
		return "the sender's address is an unusual one";
	if (says_any(local, robots) ||
		mqw_slice_eq_nocase(mqw_slice_head(local, 6), MQW_LIT("owner-")) ||
		(local.len > 6 &&
			mqw_slice_eq_nocase(
				mqw_slice_from(local, local.len - 6), MQW_LIT("-owner"))))
		return "the sender is no person";
	return NULL;
}

static json_t *make_note(
	struct mqw_act *a, const struct mqw_queue_file *f, const char *lines, int64_t now)
{
	char token[MQW_NOTICE_TOKEN_LEN + 1], host[MQW_NOTICE_HOST_MAX + 1];
	struct mqw_slice rest = mqw_slice_of(lines), line;
	json_t *recipients = json_array();

	mqw_notice_host(host);
	while (mqw_slice_take_until(&rest, '\n', &line))
		json_array_append_new(recipients, mqw_json_text(line));
	/* So that nothing is said of it where it passes through a watched MTA. */
	if (!mqw_notice_token(token) || mqw_outbox_note_test(a->ledger, KIND, token, now) < 0) {
		json_decref(recipients);
		return NULL;
	}
	return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o}", "type", "note", "id", token, "host", host,
		"time", mqw_json_time(now), "to", mqw_json_text_or_null(f->sender), "message_id",
		mqw_json_text_or_null(f->message_id), "recipients", recipients);
}

/* Why nothing is sent, or NULL and a note in *ret. */
static const char *prepare(struct mqw_act *a, const struct mqw_act_instance *i,
	const struct mqw_action_record *record, int64_t now, struct mqw_tell **ret)
{
	struct mqw_slice files[MQW_BUNDLE_MAX];
	struct mqw_buffer copy = {0}, mail = {0};
	struct mqw_queue_file f = {0};
	const char *why = "its copy is gone: whether a person sent it is not known";
	struct mqw_tell *t = NULL;
	int n = -ENOENT;

	if (i->vault &&
		mqw_vault_read_all(i->vault, mqw_slice_of(record->queue_id), COPY_MAX, &copy) == 0)
		n = mqw_probe_files(i->probe, mqw_buffer_slice(&copy), files);
	if (n > 0 && i->probe->queue_file(files[0], &f) == 0 && i->probe->mail &&
		i->probe->mail(files, (size_t)n, &mail) == 0) {
		why = robot_by_address(mqw_slice_of(f.sender));
		if (!why)
			why = robot_by_header(mqw_buffer_slice(&mail));
		t = why ? NULL : calloc(1, sizeof(*t));
	}
	if (t) {
		*t = (struct mqw_tell){.instance = i,
			.id = record->id,
			.to = mqw_slice_dup(mqw_slice_of(f.sender)),
			.queue_id = mqw_slice_dup(mqw_slice_of(record->queue_id)),
			.note = make_note(a, &f, record->recipients, now),
			.not_before = now};
		if (!t->to || !t->queue_id || !t->note)
			t = free_tell(t);
	}
	if (!why && !t)
		why = "there was no memory for it, or no ledger";
	mqw_queue_file_done(&f);
	mqw_buffer_done(&copy);
	mqw_buffer_done(&mail);
	*ret = t;
	return why;
}

static void send_note(struct mqw_act *a, struct mqw_tell *t)
{
	const char *const to[] = {t->to, NULL};
	const struct mqw_alert_config channel = {.name = KIND,
		.channel = MQW_CHANNEL_EMAIL,
		.email = to,
		.email_count = 1,
		.via = t->instance->tell_via,
		.tls = MQW_TLS_IF_OFFERED,
		.timeout = 30 * MQW_SECOND};

	/* Ids of the outbox are positive. */
	t->sending = mqw_sender_send(a->sender, -t->id, &channel, t->note) == 0;
	if (!t->sending)
		t->not_before = mqw_clock_now() + FIRST_PAUSE;
}

void mqw_tell_resolve(struct mqw_act *a, const struct mqw_act_instance *i,
	const struct mqw_action_record *record, int64_t now)
{
	enum mqw_action_state state = MQW_ACTION_STATE_INTENT;
	struct mqw_slice key = mqw_slice_of(record->key);
	struct mqw_tell *t = NULL;
	const char *why = "it was not mailed again";
	int64_t id;
	int r;

	if (!mqw_slice_skip(&key, MQW_LIT(KEY_PREFIX)))
		return;
	r = mqw_ledger_find_action(a->ledger, key.ptr, &id, &state);
	if (r < 0 ||
		(r > 0 && state == MQW_ACTION_STATE_INTENT &&
			now - record->intended_at < GIVE_UP_AFTER))
		return;
	if (r > 0 && state == MQW_ACTION_STATE_DONE)
		why = i->tell_via ? prepare(a, i, record, now, &t)
				  : "tell_sender is not asked for any more";
	/* Whatever happens from here on, it is not begun a second time. */
	r = mqw_ledger_conclude(a->ledger, record->id,
		t ? MQW_ACTION_STATE_UNCLEAR : MQW_ACTION_STATE_REFUSED, now,
		t ? "being sent" : why);
	if (r < 0) {
		free_tell(t);
	} else if (t) {
		t->next = a->tells;
		a->tells = t;
		send_note(a, t);
	}
}

void mqw_tell_again(struct mqw_act *a, int64_t now)
{
	for (struct mqw_tell *t = a->tells; t; t = t->next)
		if (!t->sending && t->not_before <= now)
			send_note(a, t);
}

static void end_tell(struct mqw_act *a, struct mqw_tell **at, const struct mqw_delivery *d)
{
	struct mqw_tell *t = *at;

	mqw_ledger_conclude(a->ledger, t->id,
		d->accepted ? MQW_ACTION_STATE_DONE : MQW_ACTION_STATE_FAILED, mqw_clock_now(),
		d->text);
	mqw_alert_say(MQW_ALERT_ACTION, d->accepted ? LOG_NOTICE : LOG_WARNING, t->instance->name,
		"tell_sender %s, message %s: <%s> %s told that the failure report was wrong: %s",
		d->accepted ? "done" : "failed", t->queue_id, t->to,
		d->accepted ? "was" : "could not be", d->text);
	*at = t->next;
	free_tell(t);
}

void mqw_tell_answered(struct mqw_act *a, int64_t id, const struct mqw_delivery *d)
{
	struct mqw_tell **p = &a->tells;

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	if (!*p)
		return;
	(*p)->sending = false;
	/* Where the relay may have taken it, once is enough. */
	if (!d->accepted && d->refused && ++(*p)->tries < TRIES)
		(*p)->not_before = mqw_clock_now() + (FIRST_PAUSE << (*p)->tries);
	else
		end_tell(a, p, d);
}
