/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/syslog/loss.h"

/* journald counts in windows of RateLimitIntervalSec, 30 s by default (journald.conf(5)). */
#define JOURNALD_WINDOW (30 * MQW_SECOND)
/* rsyslog's imuxsock says "lost" at the end of its interval, 5 s to some minutes. */
#define RSYSLOG_WINDOW (10 * MQW_MINUTE)

void mqw_loss_reader_init(struct mqw_loss_reader *r)
{
	r->dropping_since = MQW_TIME_NONE;
}

static bool has(struct mqw_slice s, struct mqw_slice needle)
{
	return mqw_slice_find(s, needle) < s.len;
}

static bool read_rsyslog(
	struct mqw_loss_reader *r, const struct mqw_line *line, struct mqw_event *ret)
{
	if (has(line->text, MQW_LIT("begin to drop messages"))) {
		if (r->dropping_since == MQW_TIME_NONE)
			r->dropping_since = line->time;
		return false;
	}
	if (!has(line->text, MQW_LIT("messages lost due to rate-limiting")))
		return false;
	ret->from = r->dropping_since != MQW_TIME_NONE ? r->dropping_since
						       : line->time - RSYSLOG_WINDOW;
	r->dropping_since = MQW_TIME_NONE;
	return true;
}

static bool read_journald(const struct mqw_line *line, const char *mta, struct mqw_event *ret)
{
	struct mqw_slice s = line->text;
	uint64_t n;

	if (!mqw_slice_skip(&s, MQW_LIT("Suppressed ")) || !mqw_slice_take_u64(&s, &n) ||
		!mqw_slice_skip(&s, MQW_LIT(" messages from ")))
		return false;
	if (!has(s, mqw_slice_of(mta)) && !has(s, MQW_LIT("syslog")))
		return false;
	ret->from = line->time - JOURNALD_WINDOW;
	return true;
}

bool mqw_loss_read(struct mqw_loss_reader *r, const struct mqw_line *line, const char *mta,
	struct mqw_event *ret)
{
	bool rsyslog = mqw_slice_eq(line->tag, MQW_LIT("rsyslogd"));

	if (!rsyslog && !mqw_slice_eq(line->tag, MQW_LIT("systemd-journald")))
		return false;
	*ret = mqw_event(MQW_EVENT_GAP, line->time);
	ret->to = line->time;
	ret->evidence = line->evidence;
	ret->realm = line->host;
	ret->reply = line->text;
	return rsyslog ? read_rsyslog(r, line, ret) : read_journald(line, mta, ret);
}

bool mqw_loss_finish(struct mqw_loss_reader *r, int64_t end, struct mqw_event *ret)
{
	if (r->dropping_since == MQW_TIME_NONE || end == MQW_TIME_NONE)
		return false;
	*ret = mqw_event(MQW_EVENT_GAP, end);
	ret->from = r->dropping_since;
	ret->to = end;
	ret->reply = MQW_LIT("rsyslogd began to drop messages and never said that it ended");
	return true;
}
