/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What reads log files is done here. What asks the daemon, reads its configuration, sends an alert or reads
 * the journal needs libraries, libcurl above all, that take longer to load than most scans: it is a program
 * of its own, which knows the commands of this one, too.
 */
#define _GNU_SOURCE /* memrchr */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "probes/source/fileset.h"
#include "watchdogd/cli/commands.h"

#define MANAGE "mailq-watchdog-manage"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv); /* NULL: the other program alone does it, manage.c */
	const char *purpose;
} commands[] = {
	{"scan", mqw_cli_scan, "read logs and print each recipient in trouble"},
	{"trace", mqw_cli_trace, "print the life of one message as a timeline"},
	{"status", NULL, "what the running daemon watches and did"},
	{"list", NULL, "recipients that the daemon sees in trouble"},
	{"show", NULL, "one message as the daemon sees it"},
	{"recover", NULL, "mail a lost message again, to the lost recipients only"},
	{"requeue", NULL, "have one message tried now"},
	{"restart", NULL, "restart the service of an instance"},
	{"ack", NULL, "take note of a message in trouble: say no more of it"},
	{"vault", NULL, "list, show, export: copies of messages that are kept"},
	{"alert", NULL, "test: send a real alert and say what became of it"},
	{"config", NULL, "check: all faults of a configuration at once"},
};

static void print_usage(FILE *to)
{
	fputs("usage: mailq-watchdog COMMAND [OPTION...] [ARGUMENT...]\n\ncommands:\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].purpose);
	fputs("\n`mailq-watchdog COMMAND --help` lists the options of a command.\n", to);
}

/*
 * Becomes the program that does the rest: the one beside this one, as in a folder that was built and not
 * installed, or else the installed one. Returns only when there is none.
 */
static int run_manage(char **argv)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path));
	char *name = len > 0 ? memrchr(path, '/', (size_t)len) : NULL;

	if (name && (size_t)(name + 1 - path) + sizeof(MANAGE) <= sizeof(path)) {
		memcpy(name + 1, MANAGE, sizeof(MANAGE));
		execv(path, argv);
	}
	execv(MQW_LIBEXEC "/" MANAGE, argv);
	fprintf(stderr,
		"mailq-watchdog: '%s' is done by " MQW_LIBEXEC "/" MANAGE
		", which cannot be run: %s\n",
		argv[1], strerror(errno));
	return 2;
}

/* Or a word that is called like it: the other program does the same with it. */
static bool names_journal(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (mqw_fileset_is_journal(argv[i]))
			return true;
	return false;
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
			return commands[i].run && !names_journal(argc, argv)
				? commands[i].run(argc - 1, argv + 1)
				: run_manage(argv);
	if (argc >= 2)
		fprintf(stderr, "mailq-watchdog: no command '%s'\n", argv[1]);
	print_usage(stderr);
	return 2;
}
