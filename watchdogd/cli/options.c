/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* tm_gmtoff */
#include "watchdogd/cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "watchdogd/base/zone.h"

const char mqw_cli_options_help[] =
	"  --mta TYPE          the MTA that wrote the log (default: recognised): postfix, exim,\n"
	"                      sendmail, exchange, iis-smtp\n"
	"  --queue DIR         check open messages against this live queue directory\n"
	"  --format FORMAT     text (default) or json, one object a line\n"
	"  --all               every recipient, not only those in trouble; also what was\n"
	"                      not understood\n"
	"  --since TIME        only messages seen since, e.g. 2026-10-03 or 2026-10-03T04:00Z\n"
	"  --until TIME        read no line after it\n"
	"  --lifetime SPAN     the MTA's queue lifetime, e.g. 5d (default: its own default)\n"
	"  --min-lifetime SPAN a report of failure younger than this is false (default 4h)\n"
	"  --slack SPAN        how long past due before silence is trouble (default 2h)\n"
	"  --year YEAR         of the first stamp without a year (default: by the file's time)\n"
	"  --timezone TZ       zone of stamps without one, e.g. Europe/Berlin (default: local)\n"
	"  --jobs N            threads, 1 or 2 (default: 2 where there is more than one CPU)\n"
	"  --no-progress       no progress bar\n"
	"  --help              this text\n";

enum option_key {
	OPT_MTA = 256,
	OPT_QUEUE,
	OPT_FORMAT,
	OPT_ALL,
	OPT_SINCE,
	OPT_UNTIL,
	OPT_LIFETIME,
	OPT_MIN_LIFETIME,
	OPT_SLACK,
	OPT_YEAR,
	OPT_TIMEZONE,
	OPT_JOBS,
	OPT_NO_PROGRESS,
	OPT_HELP
};

static const struct option table[] = {
	{"mta", required_argument, NULL, OPT_MTA},
	{"queue", required_argument, NULL, OPT_QUEUE},
	{"format", required_argument, NULL, OPT_FORMAT},
	{"all", no_argument, NULL, OPT_ALL},
	{"since", required_argument, NULL, OPT_SINCE},
	{"until", required_argument, NULL, OPT_UNTIL},
	{"lifetime", required_argument, NULL, OPT_LIFETIME},
	{"min-lifetime", required_argument, NULL, OPT_MIN_LIFETIME},
	{"slack", required_argument, NULL, OPT_SLACK},
	{"year", required_argument, NULL, OPT_YEAR},
	{"timezone", required_argument, NULL, OPT_TIMEZONE},
	{"jobs", required_argument, NULL, OPT_JOBS},
	{"no-progress", no_argument, NULL, OPT_NO_PROGRESS},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/* The zone's offset for a time that a person wrote: what the clock there showed then. */
static bool parse_local(struct mqw_slice s, int64_t *ret)
{
	int64_t utc;
	time_t seconds;
	struct tm tm;

	if (!mqw_time_parse(s, 0, &utc))
		return false;
	seconds = (time_t)(utc / MQW_SECOND);
	if (!localtime_r(&seconds, &tm))
		return false;
	return mqw_time_parse(s, (int64_t)tm.tm_gmtoff * MQW_SECOND, ret);
}

static bool parse_number(struct mqw_slice s, uint64_t min, uint64_t max, int *ret)
{
	uint64_t n;

	if (!mqw_slice_take_u64(&s, &n) || s.len || n < min || n > max)
		return false;
	*ret = (int)n;
	return true;
}

/* False: the value is not one for this option. */
static bool set(struct mqw_cli_options *o, int key, const char *value)
{
	struct mqw_slice s = mqw_slice_of(value);

	switch (key) {
	case OPT_MTA:
		o->mta = mqw_probe_find(s);
		return o->mta != NULL;
	case OPT_QUEUE:
		o->queue = value;
		return true;
	case OPT_FORMAT:
		o->format = mqw_slice_eq(s, MQW_LIT("json")) ? MQW_FORMAT_JSON : MQW_FORMAT_TEXT;
		return o->format == MQW_FORMAT_JSON || mqw_slice_eq(s, MQW_LIT("text"));
	case OPT_ALL:
		return o->all = true;
	case OPT_SINCE:
		return parse_local(s, &o->since);
	case OPT_UNTIL:
		return parse_local(s, &o->until);
	case OPT_LIFETIME:
		return mqw_span_parse(s, MQW_DAY, &o->lifetime);
	case OPT_MIN_LIFETIME:
		return mqw_span_parse(s, MQW_HOUR, &o->min_lifetime);
	case OPT_SLACK:
		return mqw_span_parse(s, MQW_HOUR, &o->slack);
	case OPT_YEAR:
		return parse_number(s, 1970, 9998, &o->year);
	case OPT_TIMEZONE:
		return mqw_zone_set(value) == 0;
	case OPT_JOBS:
		return parse_number(s, 1, 1024, &o->jobs);
	case OPT_NO_PROGRESS:
		return o->no_progress = true;
	default:
		return false;
	}
}

int mqw_cli_options_read(struct mqw_cli_options *o, int argc, char **argv)
{
	const struct mqw_tracker_options defaults = mqw_tracker_defaults();
	struct mqw_buffer shown = {0};
	int key, index = 0;

	*o = (struct mqw_cli_options){.since = MQW_TIME_NONE,
		.until = MQW_TIME_NONE,
		.min_lifetime = defaults.min_lifetime,
		.slack = defaults.slack};
	optind = 1;
	while ((key = getopt_long(argc, argv, "h", table, &index)) != -1) {
		if (key == '?')
			return -1;
		if (key == OPT_HELP || key == 'h') {
			o->help = true;
			return optind;
		}
		if (!set(o, key, optarg)) {
			mqw_buffer_add_printable(&shown, mqw_slice_of(optarg));
			fprintf(stderr,
				"mailq-watchdog %s: --%s '%s': not a value for it; see --help\n",
				argv[0], table[index].name, mqw_buffer_str(&shown));
			mqw_buffer_done(&shown);
			return -1;
		}
	}
	return optind;
}

struct mqw_tracker_options mqw_cli_tracker_options(const struct mqw_cli_options *o)
{
	struct mqw_tracker_options t = mqw_tracker_defaults();

	t.lifetime = o->lifetime;
	t.min_lifetime = o->min_lifetime;
	t.slack = o->slack;
	t.queue_at_hand = o->queue != NULL;
	t.seed = mqw_map_random_seed();
	if (o->mta) {
		t.default_lifetime = o->mta->default_lifetime;
		t.retry_max = o->mta->default_retry_max;
		t.remedy = o->mta->remedy;
		t.removal_unlogged = o->mta->removal_unlogged;
		t.answers_alone = o->mta->answers_alone;
	}
	return t;
}
