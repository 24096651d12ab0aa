/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mailq-watchdog-helper: the part that runs as root. See packaging/systemd for how it is started. */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "watchdogd/config/config.h"
#include "watchdogd/helper/serve.h"

#define DEFAULT_USER "mailq-watchdog"

static const char usage[] =
	"usage: mailq-watchdog-helper [OPTION...]\n\n"
	"Serves one request of mailq-watchdogd on the connection that systemd hands over\n"
	"(Accept=yes), or on the standard input.\n\n"
	"  --config PATH      configuration, owned by root (" MQW_CONFIG_PATH ")\n"
	"  --allow-user NAME  who may ask, besides root (" DEFAULT_USER ")\n"
	"  --syscall-filter on|off|strict\n"
	"                     give up the system calls that no operation needs (on); strict: end\n"
	"                     on them\n"
	"  --listen PATH      make a socket and serve all connections to it, in the foreground\n"
	"  --version, --help\n";

struct options {
	const char *config, *user, *listen;
	enum mqw_filter filter;
};

/* 1 to go on, or the exit status that is due at once. */
static int options_take(int argc, char **argv, struct options *ret)
{
	static const struct option list[] = {{"config", required_argument, NULL, 'c'},
		{"allow-user", required_argument, NULL, 'u'},
		{"listen", required_argument, NULL, 'l'},
		{"syscall-filter", required_argument, NULL, 'f'},
		{"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", list, NULL)) != -1)
		switch (c) {
		case 'c':
			ret->config = optarg;
			break;
		case 'u':
			ret->user = optarg;
			break;
		case 'l':
			ret->listen = optarg;
			break;
		case 'f':
			ret->filter = mqw_filter_from_name(optarg);
			break;
		case 'V':
			puts("mailq-watchdog-helper " MQW_VERSION);
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			return 2;
		}
	if (optind < argc || ret->filter == MQW_FILTER_COUNT) {
		fputs(usage, stderr);
		return 2;
	}
	return 1;
}

/* The one connection, or -1. */
static int find_connection(void)
{
	int n = sd_listen_fds(1), fd = n == 1 ? SD_LISTEN_FDS_START : 0;

	if (n > 1 || sd_is_socket(fd, AF_UNIX, SOCK_SEQPACKET, 0) <= 0)
		return -1;
	return fd;
}

int main(int argc, char **argv)
{
	struct options o = {.config = MQW_CONFIG_PATH, .filter = MQW_FILTER_ON};
	struct mqw_helper h = {
		.allowed_user = (uid_t)-1, .receive_timeout = MQW_HELPER_RECEIVE_TIMEOUT};
	const struct passwd *pw;
	int r = options_take(argc, argv, &o), fd;

	if (r != 1)
		return r;
	errno = 0;
	pw = getpwnam(o.user ? o.user : DEFAULT_USER);
	if (!pw && o.user) {
		fprintf(stderr, SD_ERR "--allow-user %s: %s\n", o.user,
			errno ? strerror(errno) : "no such user");
		return 2;
	}
	if (pw)
		h.allowed_user = pw->pw_uid;
	else
		fprintf(stderr, SD_WARNING "no user " DEFAULT_USER ": only root may ask\n");
	h.policy = (struct mqw_helper_policy){o.config, h.allowed_user, o.filter};
	if (o.listen) {
		r = mqw_helper_listen(&h, o.listen, pw ? pw->pw_gid : (gid_t)-1);
		fprintf(stderr, SD_ERR "%s: %s\n", o.listen, strerror(-r));
		return 1;
	}
	fd = find_connection();
	if (fd < 0) {
		fprintf(stderr,
			SD_ERR "no connection: start it by its socket unit, or with --listen\n");
		return 2;
	}
	/* Made by the unit, for root alone. */
	if (getenv("RUNTIME_DIRECTORY"))
		h.counts = mqw_helper_counts_open(getenv("RUNTIME_DIRECTORY"));
	/* A refusal is the peer's fault and said in the log: not a failed unit. */
	mqw_helper_serve(&h, fd);
	return 0;
}
