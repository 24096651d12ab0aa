/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alert test: sends a real alert by itself, whether the daemon runs or not, as the daemon would:
 * started by root it becomes the daemon's user, so that a password file or a program that user
 * cannot use shows here and not in the night.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "probes/check.h"
#include "rules/rules.h"
#include "watchdogd/act/alert.h"
#include "watchdogd/act/alerts/outbox.h"
#include "watchdogd/cli/commands.h"
#include "watchdogd/daemon/privileges.h"

struct test {
	const char *config, *user, *name;
	bool dry, help;
};

static const char usage[] =
	"usage: mailq-watchdog alert test [OPTION...] NAME\n\n"
	"Sends a test over the channel NAME of the configuration and says what the far side\n"
	"answered. Needs no daemon. As root it becomes the daemon's user first.\n\n"
	"  --dry-run      print what would be sent, and send nothing\n"
	"  --config PATH  (" MQW_CONFIG_PATH ")\n"
	"  --user NAME    whom root becomes (mailq-watchdog)\n"
	"  --help         this text\n\n"
	"Exit status: 0 accepted, 1 not accepted, 2 usage or a faulty configuration.\n";

static bool read_options(struct test *t, int argc, char **argv)
{
	static const struct option options[] = {{"dry-run", no_argument, NULL, 'n'},
		{"config", required_argument, NULL, 'c'}, {"user", required_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int c;

	*t = (struct test){.config = MQW_CONFIG_PATH, .user = "mailq-watchdog"};
	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			t->dry = true;
		else if (c == 'c')
			t->config = optarg;
		else if (c == 'u')
			t->user = optarg;
		else if (c == 'h')
			t->help = true;
		else
			return false;
	}
	if (optind + 1 == argc)
		t->name = argv[optind];
	return t->help || t->name;
}

static struct mqw_config *load(const char *path)
{
	struct mqw_config *c = NULL;
	struct mqw_rules *r = NULL;
	struct mqw_diag d = {0};
	int err = mqw_rules_load_file(path, mqw_probes_check, &c, &r, &d);

	fputs(mqw_buffer_str(&d.text), stderr);
	if (err < 0 && d.count == 0)
		fprintf(stderr, "mailq-watchdog: %s: %s\n", path, strerror(-err));
	mqw_diag_done(&d);
	mqw_rules_free(r);
	return c;
}

static void list_names(const struct mqw_config *c, const char *name)
{
	struct mqw_buffer b = {0};

	mqw_buffer_add_printable(&b, mqw_slice_of(name));
	fprintf(stderr, "mailq-watchdog: no alert '%s' in %s; it has: journal", mqw_buffer_str(&b),
		c->path);
	for (size_t i = 0; i < c->alert_count; i++)
		fprintf(stderr, ", %s", c->alerts[i].name);
	fputc('\n', stderr);
	mqw_buffer_done(&b);
}

static int test_journal(const char *name, bool dry)
{
	if (!dry)
		mqw_alert_say(MQW_ALERT_RULE, LOG_NOTICE, NULL,
			"test of the alert \"%s\", asked for by hand: nothing is wrong", name);
	printf("%s to the journal, where every alert goes: journalctl -t mailq-watchdogd\n",
		dry ? "would be said" : "said");
	return 0;
}

/* So that the daemon knows the mail as its own, where it passes through a watched MTA. */
static void note(const struct mqw_config *c, const char *name, const char *token, int64_t now)
{
	struct mqw_buffer path = {0};
	struct mqw_ledger *l = NULL;
	char *error = NULL;
	int r;

	mqw_buffer_printf(&path, "%s/ledger.db", c->state_directory);
	/* Without a ledger no daemon has run; one that is made here might not be the daemon's. */
	if (!path.failed && (access(path.ptr, F_OK) == 0 || errno != ENOENT)) {
		r = mqw_ledger_open(path.ptr, &l, &error);
		if (r == 0)
			r = mqw_outbox_note_test(l, name, token, now);
		if (r < 0)
			printf("note: %s; the daemon will judge this mail as any other\n",
				error                            ? error
					: mqw_ledger_error(l)[0] ? mqw_ledger_error(l)
								 : strerror(-r));
	}
	mqw_ledger_close(l);
	free(error);
	mqw_buffer_done(&path);
}

static void become(const char *user)
{
	int r = mqw_privileges_drop(user);

	if (r < 0)
		printf("note: cannot become user '%s' (%s): tested as root, who may do more than "
		       "the daemon\n",
			user, strerror(-r));
}

static int send_test(const struct mqw_config *c, const struct mqw_alert_config *a,
	const char *token, const json_t *notice, int64_t now)
{
	struct mqw_delivery d;
	struct mqw_slice host = mqw_alert_host(a);

	if (a->channel == MQW_CHANNEL_EMAIL)
		note(c, a->name, token, now);
	if (a->via && mqw_alert_is_own_host(a))
		printf("warning: the relay %.*s is this host: when its mail service is the "
		       "patient, the alert waits in the same queue\n",
			(int)host.len, host.ptr);
	fflush(stdout);
	mqw_deliver(a, notice, &d);
	printf("%s %s\n%s: %s\n", mqw_channel_name(a->channel),
		a->via               ? a->via
			: a->webhook ? a->webhook
				     : a->command[0],
		d.accepted ? "accepted" : "not accepted", d.text);
	return d.accepted ? 0 : 1;
}

static int test_alert(const struct mqw_config *c, const struct mqw_alert_config *a, bool dry)
{
	char token[MQW_NOTICE_TOKEN_LEN + 1], host[MQW_NOTICE_HOST_MAX + 1];
	int64_t now = mqw_clock_now();
	struct mqw_buffer shown = {0};
	json_t *notice = NULL;
	int status = 2;

	mqw_notice_host(host);
	if (mqw_notice_token(token))
		notice = mqw_notice_test_json(token, host, a->name, now);
	if (!notice) {
		fputs("mailq-watchdog: out of memory\n", stderr);
	} else if (dry) {
		mqw_deliver_show(&shown, a, notice);
		fputs(mqw_buffer_str(&shown), stdout);
		status = 0;
	} else {
		status = send_test(c, a, token, notice, now);
	}
	mqw_buffer_done(&shown);
	json_decref(notice);
	return status;
}

int mqw_cli_alert_test(int argc, char **argv)
{
	const struct mqw_alert_config *a;
	struct mqw_config *c;
	struct test t;
	int status;

	if (!read_options(&t, argc, argv) || t.help) {
		fputs(usage, t.help ? stdout : stderr);
		return t.help ? 0 : 2;
	}
	c = load(t.config);
	if (!c)
		return 2;
	a = mqw_config_alert(c, mqw_slice_of(t.name));
	if (!a && strcmp(t.name, "journal") != 0) {
		list_names(c, t.name);
		mqw_config_free(c);
		return 2;
	}
	if (!t.dry)
		become(t.user);
	status = a && a->channel != MQW_CHANNEL_JOURNAL ? test_alert(c, a, t.dry)
							: test_journal(t.name, t.dry);
	mqw_config_free(c);
	if (fflush(stdout) != 0) {
		fputs("mailq-watchdog: the output could not be written\n", stderr);
		status = 2;
	}
	return status;
}
