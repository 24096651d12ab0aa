/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands that make Sendmail act. It has no queue manager to be told: whoever runs the queue
 * delivers, as root and over the network, for as long as that takes. So that this is done neither
 * within the helper's walls nor within its time, systemd starts it, where there is systemd.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "probes/sendmail/control_internal.h"
#include "probes/sendmail/settings_internal.h"

#define COMMAND_TIMEOUT (60 * MQW_SECOND)
#define COMMAND_OUTPUT_MAX 16384
#define CONFIG_NAME "sendmail.cf"

int mqw_sendmail_run_queue(
	const struct mqw_control *c, const char *queue_id, char *ret_text, size_t size)
{
	static const char *const by_systemd[] = {"systemd-run", "--quiet", "--collect",
		"--no-block", "--description=Sendmail queue run for mailq-watchdog", "--"};
	const char *argv[20];
	struct mqw_process p = {
		.argv = argv, .timeout = COMMAND_TIMEOUT, .max_output = COMMAND_OUTPUT_MAX};
	char config[512], which[64];
	size_t n = 0;
	bool systemd = access("/run/systemd/system", F_OK) == 0; /* sd_booted(3) */
	int r;

	if (systemd)
		for (; n < sizeof(by_systemd) / sizeof(by_systemd[0]); n++)
			argv[n] = by_systemd[n];
	argv[n++] = "sendmail";
	argv[n++] = "-Am";
	if (c->config_dir) {
		if (snprintf(config, sizeof(config), "-C%s/" CONFIG_NAME, c->config_dir) >=
			(int)sizeof(config))
			return -ENAMETOOLONG;
		argv[n++] = config;
	}
	/* What was tried a moment ago is tried again, and what is known of its host is forgotten. */
	argv[n++] = "-OMinQueueAge=0";
	argv[n++] = "-OTimeout.hoststatus=0";
	/* A unit lives as long as its first process: that one has to do the work itself. */
	if (systemd)
		argv[n++] = "-qf";
	if (queue_id) {
		/* It means every id that holds this one: no other of the same length does. */
		if (snprintf(which, sizeof(which), "-qI%s", queue_id) >= (int)sizeof(which))
			return -EINVAL;
		argv[n++] = which;
	} else if (!systemd) {
		argv[n++] = "-q";
	}
	argv[n] = NULL;
	r = mqw_control_conclude(argv[0], mqw_process_run(&p), &p, ret_text, size);
	mqw_process_done(&p);
	return r;
}

static int requeue(const struct mqw_control *c, const char *queue_id, char *ret_text, size_t size)
{
	return mqw_sendmail_run_queue(c, queue_id, ret_text, size);
}

static int flush(const struct mqw_control *c, char *ret_text, size_t size)
{
	return mqw_sendmail_run_queue(c, NULL, ret_text, size);
}

/* Whether a process of that number is alive and called sendmail or sendmail-mta. */
static bool is_sendmail(int pid)
{
	char path[64], name[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, name, sizeof(name));
	close(fd);
	return n > 0 && mqw_slice_starts(mqw_slice(name, (size_t)n), MQW_LIT("sendmail"));
}

int mqw_sendmail_healthy(const struct mqw_control *c, char *ret_text, size_t size)
{
	struct mqw_sendmail_settings s;
	int r = mqw_sendmail_settings_read(c->config_dir, &s), pid;

	if (r < 0) {
		snprintf(ret_text, size, "Sendmail's configuration could not be read: %s",
			strerror(-r));
		return r;
	}
	pid = s.pid;
	mqw_sendmail_settings_done(&s);
	if (pid && is_sendmail(pid))
		return 0;
	snprintf(ret_text, size, "Sendmail is not running");
	return -ESRCH;
}

/* Of the body alone: half an envelope stays as it is for as long as it is in the queue. */
static bool completes(const struct mqw_message *m)
{
	struct mqw_slice how = mqw_slice_of(m->lost_how);

	return mqw_slice_starts(how, MQW_LIT("readqf: cannot open ")) &&
		mqw_slice_find(how, MQW_LIT("df")) < how.len;
}

const struct mqw_control_ops mqw_sendmail_control = {
	.recover_how = "its qf and df files are put back under an id that tells the former one: "
		       "envelope sender, headers, body and DSN parameters stay, the lifetime "
		       "begins anew; where only the body was gone, it alone",
	.recover_loses = "its queue id, when it arrived first, and the user as whom programs would "
			 "be run: recipients that are programs or files are refused",
	.completes = completes,
	.requeue = requeue,
	.flush = flush,
	.healthy = mqw_sendmail_healthy,
	.recover = mqw_sendmail_recover,
};
