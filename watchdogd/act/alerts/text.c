/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A notice in plain words, for a postmaster at three o'clock. */
#include "watchdogd/act/alerts/notice.h"

static const struct {
	const char *verdict, *means, *todo;
} meanings[] = {
	{"vanished",
		"The message left the queue after a temporary failure. It was not delivered, and "
		"its sender was told nothing.",
		"See whether it was brought back (mailq-watchdog show ID). If not, its sender has "
		"to send it again."},
	{"false_ndr",
		"The sender was told that delivery failed, but the receiving server had only said "
		"\"try again later\".",
		"Tell the sender that the report was wrong, and mend what made it: see \"do\" "
		"below."},
	{"overdue", "The message is in the queue, its next try was due, and nobody tries it.",
		"See whether the mail service runs and can deliver; restarting it makes it try "
		"again."},
	{"lost_downstream",
		"A filter or second mail server in the same log accepted the message, and it "
		"disappeared there.",
		"Look into the log and the queue of that one."},
	{"unknown",
		"The message may be lost, but the log is incomplete at the time that would tell.",
		"Ask the receiving side whether it came."},
};

static void add(struct mqw_buffer *b, const json_t *o, const char *key)
{
	mqw_buffer_add_printable(b, mqw_notice_text(o, key));
}

/* One line with a label; nothing where the key has no text. */
static void add_line(struct mqw_buffer *b, const char *label, const json_t *o, const char *key)
{
	if (mqw_notice_text(o, key).len == 0)
		return;
	mqw_buffer_printf(b, "   %-10s ", label);
	add(b, o, key);
	mqw_buffer_add_str(b, "\n");
}

static void add_head(struct mqw_buffer *b, const json_t *n)
{
	if (json_is_true(json_object_get(n, "test"))) {
		mqw_buffer_add_str(b,
			"This is a test, sent by hand with `mailq-watchdog alert test`. Nothing is "
			"wrong.\nA real alert goes on like this:\n\n");
	} else {
		mqw_buffer_add_str(b, "mailq-watchdog on ");
		add(b, n, "host");
		mqw_buffer_add_str(b,
			json_is_true(json_object_get(n, "digest"))
				? " found more of what it told before:\n\n"
				: " found this:\n\n");
	}
	mqw_buffer_add_str(b, "   ");
	add(b, n, "summary");
	mqw_buffer_add_str(b, "\n\n");
	add_line(b, "instance", n, "instance");
	add_line(b, "rule", n, "rule");
	if (mqw_notice_restart(json_object_get(n, "findings"))) {
		mqw_buffer_printf(b, "   %-10s ", "known");
	} else {
		mqw_buffer_printf(b, "   %-10s ", "recipients");
		mqw_notice_add_number(b, mqw_notice_number(n, "count"));
		mqw_buffer_add_str(b, ", found ");
	}
	add(b, n, "from");
	if (!mqw_slice_eq(mqw_notice_text(n, "from"), mqw_notice_text(n, "to"))) {
		mqw_buffer_add_str(b, " to ");
		add(b, n, "to");
	}
	mqw_buffer_add_str(b, "\n\n");
}

static void add_meanings(struct mqw_buffer *b, const json_t *n)
{
	const json_t *verdicts = json_object_get(n, "verdicts");

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (json_object_get(verdicts, meanings[i].verdict))
			mqw_buffer_printf(b, "%s: %s\nWhat to do: %s\n\n", meanings[i].verdict,
				meanings[i].means, meanings[i].todo);
}

static void add_last_try(struct mqw_buffer *b, const json_t *f)
{
	uint64_t attempts = mqw_notice_number(f, "attempts");

	if (attempts == 0)
		return;
	mqw_buffer_printf(b, "   %-10s ", "last try");
	add(b, f, "last_seen");
	mqw_buffer_add_str(b, ", attempt ");
	mqw_notice_add_number(b, attempts);
	if (mqw_notice_text(f, "relay").len) {
		mqw_buffer_add_str(b, " at ");
		add(b, f, "relay");
	}
	mqw_buffer_add_str(b, "\n");
}

/* "mail.log:12 mail.log:90", as an editor or a grep takes it. */
static void add_evidence(struct mqw_buffer *b, const json_t *f)
{
	const json_t *list = json_object_get(f, "evidence");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *place = json_array_get(list, i);
		uint64_t line = mqw_notice_number(place, "line");

		if (i == 0)
			mqw_buffer_printf(b, "   %-10s", "see");
		mqw_buffer_add_str(b, " ");
		add(b, place, "source");
		if (line)
			mqw_buffer_printf(b, ":%llu", (unsigned long long)line);
	}
	mqw_buffer_add_str(b, json_array_size(list) ? "\n" : "");
}

/* A command to be copied into a shell: only an id in which the shell sees nothing of its own. */
static bool is_plain_word(struct mqw_slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.",
			    s.ptr[i]) ||
			!s.ptr[i])
			return false;
	return s.len > 0 && s.ptr[0] != '-';
}

static void add_finding(struct mqw_buffer *b, size_t number, const json_t *f)
{
	struct mqw_slice id = mqw_notice_text(f, "queue_id");

	mqw_buffer_printf(b, "%zu. ", number);
	add(b, f, "verdict");
	mqw_buffer_add_str(b, " (");
	add(b, f, "confidence");
	mqw_buffer_add_str(b, ")  ");
	if (mqw_notice_text(f, "recipient").len) {
		mqw_buffer_add_str(b, "<");
		add(b, f, "recipient");
		mqw_buffer_add_str(b, ">\n");
	} else {
		mqw_buffer_add_str(b, "all recipients (their addresses were not logged)\n");
	}
	mqw_buffer_printf(b, "   %-10s ", "message");
	mqw_buffer_add_printable(b, id);
	if (json_is_string(json_object_get(f, "sender"))) {
		mqw_buffer_add_str(b, " from <");
		add(b, f, "sender");
		mqw_buffer_add_str(b, ">");
	}
	mqw_buffer_add_str(b, "\n");
	add_line(b, "Message-ID", f, "message_id");
	add_line(b, "report", f, "ndr_id");
	add_last_try(b, f);
	add_line(b, "answer", f, "reply");
	add_line(b, "why", f, "reason");
	add_line(b, "do", f, "remedy");
	add_evidence(b, f);
	if (is_plain_word(id))
		mqw_buffer_printf(
			b, "   %-10s mailq-watchdog show %.*s\n", "look", (int)id.len, id.ptr);
	mqw_buffer_add_str(b, "\n");
}

/* Who is concerned by what became of messages after a restart, and what there is to do for them. */
static void add_restart(struct mqw_buffer *b, const json_t *restart)
{
	static const struct {
		const char *key, *means;
	} fates[] = {
		{"went_out", "Went out, late; nothing is to be done"},
		{"returned_late",
			"Returned to the sender, late: the mail did not arrive, and its sender has "
			"to send "
			"it again"},
		{"settled_otherwise", "Settled otherwise (mailq-watchdog show ID tells how)"},
		{"did_not_move", "Did not move: the service was not what held these"},
	};

	for (size_t i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
		const json_t *ids = json_object_get(restart, fates[i].key);

		if (!json_array_size(ids))
			continue;
		mqw_buffer_printf(b, "%s:\n", fates[i].means);
		for (size_t n = 0; n < json_array_size(ids); n++) {
			const json_t *id = json_array_get(ids, n);

			mqw_buffer_add_str(b, "   ");
			mqw_buffer_add_printable(
				b, mqw_slice(json_string_value(id), json_string_length(id)));
			mqw_buffer_add_str(b, "\n");
		}
		mqw_buffer_add_str(b, "\n");
	}
	if (mqw_notice_text(restart, "remedy").len) {
		add_line(b, "do", restart, "remedy");
		mqw_buffer_add_str(b, "\n");
	}
}

void mqw_notice_add_text(struct mqw_buffer *b, const json_t *notice)
{
	const json_t *findings = json_object_get(notice, "findings");
	const json_t *restart = mqw_notice_restart(findings);
	uint64_t more = mqw_notice_number(notice, "more");

	add_head(b, notice);
	add_meanings(b, notice);
	if (restart)
		add_restart(b, restart);
	for (size_t i = 0; !restart && i < json_array_size(findings); i++)
		add_finding(b, i + 1, json_array_get(findings, i));
	if (more) {
		mqw_buffer_add_str(b, "and ");
		mqw_notice_add_number(b, more);
		mqw_buffer_add_str(b, " more: mailq-watchdog list\n\n");
	}
	mqw_buffer_add_str(b,
		"What is found and done stands in the journal: journalctl -t "
		"mailq-watchdogd\n");
}
