/* SPDX-License-Identifier: GPL-2.0-or-later */
/* recover, requeue, restart, ack: asked of the running daemon, and waited for. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "watchdogd/base/json_text.h"
#include "watchdogd/cli/client.h"
#include "watchdogd/cli/commands.h"
#include "watchdogd/config/config.h"

#define LOOKS 240
#define PAUSE_NS 500000000L

struct ask {
	const char *what, *name; /* a queue id, or of restart an instance */
	const char *socket, *instance;
	bool dry, json, help;
};

static const struct {
	const char *name, *argument, *purpose;
} words[] = {
	{"recover", "QUEUE-ID",
		"Mails the copy of a lost message again, to the lost recipients only."},
	{"requeue", "QUEUE-ID", "Has the MTA try one message now."},
	{"restart", "INSTANCE",
		"Restarts the service of an instance and looks whether it is healthy."},
	{"ack", "QUEUE-ID",
		"Takes note of what is wrong with a message: no rule acts on it and `list` does\n"
		"not show it until something else is wrong with it. The copy of a message that\n"
		"is not in the queue any more is removed."},
};

static void print_usage(const char *what, FILE *to)
{
	size_t i = 0;

	while (i + 1 < sizeof(words) / sizeof(words[0]) && strcmp(words[i].name, what) != 0)
		i++;
	fprintf(to,
		"usage: mailq-watchdog %s [OPTION...] %s\n\n%s\n\n"
		"  --dry-run        say what would be done, and do nothing\n%s"
		"  --json           the daemon's answers as they are\n"
		"  --socket PATH    of the daemon (" MQW_CONTROL_SOCKET ")\n"
		"  --help           this text\n\n"
		"Exit status: 0 done, or would be; 1 not done; 2 usage, or the daemon cannot be\n"
		"asked.\n",
		words[i].name, words[i].argument, words[i].purpose,
		strcmp(what, "restart") != 0
			? "  --instance NAME  where several have a message of this id\n"
			: "");
}

static bool read_options(struct ask *a, int argc, char **argv)
{
	static const struct option options[] = {{"dry-run", no_argument, NULL, 'n'},
		{"json", no_argument, NULL, 'j'}, {"socket", required_argument, NULL, 's'},
		{"instance", required_argument, NULL, 'i'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	int c;

	*a = (struct ask){.what = argv[0], .socket = MQW_CONTROL_SOCKET};
	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			a->dry = true;
		else if (c == 'j')
			a->json = true;
		else if (c == 's')
			a->socket = optarg;
		else if (c == 'i')
			a->instance = optarg;
		else if (c == 'h')
			a->help = true;
		else
			return false;
	}
	if (a->help)
		return true;
	if (optind + 1 != argc || !*argv[optind] || (a->instance && !strcmp(a->what, "restart")))
		return false;
	a->name = argv[optind];
	return true;
}

static json_t *post(const struct ask *a)
{
	struct mqw_buffer path = {0};
	json_t *answer;

	mqw_buffer_add_str(&path, !strcmp(a->what, "restart") ? "/v1/instances/" : "/v1/messages/");
	mqw_client_add_escaped(&path, a->name);
	mqw_buffer_printf(&path, "/%s%s", a->what, a->dry ? "?dry_run=1" : "");
	if (a->instance) {
		mqw_buffer_add_str(&path, a->dry ? "&instance=" : "?instance=");
		mqw_client_add_escaped(&path, a->instance);
	}
	answer = mqw_client_post(a->socket, mqw_buffer_str(&path));
	mqw_buffer_done(&path);
	return answer;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static void print_line(const char *before, const char *text)
{
	struct mqw_buffer b = {0};

	mqw_buffer_add_str(&b, before);
	mqw_buffer_add_printable(&b, mqw_slice_of(text));
	puts(mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

static void print_raw(const json_t *o)
{
	struct mqw_buffer b = {0};

	mqw_json_add(&b, o);
	puts(mqw_buffer_str(&b));
	mqw_buffer_done(&b);
}

static void print_answer(const struct ask *a, const json_t *answer)
{
	const json_t *recipients = json_object_get(answer, "recipients");
	struct mqw_buffer head = {0};

	if (a->json) {
		print_raw(answer);
		return;
	}
	mqw_buffer_printf(&head, "%s %s: ", a->what,
		!strcmp(text_of(answer, "result"), "refused") ? "not done"
			: a->dry                              ? "(dry run)"
							      : "asked for");
	if (!strcmp(text_of(answer, "result"), "done"))
		print_line("", text_of(answer, "text"));
	else
		print_line(mqw_buffer_str(&head), text_of(answer, "text"));
	mqw_buffer_done(&head);
	for (size_t i = 0; i < json_array_size(recipients); i++)
		print_line("  to     ", json_string_value(json_array_get(recipients, i)));
	if (json_object_get(answer, "how")) {
		print_line("  how    ", text_of(answer, "how"));
		print_line("  loses  ", text_of(answer, "loses"));
	}
	fflush(stdout);
}

/* The record of an action once it has its result; NULL when it cannot be asked for. */
static json_t *wait_for(const struct ask *a, json_int_t action)
{
	const struct timespec pause = {0, PAUSE_NS};
	struct mqw_buffer path = {0};
	json_t *record = NULL;

	mqw_buffer_printf(&path, "/v1/actions/%lld", (long long)action);
	for (int i = 0; i < LOOKS; i++) {
		json_decref(record);
		record = mqw_client_get(a->socket, mqw_buffer_str(&path));
		if (!record || strcmp(text_of(record, "state"), "intent") != 0)
			break;
		nanosleep(&pause, NULL);
	}
	mqw_buffer_done(&path);
	return record;
}

static int conclude(const struct ask *a, json_int_t action)
{
	json_t *record = wait_for(a, action);
	bool done = record && !strcmp(text_of(record, "state"), "done");
	struct mqw_buffer b = {0};

	if (!record)
		return 2;
	if (a->json) {
		print_raw(record);
	} else {
		if (!strcmp(text_of(record, "state"), "intent"))
			mqw_buffer_printf(
				&b, "still under way (`mailq-watchdog show %s`)", a->name);
		else
			mqw_buffer_printf(&b, "%s %s: ", a->what, text_of(record, "state"));
		print_line(mqw_buffer_str(&b), text_of(record, "detail"));
		mqw_buffer_done(&b);
	}
	json_decref(record);
	return done ? 0 : 1;
}

int mqw_cli_act(int argc, char **argv)
{
	const json_t *action;
	json_t *answer;
	struct ask a;
	int status;

	if (!read_options(&a, argc, argv) || a.help) {
		print_usage(argv[0], a.help ? stdout : stderr);
		return a.help ? 0 : 2;
	}
	answer = post(&a);
	if (!answer)
		return 2;
	print_answer(&a, answer);
	action = json_object_get(answer, "action");
	status = strcmp(text_of(answer, "result"), "refused") == 0 ? 1 : 0;
	if (json_is_integer(action))
		status = conclude(&a, json_integer_value(action));
	json_decref(answer);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fputs("mailq-watchdog: the output could not be written\n", stderr);
		return 2;
	}
	return status;
}
