/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mailq-watchdog-manage: the commands of mailq-watchdog that ask the daemon, read its configuration, send
 * something or read the journal. mailq-watchdog runs it with its own arguments; nobody calls it by this name.
 */
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

/* What they are for is in main.c, where all commands are listed. */
static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"scan", mqw_cli_scan},
	{"trace", mqw_cli_trace},
	{"status", mqw_cli_status},
	{"list", mqw_cli_list},
	{"show", mqw_cli_show},
	{"recover", mqw_cli_act},
	{"requeue", mqw_cli_act},
	{"restart", mqw_cli_act},
	{"ack", mqw_cli_act},
	{"vault", run_vault},
	{"alert", run_alert},
	{"config", run_config},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fputs("mailq-watchdog-manage: a part of mailq-watchdog, see `mailq-watchdog --help`\n",
		stderr);
	return 2;
}
