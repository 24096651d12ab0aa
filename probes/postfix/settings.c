/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Postfix itself says of its settings, through postconf(1). */
#include "probes/postfix/postfix.h"

#include <errno.h>
#include <stdlib.h>

#include "watchdogd/base/process.h"

#define ASK_TIMEOUT (20 * MQW_SECOND)
#define ASK_OUTPUT_MAX 65536

/* In the order in which they are asked: postconf answers one line each. */
enum setting { LIFETIME, BOUNCE_LIFETIME, RETRY_MAX, QUEUE_DIRECTORY, LOG_NAME, SETTING_COUNT };

static const struct {
	const char *name;
	int64_t unit; /* of a bare number; 0: no time */
} settings[SETTING_COUNT] = {
	{"maximal_queue_lifetime", MQW_DAY},
	{"bounce_queue_lifetime", MQW_DAY},
	{"maximal_backoff_time", MQW_SECOND},
	{"queue_directory", 0},
	{"syslog_name", 0},
};

/* One number and one unit, s m h d w (util/conv_time.c of Postfix 3.7); nothing else. */
static bool parse_time(struct mqw_slice s, int64_t unit, int64_t *ret)
{
	struct mqw_slice rest;
	uint64_t n;

	s = mqw_slice_trim(s);
	rest = s;
	if (!mqw_slice_take_u64(&rest, &n) || rest.len > 1)
		return false;
	if (rest.len && !memchr("smhdw", rest.ptr[0], 5))
		return false;
	if (!mqw_span_parse(s, unit, ret))
		return false;
	/* A lifetime of 0 is allowed, and lethal: not to be mistaken for one that is not known. */
	if (*ret == 0)
		*ret = 1;
	return true;
}

static int64_t *span_of(struct mqw_mta_settings *s, enum setting which)
{
	switch (which) {
	case LIFETIME:
		return &s->lifetime;
	case BOUNCE_LIFETIME:
		return &s->bounce_lifetime;
	case RETRY_MAX:
		return &s->retry_max;
	case QUEUE_DIRECTORY:
	case LOG_NAME:
	case SETTING_COUNT:
		break;
	}
	return NULL;
}

/* The output of `postconf -hx` for all settings. 0, -EBADMSG or -ENOMEM. */
static int parse_main(struct mqw_slice text, struct mqw_mta_settings *ret)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		struct mqw_slice line;

		if (!mqw_slice_take_until(&text, '\n', &line))
			return -EBADMSG;
		line = mqw_slice_trim(line);
		if (settings[i].unit) {
			if (!parse_time(line, settings[i].unit, span_of(ret, (enum setting)i)))
				return -EBADMSG;
			continue;
		}
		if (line.len == 0 || mqw_slice_chr(line, '\0') < line.len ||
			(i == QUEUE_DIRECTORY && line.ptr[0] != '/'))
			return -EBADMSG;
		/* "postfix/submission" is a name of master.cf's kind: the events know the first word. */
		if (i == LOG_NAME)
			ret->log_name =
				mqw_slice_dup(mqw_slice_head(line, mqw_slice_chr(line, '/')));
		else
			ret->queue_directory = mqw_slice_dup(line);
		if (!(i == LOG_NAME ? ret->log_name : ret->queue_directory))
			return -ENOMEM;
	}
	return text.len ? -EBADMSG : 0;
}

/*
 * The output of `postconf -P`: "SERVICE/TYPE/NAME = VALUE", what master.cf overrides. Only the
 * queue manager's count: it alone gives up and retries. What is not understood is left alone.
 */
static void parse_overrides(struct mqw_slice text, struct mqw_mta_settings *ret)
{
	struct mqw_slice line, service, type, name;

	while (mqw_slice_take_until(&text, '\n', &line)) {
		if (!mqw_slice_take_until(&line, '/', &service) ||
			!mqw_slice_eq(service, MQW_LIT("qmgr")) ||
			!mqw_slice_take_until(&line, '/', &type) ||
			!mqw_slice_take_until(&line, '=', &name))
			continue;
		name = mqw_slice_trim(name);
		for (size_t i = 0; i < SETTING_COUNT; i++)
			if (settings[i].unit && mqw_slice_eq(name, mqw_slice_of(settings[i].name)))
				parse_time(line, settings[i].unit, span_of(ret, (enum setting)i));
	}
}

static int ask(const char *const *argv, struct mqw_process *p)
{
	int r;

	*p = (struct mqw_process){
		.argv = argv, .timeout = ASK_TIMEOUT, .max_output = ASK_OUTPUT_MAX};
	r = mqw_process_run(p);
	if (r == 0 && p->status != 0)
		r = -EIO;
	if (r == 0 && p->truncated)
		r = -EBADMSG;
	return r;
}

int mqw_postfix_ask(const char *config_dir, struct mqw_mta_settings *ret)
{
	/* Two words that are left out, by starting later, where the directory is the default. */
	const char *main_argv[] = {"postconf", "-c", config_dir, "-hx", settings[LIFETIME].name,
		settings[BOUNCE_LIFETIME].name, settings[RETRY_MAX].name,
		settings[QUEUE_DIRECTORY].name, settings[LOG_NAME].name, NULL};
	const char *master_argv[] = {"postconf", "-c", config_dir, "-P",
		"*/*/maximal_queue_lifetime", "*/*/bounce_queue_lifetime",
		"*/*/maximal_backoff_time", NULL};
	size_t skip = config_dir ? 0 : 2;
	struct mqw_process p;
	int r;

	*ret = (struct mqw_mta_settings){0};
	main_argv[skip] = master_argv[skip] = "postconf";
	r = ask(main_argv + skip, &p);
	if (r == 0)
		r = parse_main(mqw_buffer_slice(&p.out), ret);
	mqw_process_done(&p);
	if (r == 0) {
		/* Postfix before 2.11 has no -P; then nothing is overridden that it could show. */
		if (ask(master_argv + skip, &p) == 0)
			parse_overrides(mqw_buffer_slice(&p.out), ret);
		mqw_process_done(&p);
	}
	if (r < 0)
		mqw_mta_settings_done(ret);
	return r;
}
