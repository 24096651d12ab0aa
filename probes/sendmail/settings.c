/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sendmail's settings: options of sendmail.cf, and before them those of the running daemon's
 * command line, which is the second line of its pid file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "probes/sendmail/settings_internal.h"
#include "watchdogd/base/fd.h"

#define CF_MAX ((size_t)1 << 20)
#define PID_FILE_MAX ((size_t)8192)

/* Where they are when nothing says so: Debian's, then sendmail's own since 8.13. */
static const char *const pid_files[] = {
	"/run/sendmail/mta/sendmail.pid", "/run/sendmail.pid", "/var/run/sendmail.pid", NULL};

static int read_file(const char *path, size_t max, struct mqw_buffer *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

	if (fd < 0)
		return -errno;
	r = mqw_fd_read_all(fd, max, ret);
	close(fd);
	return r;
}

/* One value of a timeout: spans in a row, days where there is no unit, or "now" (convtime.c). */
static bool parse_lifetime(struct mqw_slice s, int64_t *ret)
{
	s = mqw_slice_trim(s);
	if (mqw_slice_eq_nocase(s, MQW_LIT("now")))
		*ret = 0;
	else if (!mqw_span_parse(s, MQW_DAY, ret))
		return false;
	/* A lifetime of 0 is allowed, and lethal: not to be mistaken for one that is not known. */
	if (*ret == 0)
		*ret = 1;
	return true;
}

static void set_classes(struct mqw_sendmail_settings *s, int64_t lifetime)
{
	for (int c = 0; c < MQW_SENDMAIL_CLASSES; c++)
		s->lifetime[c] = lifetime;
}

/* Behind "Timeout.": queuereturn for all classes, or for one. */
static void take_timeout(
	struct mqw_slice name, struct mqw_slice value, struct mqw_sendmail_settings *ret)
{
	static const char *const classes[MQW_SENDMAIL_CLASSES] = {
		[MQW_SENDMAIL_NORMAL] = "normal",
		[MQW_SENDMAIL_URGENT] = "urgent",
		[MQW_SENDMAIL_NON_URGENT] = "non-urgent",
		[MQW_SENDMAIL_DSN] = "dsn",
	};
	struct mqw_slice class = mqw_slice_from(name, sizeof("queuereturn") - 1);
	int64_t lifetime;

	if (!mqw_slice_eq_nocase(
		    mqw_slice_head(name, sizeof("queuereturn") - 1), MQW_LIT("queuereturn")) ||
		!parse_lifetime(value, &lifetime))
		return;
	if (!class.len)
		set_classes(ret, lifetime);
	else if (mqw_slice_skip(&class, MQW_LIT(".")))
		for (int c = 0; c < MQW_SENDMAIL_CLASSES; c++)
			if (mqw_slice_eq_nocase(class, mqw_slice_of(classes[c])))
				ret->lifetime[c] = lifetime;
}

static int take_path(struct mqw_slice value, char **ret)
{
	char *copy;

	value = mqw_slice_trim(value);
	/* A path with a macro in it is known to Sendmail alone. */
	if (!value.len || value.ptr[0] != '/' || mqw_slice_chr(value, '$') < value.len ||
		mqw_slice_chr(value, '\0') < value.len)
		return 0;
	copy = mqw_slice_dup(value);
	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

/* "Name=value", as behind "O " in sendmail.cf and behind -O. 0 or -ENOMEM. */
static int take_option(struct mqw_slice s, struct mqw_sendmail_settings *ret)
{
	struct mqw_slice name;

	if (!mqw_slice_take_until(&s, '=', &name))
		return 0;
	name = mqw_slice_trim(name);
	if (mqw_slice_eq_nocase(mqw_slice_head(name, 8), MQW_LIT("Timeout.")))
		take_timeout(mqw_slice_from(name, 8), s, ret);
	else if (mqw_slice_eq_nocase(name, MQW_LIT("QueueDirectory")))
		return take_path(s, &ret->queue_directory);
	else if (mqw_slice_eq_nocase(name, MQW_LIT("PidFile")))
		return take_path(s, &ret->pid_file);
	return 0;
}

/* "T5d/4h", the option of old for lifetime and warning; "Q/var/spool/mqueue". */
static int take_old_option(struct mqw_slice s, struct mqw_sendmail_settings *ret)
{
	int64_t lifetime;

	if (mqw_slice_skip(&s, MQW_LIT("Q")))
		return take_path(s, &ret->queue_directory);
	if (mqw_slice_skip(&s, MQW_LIT("T")) &&
		parse_lifetime(mqw_slice_head(s, mqw_slice_chr(s, '/')), &lifetime))
		set_classes(ret, lifetime);
	return 0;
}

int mqw_sendmail_read_cf(struct mqw_slice text, struct mqw_sendmail_settings *ret)
{
	struct mqw_slice line;
	int r = 0;

	while (r == 0 && text.len) {
		if (!mqw_slice_take_until(&text, '\n', &line)) {
			line = text;
			text = MQW_SLICE_NULL;
		}
		if (!mqw_slice_skip(&line, MQW_LIT("O")))
			continue;
		r = mqw_slice_starts(line, MQW_LIT(" ")) ? take_option(line, ret)
							 : take_old_option(line, ret);
	}
	return r;
}

/* "-q10m", "-qp5m", "-qfast..." is none: how often the queue is run. */
static void take_interval(struct mqw_slice s, struct mqw_sendmail_settings *ret)
{
	int64_t span;

	mqw_slice_skip(&s, MQW_LIT("p"));
	if (s.len && s.ptr[0] >= '0' && s.ptr[0] <= '9' && mqw_span_parse(s, MQW_MINUTE, &span) &&
		span > 0)
		ret->queue_interval = span;
}

int mqw_sendmail_read_command_line(struct mqw_slice line, struct mqw_sendmail_settings *ret)
{
	bool option = false;
	int r = 0;

	while (r == 0 && line.len) {
		struct mqw_slice word = mqw_slice_head(line, mqw_slice_chr(line, ' '));

		line = mqw_slice_from(line, word.len + 1);
		if (option || mqw_slice_skip(&word, MQW_LIT("-O"))) {
			/* "-O Name=value" and "-OName=value". */
			option = !option && !word.len;
			r = take_option(word, ret);
		} else if (mqw_slice_skip(&word, MQW_LIT("-o"))) {
			r = take_old_option(word, ret);
		} else if (mqw_slice_skip(&word, MQW_LIT("-q"))) {
			take_interval(word, ret);
		}
	}
	return r;
}

/* The process and its command line. 0 when it could not be read; there need be no daemon. */
static int read_pid_file(const char *path, struct mqw_sendmail_settings *ret)
{
	struct mqw_buffer text = {0};
	struct mqw_slice rest, line;
	uint64_t pid;
	int r = read_file(path, PID_FILE_MAX, &text);

	rest = mqw_buffer_slice(&text);
	if (r == 0 && mqw_slice_take_u64(&rest, &pid) && pid <= INT_MAX) {
		ret->pid = (int)pid;
		if (mqw_slice_skip(&rest, MQW_LIT("\n"))) {
			line = mqw_slice_head(rest, mqw_slice_chr(rest, '\n'));
			r = mqw_sendmail_read_command_line(line, ret);
		}
	}
	mqw_buffer_done(&text);
	return r == -ENOMEM ? r : 0;
}

void mqw_sendmail_settings_done(struct mqw_sendmail_settings *s)
{
	free(s->queue_directory);
	free(s->wildcard);
	free(s->pid_file);
	*s = (struct mqw_sendmail_settings){0};
}

/* Of a wildcard what all its directories are in: "/var/spool/mqueue/q*". */
static int cut_wildcard(struct mqw_sendmail_settings *s)
{
	char *slash = s->queue_directory ? strrchr(s->queue_directory, '/') : NULL;

	if (!slash || slash == s->queue_directory || !strchr(slash, '*'))
		return 0;
	s->wildcard = mqw_slice_dup(mqw_slice_of(slash + 1));
	*slash = '\0';
	return s->wildcard ? 0 : -ENOMEM;
}

int mqw_sendmail_settings_read(const char *config_dir, struct mqw_sendmail_settings *ret)
{
	struct mqw_buffer text = {0};
	char path[PATH_MAX];
	int r;

	*ret = (struct mqw_sendmail_settings){0};
	if (snprintf(path, sizeof(path), "%s/sendmail.cf", config_dir ? config_dir : "/etc/mail") >=
		(int)sizeof(path))
		return -ENAMETOOLONG;
	r = read_file(path, CF_MAX, &text);
	if (r == 0)
		r = mqw_sendmail_read_cf(mqw_buffer_slice(&text), ret);
	mqw_buffer_done(&text);
	/* The command line comes last: it beats the file. */
	if (r == 0 && ret->pid_file)
		r = read_pid_file(ret->pid_file, ret);
	for (size_t i = 0; r == 0 && !ret->pid && !ret->pid_file && !config_dir && pid_files[i];
		i++)
		r = read_pid_file(pid_files[i], ret);
	if (r == 0)
		r = cut_wildcard(ret);
	if (r < 0)
		mqw_sendmail_settings_done(ret);
	return r;
}

int mqw_sendmail_ask(const char *config_dir, struct mqw_mta_settings *ret)
{
	struct mqw_sendmail_settings s;
	int r = mqw_sendmail_settings_read(config_dir, &s);

	*ret = (struct mqw_mta_settings){0};
	if (r < 0)
		return r;
	/* The shortest: what is older than that may have been given up rightfully. */
	for (int c = 0; c < MQW_SENDMAIL_DSN; c++)
		if (s.lifetime[c] && (!ret->lifetime || s.lifetime[c] < ret->lifetime))
			ret->lifetime = s.lifetime[c];
	ret->bounce_lifetime = s.lifetime[MQW_SENDMAIL_DSN];
	ret->retry_max = s.queue_interval;
	ret->queue_directory = s.queue_directory;
	s.queue_directory = NULL;
	if (!ret->queue_directory)
		ret->queue_directory = mqw_slice_dup(MQW_LIT("/var/spool/mqueue"));
	mqw_sendmail_settings_done(&s);
	return ret->queue_directory ? 0 : -ENOMEM;
}
