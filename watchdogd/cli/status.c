/* SPDX-License-Identifier: GPL-2.0-or-later */
/* status, list and show: what the running daemon sees, for a person or as JSON. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "watchdogd/base/buffer.h"
#include "watchdogd/base/json_text.h"
#include "watchdogd/cli/client.h"
#include "watchdogd/cli/commands.h"
#include "watchdogd/config/config.h"
#include "watchdogd/track/verdict.h"

#define WIDTH 80
#define LABEL 13 /* columns of what stands before a value */

struct ask {
	const char *socket, *verdict, *instance, *limit;
	bool json, help;
};

static int read_options(struct ask *a, int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
		{"socket", required_argument, NULL, 's'}, {"verdict", required_argument, NULL, 'v'},
		{"instance", required_argument, NULL, 'i'}, {"limit", required_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int c;

	*a = (struct ask){.socket = MQW_CONTROL_SOCKET};
	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			a->json = true;
		else if (c == 's')
			a->socket = optarg;
		else if (c == 'v')
			a->verdict = optarg;
		else if (c == 'i')
			a->instance = optarg;
		else if (c == 'l')
			a->limit = optarg;
		else if (c == 'h')
			a->help = true;
		else
			return -1;
	}
	return optind;
}

/* Whether it has an option that is for `list` alone. */
static bool chooses(const struct ask *a)
{
	return a->verdict || a->instance || a->limit;
}

/* The text of a key, whatever bytes are in it; "-" where there is none. */
static struct mqw_slice text(const json_t *o, const char *key)
{
	const json_t *s = json_object_get(o, key);

	return json_is_string(s) ? mqw_slice(json_string_value(s), json_string_length(s))
				 : MQW_LIT("-");
}

static bool has_text(const json_t *o, const char *key)
{
	return json_string_length(json_object_get(o, key)) > 0;
}

static void add(struct mqw_buffer *b, const char *before, const json_t *o, const char *key,
	const char *after)
{
	mqw_buffer_add_str(b, before);
	mqw_buffer_add_printable(b, text(o, key));
	mqw_buffer_add_str(b, after);
}

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

/* Columns of printable text: all but the bytes that continue a UTF-8 sequence. */
static size_t columns(struct mqw_slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

/*
 * Prints the buffer under its label, folded at blanks to the width of a terminal, and empties it.
 * A longer word stays whole: addresses and ids are there to be copied.
 */
static void print_folded(const char *label, struct mqw_buffer *b)
{
	struct mqw_slice rest = mqw_buffer_slice(b);
	size_t at = LABEL, n, width;
	bool begun = false;

	printf("%-*s", LABEL, label);
	while (rest.len) {
		n = mqw_slice_chr(rest, ' ');
		width = columns(mqw_slice_head(rest, n));
		if (begun && at + 1 + width > WIDTH) {
			printf("\n%*s", LABEL, "");
			at = LABEL;
		} else if (begun) {
			putchar(' ');
			at++;
		}
		fwrite(rest.ptr, 1, n, stdout);
		at += width;
		begun = true;
		rest = mqw_slice_from(rest, n + 1);
	}
	putchar('\n');
	mqw_buffer_clear(b);
}

/* One key's text under a label; nothing where the key has none. */
static void print_key(const char *label, const json_t *o, const char *key)
{
	struct mqw_buffer b = {0};

	if (!has_text(o, key))
		return;
	add(&b, "", o, key, "");
	print_folded(label, &b);
	mqw_buffer_done(&b);
}

static bool is_trouble(const json_t *m)
{
	return mqw_verdict_is_trouble(mqw_verdict_from_name(text(m, "verdict")));
}

static bool any_trouble(const json_t *messages)
{
	for (size_t i = 0; i < json_array_size(messages); i++)
		if (is_trouble(json_array_get(messages, i)))
			return true;
	return false;
}

static void print_raw(const json_t *o)
{
	struct mqw_buffer b = {0};

	mqw_json_add(&b, o);
	puts(mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

/* What became of all mail since the ledger was begun; b is empty before and after. */
static void print_totals(struct mqw_buffer *b, const json_t *totals)
{
	const json_t *verdicts = json_object_get(totals, "verdicts");
	const char *separator = ": ";

	if (!verdicts)
		return;
	mqw_buffer_printf(b, "%lld messages, %lld recipients", number(totals, "messages"),
		number(totals, "recipients"));
	for (int v = MQW_VERDICT_NONE + 1; v < MQW_VERDICT_COUNT; v++) {
		const char *name = mqw_verdict_name((enum mqw_verdict)v);

		if (!number(verdicts, name))
			continue;
		mqw_buffer_printf(b, "%s%lld %s", separator, number(verdicts, name), name);
		separator = ", ";
	}
	add(b, "; since ", totals, "since", "");
	print_folded("  in all", b);
}

/* Of a mailroot: what lies in its folders. */
static void print_mailroot(struct mqw_buffer *b, const json_t *instance)
{
	const json_t *m = json_object_get(instance, "mailroot");

	add(b, "", instance, "queue", ": ");
	if (has_text(m, "cannot_be_read"))
		add(b, "cannot be read: ", m, "cannot_be_read", "; as of the last look: ");
	if (!has_text(m, "looked_at")) {
		mqw_buffer_add_str(b, "not looked at yet");
		return;
	}
	mqw_buffer_printf(b, "%lld in Queue", number(m, "queue"));
	if (has_text(m, "queue_oldest"))
		add(b, " since ", m, "queue_oldest", "");
	mqw_buffer_printf(b, ", %lld in Pickup", number(m, "pickup"));
	if (has_text(m, "pickup_oldest"))
		add(b, " since ", m, "pickup_oldest", "");
	mqw_buffer_printf(
		b, ", %lld stuck; %lld in Badmail", number(m, "stuck"), number(m, "badmail"));
}

static void print_instance(const json_t *i)
{
	struct mqw_buffer b = {0};

	add(&b, "\n", i, "name", "");
	add(&b, " (", i, "mta", ")\n");
	fputs(mqw_buffer_str(&b), stdout);
	mqw_buffer_clear(&b);
	add(&b, "", i, "log", "");
	mqw_buffer_printf(&b, ": %lld lines, %lld not understood%s", number(i, "lines"),
		number(i, "unparsed"),
		json_is_true(json_object_get(i, "caught_up")) ? "" : "; still reading");
	print_folded("  log", &b);
	print_key("  last line", i, "last_line");
	if (json_is_object(json_object_get(i, "mailroot"))) {
		print_mailroot(&b, i);
	} else {
		add(&b, "", i, "queue", "");
		mqw_buffer_printf(&b, ": %lld files", number(i, "queue_files"));
	}
	print_folded("  queue", &b);
	mqw_buffer_printf(&b, "%lld open, %lld recipients in trouble", number(i, "open"),
		number(i, "trouble"));
	if (number(i, "not_followed"))
		mqw_buffer_printf(&b, "; %lld more are not followed: too many at one time",
			number(i, "not_followed"));
	if (number(i, "recipients_ignored"))
		mqw_buffer_printf(&b,
			"; %lld tries for recipients beyond the number that is followed were not "
			"looked at",
			number(i, "recipients_ignored"));
	print_folded("  messages", &b);
	print_totals(&b, json_object_get(i, "totals"));
	mqw_buffer_done(&b);
}

static void print_action(const json_t *a)
{
	struct mqw_buffer b = {0};

	add(&b, "  ", a, "intended", "");
	add(&b, "  ", a, "kind", "");
	add(&b, " ", a, "state", "");
	if (has_text(a, "queue_id"))
		add(&b, "  ", a, "queue_id", "");
	mqw_buffer_add_str(&b, "\n");
	fputs(mqw_buffer_str(&b), stdout);
	mqw_buffer_done(&b);
	print_key("    for", a, "instance");
	print_key("    rule", a, "rule");
	print_key("    to", a, "recipients");
	print_key("    detail", a, "detail");
}

static void print_actions(const json_t *actions)
{
	if (json_array_size(actions) == 0)
		return;
	puts("\nactions, newest first");
	for (size_t i = 0; i < json_array_size(actions); i++)
		print_action(json_array_get(actions, i));
}

static void print_alert(const json_t *a)
{
	struct mqw_buffer b = {0};

	add(&b, "  to ", a, "channel", "");
	add(&b, ": ", a, "state", "");
	mqw_buffer_printf(&b, ", %lld finding(s)", number(a, "findings"));
	add(&b, " since ", a, "since", "");
	add(&b, ", due ", a, "due", "\n");
	fputs(mqw_buffer_str(&b), stdout);
	mqw_buffer_clear(&b);
	print_key("    for", a, "instance");
	print_key("    rule", a, "rule");
	if (number(a, "attempts") > 0) {
		mqw_buffer_printf(&b, "%lld failed: ", number(a, "attempts"));
		add(&b, "", a, "detail", "");
		print_folded("    tries", &b);
	}
	mqw_buffer_done(&b);
}

static void print_alerts(const json_t *alerts)
{
	if (json_array_size(alerts) == 0)
		return;
	puts("\nalerts to be sent, the next one first");
	for (size_t i = 0; i < json_array_size(alerts); i++)
		print_alert(json_array_get(alerts, i));
}

static void print_head(const json_t *m)
{
	struct mqw_buffer b = {0};

	add(&b, "", m, "verdict", "");
	add(&b, " (", m, "confidence", ")  ");
	if (has_text(m, "recipient"))
		add(&b, "<", m, "recipient", ">\n");
	else
		mqw_buffer_add_str(&b, "all recipients (their addresses were not logged)\n");
	fputs(mqw_buffer_str(&b), stdout);
	mqw_buffer_done(&b);
}

static void print_last_try(const json_t *m)
{
	struct mqw_buffer b = {0};

	if (number(m, "attempts") == 0)
		return;
	add(&b, "", m, "last_seen", "");
	mqw_buffer_printf(&b, ", attempt %lld", number(m, "attempts"));
	if (has_text(m, "relay"))
		add(&b, " at ", m, "relay", "");
	print_folded("  last seen", &b);
	mqw_buffer_done(&b);
}

static void print_message(const json_t *m)
{
	struct mqw_buffer b = {0};

	print_head(m);
	add(&b, "", m, "queue_id", "");
	/* The empty address is the sender of reports. */
	if (json_is_string(json_object_get(m, "sender")))
		add(&b, " from <", m, "sender", ">");
	add(&b, ", ", m, "instance", "");
	print_folded("  message", &b);
	mqw_buffer_done(&b);
	print_key("  Msg-ID", m, "message_id");
	print_key("  report", m, "ndr_id");
	print_last_try(m);
	print_key("  answer", m, "reply");
	print_key("  why", m, "reason");
	print_key("  do", m, "remedy");
	putchar('\n');
}

static void print_messages(const json_t *messages)
{
	for (size_t i = 0; i < json_array_size(messages); i++)
		print_message(json_array_get(messages, i));
}

/* The exit status, once all is really written. */
static int finish(json_t *answer, int status)
{
	json_decref(answer);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fputs("mailq-watchdog: the output could not be written\n", stderr);
	return 2;
}

static const char common_help[] = "  --json         the daemon's answer as it is\n"
				  "  --socket PATH  of the daemon (" MQW_CONTROL_SOCKET ")\n"
				  "  --help         this text\n";

/* What an administrator shall not have to look for. */
static void print_complaints(const json_t *answer)
{
	const json_t *helper = json_object_get(answer, "helper");
	long long refused = number(helper, "refused");

	if (json_is_true(json_object_get(answer, "config_faulty")))
		puts("the configuration is faulty: the one before it is in force (journal: where)");
	if (refused)
		printf("the helper refused %lld of %lld requests (journal: which)\n", refused,
			number(helper, "asked"));
}

int mqw_cli_status(int argc, char **argv)
{
	struct ask ask;
	int first = read_options(&ask, argc, argv);
	json_t *answer, *instances;
	struct mqw_buffer head = {0};

	if (first < 0 || ask.help || first < argc || chooses(&ask)) {
		fprintf(ask.help ? stdout : stderr,
			"usage: mailq-watchdog status [OPTION...]\n\n%s", common_help);
		return ask.help ? 0 : 2;
	}
	answer = mqw_client_get(ask.socket, "/v1/status");
	if (!answer)
		return 2;
	if (ask.json) {
		print_raw(answer);
	} else {
		add(&head, "mailq-watchdogd ", answer, "version", "");
		add(&head, ", mode ", answer, "mode", "");
		add(&head, ", since ", answer, "started", "");
		puts(mqw_buffer_str(&head));
		mqw_buffer_done(&head);
		print_complaints(answer);
		instances = json_object_get(answer, "instances");
		for (size_t i = 0; i < json_array_size(instances); i++)
			print_instance(json_array_get(instances, i));
		print_alerts(json_object_get(answer, "alerts"));
		print_actions(json_object_get(answer, "actions"));
	}
	return finish(answer, 0);
}

static void add_parameter(struct mqw_buffer *b, const char *name, const char *value)
{
	bool first = mqw_slice_chr(mqw_buffer_slice(b), '?') == b->len;

	if (!value)
		return;
	mqw_buffer_printf(b, "%c%s=", first ? '?' : '&', name);
	mqw_client_add_escaped(b, value);
}

int mqw_cli_list(int argc, char **argv)
{
	struct mqw_buffer path = {0};
	struct ask ask;
	int first = read_options(&ask, argc, argv);
	json_t *answer, *messages;

	if (first < 0 || ask.help || first < argc) {
		fprintf(ask.help ? stdout : stderr,
			"usage: mailq-watchdog list [OPTION...]\n\n"
			"Lists recipients in trouble. Exit status 1 when there are any.\n\n"
			"  --verdict WORD of this verdict only; any: all that are followed\n"
			"  --instance NAME\n"
			"  --limit N\n%s",
			common_help);
		return ask.help ? 0 : 2;
	}
	mqw_buffer_add_str(&path, "/v1/messages");
	add_parameter(&path, "verdict", ask.verdict);
	add_parameter(&path, "instance", ask.instance);
	add_parameter(&path, "limit", ask.limit);
	answer = mqw_client_get(ask.socket, mqw_buffer_str(&path));
	mqw_buffer_done(&path);
	if (!answer)
		return 2;
	messages = json_object_get(answer, "messages");
	if (!json_is_array(messages)) {
		fputs("mailq-watchdog: the daemon's answer has no messages\n", stderr);
		json_decref(answer);
		return 2;
	}
	if (ask.json)
		print_raw(answer);
	else if (json_array_size(messages) == 0)
		puts(ask.verdict ? "none" : "nothing in trouble");
	else
		print_messages(messages);
	return finish(answer, any_trouble(messages) ? 1 : 0);
}

int mqw_cli_show(int argc, char **argv)
{
	struct mqw_buffer path = {0};
	struct ask ask;
	int first = read_options(&ask, argc, argv);
	json_t *answer;

	if (first < 0 || ask.help || first + 1 != argc || !*argv[first] || chooses(&ask)) {
		fprintf(ask.help ? stdout : stderr,
			"usage: mailq-watchdog show [OPTION...] QUEUE-ID\n\n%s", common_help);
		return ask.help ? 0 : 2;
	}
	mqw_buffer_add_str(&path, "/v1/messages/");
	mqw_client_add_escaped(&path, argv[first]);
	answer = mqw_client_get(ask.socket, mqw_buffer_str(&path));
	mqw_buffer_done(&path);
	if (!answer)
		return 2;
	if (ask.json) {
		print_raw(answer);
	} else {
		print_messages(json_object_get(answer, "messages"));
		print_actions(json_object_get(answer, "actions"));
	}
	return finish(answer, 0);
}
