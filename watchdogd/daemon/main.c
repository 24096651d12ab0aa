/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mailq-watchdogd: the daemon, unprivileged. See packaging/systemd for how it is started. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watchdogd/config/config.h"
#include "watchdogd/daemon/engine.h"
#include "watchdogd/daemon/privileges.h"

static const char usage[] =
	"usage: mailq-watchdogd [OPTION...]\n\n"
	"Watches mail queues and logs for messages that are lost, and acts by rules. Runs in the\n"
	"foreground; SIGHUP reads the rules again, SIGTERM ends it.\n\n"
	"  --config PATH  configuration (" MQW_CONFIG_PATH ")\n"
	"  --user NAME    whom to become when started by root (mailq-watchdog)\n"
	"  --syscall-filter on|off|strict\n"
	"                 give up the system calls that it does not need (on); strict: end on "
	"them\n"
	"  --version, --help\n";

int main(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"user", required_argument, NULL, 'u'},
		{"syscall-filter", required_argument, NULL, 'f'},
		{"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	const char *config = MQW_CONFIG_PATH, *user = "mailq-watchdog";
	enum mqw_filter filter = MQW_FILTER_ON;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c') {
			config = optarg;
		} else if (c == 'u') {
			user = optarg;
		} else if (c == 'f') {
			filter = mqw_filter_from_name(optarg);
		} else if (c == 'V') {
			puts("mailq-watchdogd " MQW_VERSION);
			return 0;
		} else {
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (optind < argc || filter == MQW_FILTER_COUNT) {
		fputs(usage, stderr);
		return 2;
	}
	r = mqw_privileges_drop(user);
	if (r < 0) {
		fprintf(stderr,
			"mailq-watchdogd: it does not run as root, and cannot become user '%s': "
			"%s\n",
			user, strerror(-r));
		return 1;
	}
	return mqw_engine_run(config, filter);
}
