/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "watchdogd/cli/commands.h"

static int run_config(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "check"))
		return mqw_cli_config_check(argc - 1, argv + 1);
	fputs("usage: mailq-watchdog config check [FILE]\n", stderr);
	return 2;
}

static int run_alert(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "test"))
		return mqw_cli_alert_test(argc - 1, argv + 1);
	fputs("usage: mailq-watchdog alert test [OPTION...] NAME\n", stderr);
	return 2;
}

static int run_vault(int argc, char **argv)
{
	if (argc >= 2)
		return mqw_cli_vault(argc - 1, argv + 1);
	fputs("usage: mailq-watchdog vault list|show|export [OPTION...] [QUEUE-ID]\n", stderr);
	return 2;
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *purpose;
} commands[] = {
	{"scan", mqw_cli_scan, "read logs and print each recipient in trouble"},
	{"trace", mqw_cli_trace, "print the life of one message as a timeline"},
	{"status", mqw_cli_status, "what the running daemon watches and did"},
	{"list", mqw_cli_list, "recipients that the daemon sees in trouble"},
	{"show", mqw_cli_show, "one message as the daemon sees it"},
	{"recover", mqw_cli_act, "mail a lost message again, to the lost recipients only"},
	{"requeue", mqw_cli_act, "have one message tried now"},
	{"restart", mqw_cli_act, "restart the service of an instance"},
	{"ack", mqw_cli_act, "take note of a message in trouble: say no more of it"},
	{"vault", run_vault, "list, show, export: copies of messages that are kept"},
	{"alert", run_alert, "test: send a real alert and say what became of it"},
	{"config", run_config, "check: all faults of a configuration at once"},
};

static void print_usage(FILE *to)
{
	fputs("usage: mailq-watchdog COMMAND [OPTION...] [ARGUMENT...]\n\ncommands:\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].purpose);
	fputs("\n`mailq-watchdog COMMAND --help` lists the options of a command.\n", to);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_usage(stdout);
		return 0;
	}
	if (argc >= 2 && !strcmp(argv[1], "--version")) {
		puts("mailq-watchdog " MQW_VERSION);
		return 0;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	if (argc >= 2)
		fprintf(stderr, "mailq-watchdog: no command '%s'\n", argv[1]);
	print_usage(stderr);
	return 2;
}
