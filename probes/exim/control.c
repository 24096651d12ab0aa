/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands that make Exim act. */
#include "probes/exim/control_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_TIMEOUT (20 * MQW_SECOND)
#define COMMAND_OUTPUT_MAX 16384
#define ARGUMENTS_MAX 4
#define WORDS_MAX 24

/* Adds what follows the program's name; argv has room for it. */
static void add_arguments(
	const struct mqw_control *c, const char *const *arguments, const char **argv, size_t n)
{
	if (c->config_dir) {
		argv[n++] = "-C";
		argv[n++] = c->config_dir;
	}
	for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i]; i++)
		argv[n++] = arguments[i];
	argv[n] = NULL;
}

static const char *const names[] = {"exim4", "exim"};

int mqw_exim_command(const struct mqw_control *c, const char *const *arguments, size_t max_output,
	struct mqw_process *ret, char *ret_text, size_t size)
{
	const char *argv[WORDS_MAX];
	int r = -ENOENT;

	for (size_t i = 0; r == -ENOENT && i < 2; i++) {
		argv[0] = names[i];
		add_arguments(c, arguments, argv, 1);
		*ret = (struct mqw_process){
			.argv = argv, .timeout = COMMAND_TIMEOUT, .max_output = max_output};
		r = mqw_process_run(ret);
		ret->argv = NULL;
	}
	return mqw_control_conclude(argv[0], r, ret, ret_text, size);
}

/* The path of the program, for systemd, which wants to know it before it starts anything. */
static const char *find_program(void)
{
	static const char *const paths[] = {
		"/usr/sbin/exim4", "/usr/sbin/exim", "/usr/bin/exim", "/usr/exim/bin/exim"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], X_OK) == 0)
			return paths[i];
	return NULL;
}

int mqw_exim_start(
	const struct mqw_control *c, const char *const *arguments, char *ret_text, size_t size)
{
	const char *argv[WORDS_MAX] = {"systemd-run", "--quiet", "--collect", "--no-block",
		"--description=Delivery asked for by mailq-watchdog", "--", find_program()};
	struct mqw_process p = {
		.argv = argv, .timeout = COMMAND_TIMEOUT, .max_output = COMMAND_OUTPUT_MAX};
	int r;

	if (!argv[6]) {
		snprintf(ret_text, size, "there is no exim on this host");
		return -ENOENT;
	}
	add_arguments(c, arguments, argv, 7);
	r = mqw_control_conclude(argv[0], mqw_process_run(&p), &p, ret_text, size);
	mqw_process_done(&p);
	return r;
}

/* Of a message in a queue with a name, Exim wants to be told the name, or does nothing at all. */
static int requeue(const struct mqw_control *c, const char *queue_id, char *ret_text, size_t size)
{
	char name[128] = "";
	const char *const plain[] = {"-M", queue_id, NULL};
	const char *const named[] = {"-MCG", name, "-M", queue_id, NULL};
	struct mqw_mta_settings asked = {0};
	const char *directory = c->queue_directory;

	if (!directory && mqw_exim_ask(c->config_dir, &asked) == 0)
		directory = asked.queue_directory;
	/* Where that cannot be told, it is in the usual one. */
	if (directory)
		mqw_exim_queue_of(directory, queue_id, name, sizeof(name));
	free(asked.queue_directory);
	return mqw_exim_start(c, name[0] ? named : plain, ret_text, size);
}

static int flush(const struct mqw_control *c, char *ret_text, size_t size)
{
	static const char *const arguments[] = {"-qf", NULL};

	return mqw_exim_start(c, arguments, ret_text, size);
}

static bool is_program(struct mqw_slice path)
{
	for (size_t i = path.len; i > 0; i--)
		if (path.ptr[i - 1] == '/') {
			path = mqw_slice_from(path, i);
			break;
		}
	return mqw_slice_eq(path, MQW_LIT("exim")) || mqw_slice_eq(path, MQW_LIT("exim4"));
}

/* "-bd", "-bdf", or "-q30m" alone: what runs once, or for one message, is no daemon. */
static bool makes_daemon(struct mqw_slice word)
{
	size_t digit = mqw_slice_starts(word, MQW_LIT("-qq")) ? 3 : 2;

	return mqw_slice_eq(word, MQW_LIT("-bd")) || mqw_slice_eq(word, MQW_LIT("-bdf")) ||
		(mqw_slice_starts(word, MQW_LIT("-q")) && word.len > digit &&
			word.ptr[digit] >= '0' && word.ptr[digit] <= '9');
}

bool mqw_exim_is_daemon(struct mqw_slice words, const char *config)
{
	struct mqw_slice word, used = MQW_SLICE_NULL;
	bool daemon = false;

	if (!mqw_slice_take_until(&words, '\0', &word) || !is_program(word))
		return false;
	while (mqw_slice_take_until(&words, '\0', &word)) {
		daemon = daemon || makes_daemon(word);
		if (mqw_slice_eq(word, MQW_LIT("-C")))
			mqw_slice_take_until(&words, '\0', &used);
	}
	return daemon && mqw_slice_eq(used, mqw_slice_of(config));
}

static bool look_at(int proc, const char *pid, const char *config)
{
	char path[64], words[1024];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.20s/cmdline", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false; /* a process may end between any two calls */
	n = read(fd, words, sizeof(words));
	close(fd);
	return n > 0 && mqw_exim_is_daemon(mqw_slice(words, (size_t)n), config);
}

/* A queue runner that cron starts is no daemon: where there is none, nothing takes mail. */
static int healthy(const struct mqw_control *c, char *ret_text, size_t size)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	bool found = false;

	if (!proc) {
		snprintf(ret_text, size, "the processes could not be looked at");
		return -errno;
	}
	while (!found && (e = readdir(proc)))
		found = e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
			look_at(dirfd(proc), e->d_name, c->config_dir);
	closedir(proc);
	if (!found)
		snprintf(ret_text, size, "no daemon of Exim is running");
	return found ? 0 : -ESRCH;
}

const struct mqw_control_ops mqw_exim_control = {
	.recover_how = "its spool files are put back under an id that tells the former one: "
		       "envelope sender, headers, body and DSN parameters stay, the lifetime "
		       "begins anew",
	.recover_loses = "its queue id, and when it arrived first",
	.requeue = requeue,
	.flush = flush,
	.healthy = healthy,
	.recover = mqw_exim_recover,
};
