/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "probes/common.h"
#include "probes/iis_smtp/iis_smtp.h"
#include "probes/windows/form.h"
#include "probes/windows/smtp_log.h"

#define ID_MAX 640 /* a longer one is cut: RFC 5321 4.5.3.1.3 allows 256 for the sender */

static const char own_tag[] = "smtpsvc";

struct mqw_probe {
	struct mqw_smtp_table sessions;
};

/* What a line's results need besides themselves. */
struct telling {
	const struct mqw_line *line;
	struct mqw_sink *out;
};

struct mqw_probe *mqw_iis_smtp_create(const char *const *next_hops, size_t next_hop_count)
{
	struct mqw_probe *p = calloc(1, sizeof(*p));

	(void)next_hops, (void)next_hop_count;
	if (p)
		mqw_smtp_table_init(&p->sessions);
	return p;
}

struct mqw_probe *mqw_iis_smtp_free(struct mqw_probe *p)
{
	free(p);
	return NULL;
}

bool mqw_iis_smtp_is_mine(struct mqw_slice tag)
{
	return mqw_slice_eq(tag, mqw_slice_of(own_tag));
}

enum mqw_form mqw_iis_smtp_own_form(
	struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret)
{
	struct mqw_slice row[MQW_COLUMN_COUNT];
	enum mqw_form form = mqw_windows_form(stamps, raw, ret);

	if (form != MQW_FORM_POSSIBLE)
		return form;
	ret->tag = mqw_slice(own_tag, sizeof(own_tag) - 1);
	switch (ret->columns->log) {
	case MQW_WINDOWS_W3C:
	case MQW_WINDOWS_NCSA:
	case MQW_WINDOWS_IIS:
		return mqw_windows_smtp_row(ret->columns, raw, row) && mqw_windows_is_smtp(row)
			? MQW_FORM_LIKELY
			: MQW_FORM_POSSIBLE;
	default:
		return MQW_FORM_NONE;
	}
}

static void add(char id[ID_MAX], size_t *len, struct mqw_slice s)
{
	s = mqw_slice_head(s, ID_MAX - *len);
	if (s.len)
		memcpy(id + *len, s.ptr, s.len);
	*len += s.len;
}

/* "SMTPSVC1/info@a.example/1722/ann@b.example": as good a name as the log has. */
static struct mqw_slice make_id(const struct mqw_smtp_result *r, char id[ID_MAX])
{
	size_t len = 0;

	add(id, &len, r->site.len ? r->site : MQW_LIT("SMTPSVC"));
	add(id, &len, MQW_LIT("/"));
	add(id, &len, r->sender.len ? r->sender : MQW_LIT("<>"));
	if (r->size.len) {
		add(id, &len, MQW_LIT("/"));
		add(id, &len, r->size);
	}
	add(id, &len, MQW_LIT("/"));
	add(id, &len, r->recipient);
	return mqw_slice(id, len);
}

/* An event about the message that an answer is about. */
static int emit(const struct telling *t, const struct mqw_smtp_result *r, struct mqw_event e)
{
	char id[ID_MAX];

	e.queue_id = make_id(r, id);
	e.instance = r->site.len ? r->site : t->line->tag;
	e.evidence = t->line->evidence;
	return t->out->emit(t->out->ctx, &e);
}

static int tell(void *ctx, const struct mqw_smtp_result *r)
{
	const struct telling *t = ctx;
	struct mqw_event queued = mqw_event(MQW_EVENT_QUEUED, t->line->time);
	struct mqw_event e = mqw_event(MQW_EVENT_ATTEMPT, t->line->time);
	int result;

	if (!r->recipient.ptr || !r->sender.ptr)
		return 0;
	queued.sender = r->sender;
	result = emit(t, r, queued);
	if (result < 0)
		return result;
	e.recipient = r->recipient;
	e.relay = r->remote;
	e.outcome = r->outcome;
	e.code = r->code;
	e.status = mqw_reply_status(r->reply);
	e.reply = r->outcome == MQW_OUTCOME_SENT ? MQW_SLICE_NULL : r->reply;
	e.doubtful = r->doubtful;
	result = emit(t, r, e);
	if (result < 0 || r->outcome == MQW_OUTCOME_DEFERRED)
		return result;
	/* The next message with these figures is another one. */
	return emit(t, r, mqw_event(MQW_EVENT_REMOVED, t->line->time));
}

int mqw_iis_smtp_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct telling t = {.line = line, .out = out};

	if (!line->columns || !mqw_iis_smtp_is_mine(line->tag))
		return MQW_LINE_FOREIGN;
	return mqw_windows_smtp_line(&p->sessions, line, tell, &t);
}
