/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Exim itself says of its settings, through exim(8). */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "probes/exim/control_internal.h"

#define ASK_OUTPUT_MAX ((size_t)1 << 20)

/* Where distributions keep the spool. */
static const char *const usual_spools[] = {"/var/spool/exim4", "/var/spool/exim"};

/* "2h", "1d12h": as Exim's readconf_readtime() has it. */
static bool parse_time(struct mqw_slice s, int64_t *ret)
{
	return s.len && mqw_span_parse(s, MQW_SECOND, ret);
}

/* The longest cutoff of one rule's "F,2h,15m; G,16h,1h,1.5; F,4d,6h"; 0 when it has none. */
static int64_t rule_lifetime(struct mqw_slice rule)
{
	int64_t longest = 0, cutoff;

	for (size_t i = 0; i + 2 < rule.len; i++) {
		struct mqw_slice s = mqw_slice_from(rule, i + 2);

		/* F fixed, G geometric, H random within. */
		if ((rule.ptr[i] != 'F' && rule.ptr[i] != 'G' && rule.ptr[i] != 'H') ||
			rule.ptr[i + 1] != ',' ||
			(i && rule.ptr[i - 1] != ' ' && rule.ptr[i - 1] != ';' &&
				rule.ptr[i - 1] != '\t'))
			continue;
		s = mqw_slice_trim(mqw_slice_head(s, mqw_slice_chr(s, ',')));
		if (parse_time(s, &cutoff) && cutoff > longest)
			longest = cutoff;
	}
	return longest;
}

static void note_rule(struct mqw_slice rule, struct mqw_mta_settings *ret)
{
	int64_t lifetime = rule_lifetime(rule);

	if (lifetime && (!ret->lifetime || lifetime < ret->lifetime))
		ret->lifetime = lifetime;
}

/* The section "begin retry" of `exim -bP config`. */
static void parse_config(struct mqw_slice text, struct mqw_mta_settings *ret)
{
	struct mqw_slice line;
	bool inside = false;

	while (mqw_slice_take_until(&text, '\n', &line)) {
		line = mqw_slice_trim(line);
		if (mqw_slice_starts(line, MQW_LIT("begin ")))
			inside = mqw_slice_eq(line, MQW_LIT("begin retry"));
		else if (inside && line.len && line.ptr[0] != '#')
			note_rule(line, ret);
	}
}

/* "Retry rule: *  *  F,2h,15m; G,16h,1h,1.5; F,4d,6h;" of `exim -brt`. */
static void parse_rule(struct mqw_slice text, struct mqw_mta_settings *ret)
{
	struct mqw_slice line;

	while (mqw_slice_take_until(&text, '\n', &line))
		if (mqw_slice_skip(&line, MQW_LIT("Retry rule:")))
			note_rule(line, ret);
}

static int take_settings(struct mqw_slice text, struct mqw_mta_settings *ret)
{
	struct mqw_slice line;

	while (mqw_slice_take_until(&text, '\n', &line)) {
		if (mqw_slice_skip(&line, MQW_LIT("spool_directory = "))) {
			free(ret->queue_directory);
			ret->queue_directory = NULL;
			if (line.len && line.ptr[0] == '/')
				ret->queue_directory = mqw_slice_dup(line);
		} else if (mqw_slice_skip(&line, MQW_LIT("retry_interval_max = "))) {
			parse_time(line, &ret->retry_max);
		}
	}
	return ret->queue_directory ? 0 : -EBADMSG;
}

static int ask(const struct mqw_control *c, const char *const *arguments, struct mqw_process *ret)
{
	char text[256];

	return mqw_exim_command(c, arguments, ASK_OUTPUT_MAX, ret, text, sizeof(text));
}

static void ask_lifetime(const struct mqw_control *c, struct mqw_mta_settings *ret)
{
	static const char *const config[] = {"-bP", "config", NULL};
	/* A domain that no rule can name: the one for all others answers. */
	static const char *const rule[] = {"-brt", "mqw.invalid", NULL};
	struct mqw_process p;

	/* Only an administrator of Exim's is shown the configuration. */
	if (ask(c, config, &p) == 0 && !p.truncated)
		parse_config(mqw_buffer_slice(&p.out), ret);
	mqw_process_done(&p);
	if (ret->lifetime)
		return;
	if (ask(c, rule, &p) == 0)
		parse_rule(mqw_buffer_slice(&p.out), ret);
	mqw_process_done(&p);
}

static int guess_spool(struct mqw_mta_settings *ret)
{
	struct stat st;

	for (size_t i = 0; i < sizeof(usual_spools) / sizeof(usual_spools[0]); i++) {
		if (stat(usual_spools[i], &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		ret->queue_directory = mqw_slice_dup(mqw_slice_of(usual_spools[i]));
		return ret->queue_directory ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

int mqw_exim_ask(const char *config_dir, struct mqw_mta_settings *ret)
{
	static const char *const settings[] = {
		"-bP", "spool_directory", "retry_interval_max", NULL};
	const struct mqw_control c = {.config_dir = config_dir};
	struct mqw_process p;
	int r;

	*ret = (struct mqw_mta_settings){0};
	r = ask(&c, settings, &p);
	if (r == 0)
		r = take_settings(mqw_buffer_slice(&p.out), ret);
	mqw_process_done(&p);
	if (r == 0)
		ask_lifetime(&c, ret);
	else
		r = guess_spool(ret);
	/* That is only the bound; the shipped rule never waits for longer than six hours. */
	ret->retry_max = 0;
	return r;
}
