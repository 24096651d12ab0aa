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

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static void print_field(const char *before, const json_t *o, const char *key, const char *after)
{
	struct mqw_buffer b = {0};

	mqw_buffer_add_printable(&b, mqw_slice_of(text(o, key)));
	printf("%s%s%s", before, mqw_buffer_str(&b), after);
	mqw_buffer_done(&b);
}

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void print_raw(const json_t *o)
{
	struct mqw_buffer b = {0};

	mqw_json_add(&b, o);
	puts(mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

static void print_instance(const json_t *i)
{
	print_field("\n", i, "name", "");
	print_field(" (", i, "mta", ")\n");
	print_field("  log      ", i, "log", "");
	printf(": %lld lines, %lld not understood%s\n", number(i, "lines"), number(i, "unparsed"),
		json_is_true(json_object_get(i, "caught_up")) ? "" : "; still reading");
	print_field("           last line ", i, "last_line", "\n");
	print_field("  queue    ", i, "queue", "");
	printf(": %lld files\n", number(i, "queue_files"));
	printf("  messages %lld open, %lld recipients in trouble\n", number(i, "open"),
		number(i, "trouble"));
}

static void print_action(const json_t *a)
{
	print_field("  ", a, "intended", "");
	print_field("  ", a, "kind", "");
	print_field(" ", a, "state", "");
	if (strcmp(text(a, "queue_id"), "") != 0)
		print_field("  ", a, "queue_id", "");
	print_field("  rule \"", a, "rule", "\"\n");
	if (strcmp(text(a, "detail"), "") != 0)
		print_field("      ", a, "detail", "\n");
}

static void print_actions(const json_t *actions)
{
	size_t i;
	json_t *a;

	if (json_array_size(actions) == 0)
		return;
	puts("\nactions, newest first");
	json_array_foreach(actions, i, a) print_action(a);
}

static void print_message(const json_t *m)
{
	print_field("", m, "verdict", "");
	print_field(" (", m, "confidence", ")");
	print_field("  <", m, "recipient", ">\n");
	print_field("  message  ", m, "queue_id", "");
	print_field(" from <", m, "sender", ">");
	print_field(", ", m, "instance", "\n");
	if (json_is_string(json_object_get(m, "message_id")))
		print_field("           Message-ID <", m, "message_id", ">\n");
	print_field("  last seen ", m, "last_seen", "");
	printf(", attempt %lld\n", number(m, "attempts"));
	if (json_is_string(json_object_get(m, "reply")))
		print_field("  answer   ", m, "reply", "\n");
	print_field("  why      ", m, "reason", "\n");
	if (json_is_string(json_object_get(m, "remedy")))
		print_field("  do       ", m, "remedy", "\n");
	putchar('\n');
}

static void print_messages(const json_t *messages)
{
	size_t i;
	json_t *m;

	json_array_foreach(messages, i, m) print_message(m);
}

static bool any_in_trouble(const json_t *messages)
{
	size_t i;
	json_t *m;

	json_array_foreach(messages, i, m) if (mqw_verdict_is_trouble(
						       mqw_verdict_from_name(mqw_slice_of(
							       text(m, "verdict"))))) return true;
	return false;
}

static const char common_help[] = "  --json         the daemon's answer as it is\n"
				  "  --socket PATH  of the daemon (" MQW_CONTROL_SOCKET ")\n"
				  "  --help         this text\n";

int mqw_cli_status(int argc, char **argv)
{
	struct ask ask;
	int first = read_options(&ask, argc, argv);
	json_t *answer, *i;
	size_t n;

	if (first < 0 || ask.help || first < argc) {
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
		print_field("mailq-watchdogd ", answer, "version", "");
		print_field(", mode ", answer, "mode", "");
		print_field(", since ", answer, "started", "\n");
		json_array_foreach(json_object_get(answer, "instances"), n, i) print_instance(i);
		print_actions(json_object_get(answer, "actions"));
	}
	json_decref(answer);
	return 0;
}

/* Adds a value as it may stand in a URL (RFC 3986 section 2.3). */
static void add_escaped(struct mqw_buffer *b, const char *value)
{
	for (const char *p = value; *p; p++) {
		bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
			(*p >= 'A' && *p <= 'Z') || strchr("-_.~", *p);

		if (plain)
			mqw_buffer_add(b, mqw_slice(p, 1));
		else
			mqw_buffer_printf(b, "%%%02X", (unsigned char)*p);
	}
}

static void add_parameter(struct mqw_buffer *b, const char *name, const char *value)
{
	if (!value)
		return;
	mqw_buffer_printf(b, "&%s=", name);
	add_escaped(b, value);
}

int mqw_cli_list(int argc, char **argv)
{
	struct mqw_buffer path = {0};
	struct ask ask;
	int first = read_options(&ask, argc, argv), status = 2;
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
	mqw_buffer_add_str(&path, "/v1/messages?");
	add_parameter(&path, "verdict", ask.verdict);
	add_parameter(&path, "instance", ask.instance);
	add_parameter(&path, "limit", ask.limit);
	answer = mqw_client_get(ask.socket, mqw_buffer_str(&path));
	if (answer) {
		messages = json_object_get(answer, "messages");
		if (ask.json)
			print_raw(answer);
		else
			print_messages(messages);
		if (!ask.json && json_array_size(messages) == 0)
			puts("nothing");
		status = any_in_trouble(messages) ? 1 : 0;
	}
	json_decref(answer);
	mqw_buffer_done(&path);
	return status;
}

int mqw_cli_show(int argc, char **argv)
{
	struct mqw_buffer path = {0};
	struct ask ask;
	int first = read_options(&ask, argc, argv);
	json_t *answer;

	if (first < 0 || ask.help || first + 1 != argc) {
		fprintf(ask.help ? stdout : stderr,
			"usage: mailq-watchdog show [OPTION...] QUEUE-ID\n\n%s", common_help);
		return ask.help ? 0 : 2;
	}
	mqw_buffer_add_str(&path, "/v1/messages/");
	add_escaped(&path, argv[first]);
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
	json_decref(answer);
	return 0;
}
