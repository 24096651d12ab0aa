/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compares what the daemon said and did with what was to be found: the journal's entries, the last
 * verdicts of the tracker, the ledger's actions and history, and what the MTA got back.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "tests/crash/crash.h"
#include "watchdogd/act/alert.h"
#include "watchdogd/daemon/instance_internal.h"
#include "watchdogd/ledger/ledger.h"

/* "rR.mM@example.net" of that message; NULL when it is none. */
static struct seen *seen_of(const char *id, const char *recipient)
{
	int n = id ? script_message_of(id, strlen(id)) : -1;
	unsigned int r, m;

	if (n < 0 || !recipient || sscanf(recipient, "r%u.m%u@", &r, &m) != 2 || r >= RECIPIENTS ||
		m != (unsigned int)n)
		return NULL;
	return &shared->seen[n][r];
}

/* The tracker's own word, for those whose verdict nobody has to be told. */
void __real_mqw_instance_verdict(void *ctx, const struct mqw_message *m,
	const struct mqw_recipient *r, const struct mqw_judgement *j, enum mqw_verdict previous);
void __wrap_mqw_instance_verdict(void *ctx, const struct mqw_message *m,
	const struct mqw_recipient *r, const struct mqw_judgement *j, enum mqw_verdict previous);

void __wrap_mqw_instance_verdict(void *ctx, const struct mqw_message *m,
	const struct mqw_recipient *r, const struct mqw_judgement *j, enum mqw_verdict previous)
{
	struct seen *seen = seen_of(m->queue_id, r->address);

	if (seen)
		seen->last = (uint8_t)j->verdict;
	__real_mqw_instance_verdict(ctx, m, r, j, previous);
}

/* In place of the journal. */

static bool field(const struct iovec *v, const char *name, char ret[160])
{
	size_t n = strlen(name), len;

	if (v->iov_len <= n || memcmp(v->iov_base, name, n) != 0)
		return false;
	len = v->iov_len - n < 159 ? v->iov_len - n : 159;
	memcpy(ret, (const char *)v->iov_base + n, len);
	ret[len] = '\0';
	return true;
}

static int verdict_of(const char *name)
{
	int v = 1;

	while (v < MQW_VERDICT_COUNT && strcmp(name, mqw_verdict_name((enum mqw_verdict)v)) != 0)
		v++;
	return v;
}

__attribute__((visibility("default"))) int sd_journal_sendv_with_location(
	const char *file, const char *line, const char *function, const struct iovec *iov, int n)
{
	char id[160] = "", recipient[160] = "", verdict[160] = "", kind[160] = "", text[160] = "";
	struct seen *seen;
	int v;

	(void)file, (void)line, (void)function;
	for (int i = 0; i < n; i++)
		if (field(&iov[i], "QUEUE_ID=", id) || field(&iov[i], "RECIPIENT=", recipient) ||
			field(&iov[i], "VERDICT=", verdict) || field(&iov[i], "MESSAGE_ID=", kind))
			;
		else
			field(&iov[i], "MESSAGE=", text);
	seen = seen_of(id, recipient);
	if (seen && strcmp(kind, mqw_alert_message_id(MQW_ALERT_RULE)) == 0)
		seen->alerts++;
	v = verdict_of(verdict);
	if (seen && v < MQW_VERDICT_COUNT)
		seen->told |= (uint16_t)(1u << v);
	if (strstr(text, "may or may not have been done"))
		shared->unclear++;
	return 0;
}

/* What is in the ledger. */

struct tally {
	struct mqw_buffer *wrong;
	unsigned int recovers[MESSAGES], unclear[MESSAGES], kept[MESSAGES], history[MESSAGES];
	unsigned int alerts[MESSAGES];
};

static int take_action(void *ctx, const struct mqw_action_record *a)
{
	struct tally *t = ctx;
	int n = script_message_of(a->queue_id, strlen(a->queue_id));

	if (a->state == MQW_ACTION_STATE_INTENT)
		mqw_buffer_printf(
			t->wrong, "%s of %s is an intent without a result\n", a->kind, a->queue_id);
	if (n < 0)
		return 0;
	if (strcmp(a->kind, "recover") == 0) {
		t->recovers[n]++;
		if (a->state == MQW_ACTION_STATE_UNCLEAR)
			t->unclear[n]++;
		else if (a->state != MQW_ACTION_STATE_DONE)
			mqw_buffer_printf(t->wrong, "recover of %s (%s) is %s: %s\n", a->queue_id,
				fate_name(script.messages[n].fate), mqw_action_state_name(a->state),
				a->detail);
	} else if (strcmp(a->kind, "alert") == 0) {
		t->alerts[n]++;
		if (a->state != MQW_ACTION_STATE_DONE)
			mqw_buffer_printf(t->wrong, "alert of %s is %s: %s\n", a->queue_id,
				mqw_action_state_name(a->state), a->detail);
	}
	return 0;
}

static int take_message(void *ctx, const struct mqw_message *m)
{
	struct tally *t = ctx;
	int n = script_message_of(m->queue_id, strlen(m->queue_id));

	if (n >= 0)
		t->kept[n]++;
	return 0;
}

static int take_history(void *ctx, const struct mqw_verdict_record *v)
{
	struct tally *t = ctx;
	int n = script_message_of(v->queue_id, strlen(v->queue_id));

	if (n >= 0 && mqw_verdict_is_trouble((enum mqw_verdict)v->verdict))
		t->history[n]++;
	return 0;
}

static void read_ledger(struct tally *t)
{
	struct mqw_ledger *l = NULL;
	char path[PATH_ROOM], *error = NULL;

	snprintf(path, sizeof(path), "%s/state/ledger.db", dir);
	if (mqw_ledger_open(path, &l, &error) < 0 ||
		mqw_ledger_each_action(l, false, 100000, take_action, t) < 0 ||
		mqw_ledger_each_message(l, "out", take_message, t) < 0 ||
		mqw_ledger_each_verdict(l, 100000, take_history, t) < 0)
		mqw_buffer_printf(t->wrong, "the ledger cannot be read: %s\n",
			error       ? error
				: l ? mqw_ledger_error(l)
				    : "");
	free(error);
	mqw_ledger_close(l);
}

static void judge_recipient(struct tally *t, unsigned int n, unsigned int r)
{
	const struct message *m = &script.messages[n];
	const struct seen *s = &shared->seen[n][r];
	bool silent = m->trouble[r] == MQW_VERDICT_NONE;
	/*
	 * What was settled at the first try is not kept: after a death between its line and the
	 * message's first deferral nobody knows of it, and nobody has to be told.
	 */
	bool first_try =
		m->recipients > 1 && r == 0 && (m->fate == FATE_SLOW || m->fate == FATE_VANISHED);
	bool never_kept = m->fate == FATE_FIRST || m->fate == FATE_BOUNCED || first_try;

	for (int v = 1; v < MQW_VERDICT_COUNT; v++) {
		bool trouble =
			mqw_verdict_is_trouble((enum mqw_verdict)v) || v == MQW_VERDICT_UNKNOWN;
		bool told = s->told & 1u << v, due = (enum mqw_verdict)v == m->trouble[r];

		if (trouble && told != due)
			mqw_buffer_printf(t->wrong, "%s to recipient %u (%s): %s was %s\n", m->id,
				r, fate_name(m->fate), mqw_verdict_name((enum mqw_verdict)v),
				told ? "said" : "not said");
	}
	if (s->last != (uint8_t)m->last[r] && !(never_kept && s->last == MQW_VERDICT_NONE) &&
		!(t->unclear[n] && s->last == (uint8_t)m->trouble[r]))
		mqw_buffer_printf(t->wrong, "%s to recipient %u (%s): in the end %s, and not %s\n",
			m->id, r, fate_name(m->fate),
			s->last ? mqw_verdict_name((enum mqw_verdict)s->last) : "nothing",
			mqw_verdict_name(m->last[r]));
	if (silent ? s->alerts > 0 : s->alerts == 0)
		mqw_buffer_printf(t->wrong, "%s to recipient %u (%s): %u alerts of rules\n", m->id,
			r, fate_name(m->fate), s->alerts);
}

static void judge_message(struct tally *t, unsigned int n)
{
	const struct message *m = &script.messages[n];
	unsigned int times = 0, due = 0;
	bool open = m->fate == FATE_HELD || m->fate == FATE_OVERDUE;
	bool watched = open || m->lost || m->fate == FATE_LATE;

	for (unsigned int i = 0; i < shared->again_count; i++)
		if (shared->again[i].message == n) {
			times++;
			if (shared->again[i].recipients != m->lost)
				mqw_buffer_printf(t->wrong,
					"%s (%s): put back for %x, and not %x\n", m->id,
					fate_name(m->fate), shared->again[i].recipients, m->lost);
		}
	/* Where nobody can tell, once at most, and a person was called. */
	if (t->unclear[n] ? times > 1 : times != (m->lost != 0))
		mqw_buffer_printf(
			t->wrong, "%s (%s): put back %u times\n", m->id, fate_name(m->fate), times);
	if (t->recovers[n] != (m->lost != 0))
		mqw_buffer_printf(t->wrong, "%s (%s): %u recovers in the ledger\n", m->id,
			fate_name(m->fate), t->recovers[n]);
	for (unsigned int r = 0; r < m->recipients; r++) {
		judge_recipient(t, n, r);
		due += m->trouble[r] != MQW_VERDICT_NONE;
	}
	if (t->alerts[n] != due)
		mqw_buffer_printf(t->wrong, "%s (%s): %u alerts in the ledger, and not %u\n", m->id,
			fate_name(m->fate), t->alerts[n], due);
	/* It is no state: where the ledger could not be written a line may be missing. */
	if (due ? t->history[n] < due && !shared->failures : t->history[n] > 0)
		mqw_buffer_printf(t->wrong, "%s (%s): %u troubles in the history\n", m->id,
			fate_name(m->fate), t->history[n]);
	if (open ? t->kept[n] != 1 : t->kept[n] > watched)
		mqw_buffer_printf(t->wrong, "%s (%s): kept %u times in the ledger\n", m->id,
			fate_name(m->fate), t->kept[n]);
}

/* What is left in the vault is of messages that are in the queue or in sight. */
static void judge_vault(struct mqw_buffer *wrong)
{
	char path[PATH_ROOM];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/state/vault/out", dir);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		/* The files for recovery have the id in front of their names. */
		int n = script_message_of(e->d_name, strcspn(e->d_name, "."));
		enum fate f = n < 0 ? FATE_COUNT : script.messages[n].fate;

		if (e->d_name[0] != '.' && f != FATE_HELD && f != FATE_OVERDUE &&
			(n < 0 || !script.messages[n].lost))
			mqw_buffer_printf(wrong, "%s is left in the vault (%s)\n", e->d_name,
				n < 0 ? "" : fate_name(f));
	}
	if (d)
		closedir(d);
}

bool judge(struct mqw_buffer *ret_wrong)
{
	struct tally *t = calloc(1, sizeof(*t));
	unsigned int unclear = 0;

	t->wrong = ret_wrong;
	read_ledger(t);
	for (unsigned int n = 0; n < MESSAGES; n++)
		judge_message(t, n);
	judge_vault(ret_wrong);
	for (unsigned int n = 0; n < MESSAGES; n++)
		unclear += t->unclear[n];
	if (unclear > shared->unclear)
		mqw_buffer_printf(ret_wrong,
			"%u recovers are unclear, and %u were told to a person\n", unclear,
			shared->unclear);
	free(t);
	return ret_wrong->len == 0;
}
