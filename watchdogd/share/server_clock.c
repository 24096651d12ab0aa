/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/share/server_clock.h"

#include <errno.h>
#include <stdio.h>

#include "watchdogd/base/clock.h"
#include "watchdogd/base/process.h"

#define LIMIT (10 * MQW_SECOND)
/* Whole seconds, and the time that the answer takes, are no fault of a clock. */
#define TOLERANCE (2 * MQW_SECOND)

static bool digits(struct mqw_slice *s, size_t count, int *ret)
{
	*ret = 0;
	if (s->len < count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (s->ptr[i] < '0' || s->ptr[i] > '9')
			return false;
		*ret = *ret * 10 + (s->ptr[i] - '0');
	}
	*s = mqw_slice_from(*s, count);
	return true;
}

bool mqw_server_clock_parse(struct mqw_slice text, int64_t *ret)
{
	int month, day, hour, minute, year, second;

	text = mqw_slice_trim(text);
	if (!digits(&text, 2, &month) || !digits(&text, 2, &day) || !digits(&text, 2, &hour) ||
		!digits(&text, 2, &minute) || !digits(&text, 4, &year) ||
		!mqw_slice_skip(&text, MQW_LIT(".")) || !digits(&text, 2, &second))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
		second > 60)
		return false;
	*ret = mqw_days_from_civil(year, month, day) * MQW_DAY + hour * MQW_HOUR +
		minute * MQW_MINUTE + second * MQW_SECOND;
	return true;
}

int mqw_server_clock(const char *host, const char *min_protocol, int64_t *ret_ahead)
{
	char option[64];
	/* In UTC: in the local zone an hour of each year comes twice. */
	const char *argv[] = {"env", "TZ=UTC", "net", "time", "system", "-S", host, NULL, NULL};
	struct mqw_process p = {.argv = argv, .timeout = LIMIT, .max_output = 4096};
	int64_t time, ahead;
	int r;

	if (min_protocol) {
		snprintf(option, sizeof(option), "--option=client min protocol=%s", min_protocol);
		argv[7] = option;
	}
	r = mqw_process_run(&p);
	if (r == 0 && (p.status != 0 || !mqw_server_clock_parse(mqw_buffer_slice(&p.out), &time)))
		r = -EBADMSG;
	if (r == 0) {
		ahead = time - mqw_clock_now() / MQW_SECOND * MQW_SECOND;
		*ret_ahead = ahead < TOLERANCE && ahead > -TOLERANCE ? 0 : ahead;
	}
	mqw_process_done(&p);
	return r;
}
