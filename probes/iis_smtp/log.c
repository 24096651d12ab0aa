/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <xxhash.h>

#include "probes/common.h"
#include "probes/iis_smtp/iis_smtp.h"
#include "probes/windows/form.h"
#include "probes/windows/smtp_log.h"

#define ID_MAX 640 /* a longer one is cut: RFC 5321 4.5.3.1.3 allows 256 for the sender */

static const char own_tag[] = "smtpsvc";

/*
 * A mail that waits: MAIL tells its size only to a server that wants to know, so that it goes by the size
 * that it was first told with, or by none.
 */
#define WAITING_MAX 4096 /* a power of two; by hash, the newest counts */
#define SIZE_MAX_LEN 15

struct waiting {
	uint64_t who; /* hash of server, sender and recipient; 0: not in use */
	uint8_t len;
	char size[SIZE_MAX_LEN];
};

struct mqw_probe {
	struct mqw_smtp_table sessions;
	struct waiting waiting[WAITING_MAX];
};

/* What a line's results need besides themselves. */
struct telling {
	struct mqw_probe *probe;
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

static uint64_t hash_of(uint64_t seed, struct mqw_slice s)
{
	return XXH3_64bits_withSeed(s.len ? s.ptr : "", s.len, seed);
}

static uint64_t who_of(const struct mqw_smtp_result *r)
{
	return hash_of(hash_of(hash_of(1, r->site), r->sender), r->recipient) | 1;
}

/* The size that the mail goes by; where one of the two is not known it is the same mail. */
static struct mqw_slice size_of(const struct mqw_probe *p, const struct mqw_smtp_result *r)
{
	uint64_t who = who_of(r);
	const struct waiting *w = &p->waiting[who / 2 % WAITING_MAX];

	return w->who == who && (!w->len || !r->size.len) ? mqw_slice(w->size, w->len)
							  : mqw_slice_head(r->size, SIZE_MAX_LEN);
}

static void note_size(
	struct mqw_probe *p, const struct mqw_smtp_result *r, struct mqw_slice size, bool waits)
{
	uint64_t who = who_of(r);
	struct waiting *w = &p->waiting[who / 2 % WAITING_MAX];
	bool same = w->who == who && mqw_slice_eq(mqw_slice(w->size, w->len), size);

	if (!waits && same)
		w->who = 0;
	if (!waits || same)
		return;
	w->who = who;
	w->len = (uint8_t)size.len;
	if (size.len)
		memcpy(w->size, size.ptr, size.len);
}

/* "SMTPSVC1/info@a.example/1722/ann@b.example": as good a name as the log has. */
static struct mqw_slice make_id(
	const struct mqw_smtp_result *r, struct mqw_slice size, char id[ID_MAX])
{
	size_t len = 0;

	add(id, &len, r->site.len ? r->site : MQW_LIT("SMTPSVC"));
	add(id, &len, MQW_LIT("/"));
	add(id, &len, r->sender.len ? r->sender : MQW_LIT("<>"));
	if (size.len) {
		add(id, &len, MQW_LIT("/"));
		add(id, &len, size);
	}
	add(id, &len, MQW_LIT("/"));
	add(id, &len, r->recipient);
	return mqw_slice(id, len);
}

/* An event about the message that an answer is about. */
static int emit(const struct telling *t, const struct mqw_smtp_result *r, struct mqw_slice id,
	struct mqw_event e)
{
	e.queue_id = id;
	e.instance = r->site.len ? r->site : t->line->tag;
	e.evidence = t->line->evidence;
	return t->out->emit(t->out->ctx, &e);
}

static int tell(void *ctx, const struct mqw_smtp_result *r)
{
	const struct telling *t = ctx;
	struct mqw_event queued = mqw_event(MQW_EVENT_QUEUED, t->line->time);
	struct mqw_event e = mqw_event(MQW_EVENT_ATTEMPT, t->line->time);
	char text[ID_MAX], size_text[SIZE_MAX_LEN];
	struct mqw_slice size, id;
	int result;

	if (!r->recipient.ptr || !r->sender.ptr)
		return 0;
	size = size_of(t->probe, r);
	id = make_id(r, size, text);
	if (size.len)
		size = mqw_slice(memcpy(size_text, size.ptr, size.len), size.len);
	note_size(t->probe, r, size, r->outcome == MQW_OUTCOME_DEFERRED);
	queued.sender = r->sender;
	result = emit(t, r, id, queued);
	if (result < 0)
		return result;
	e.recipient = r->recipient;
	e.relay = r->remote;
	e.outcome = r->outcome;
	e.code = r->code;
	e.status = mqw_reply_status(r->reply);
	e.reply = r->outcome == MQW_OUTCOME_SENT ? MQW_SLICE_NULL : r->reply;
	e.doubtful = r->doubtful;
	result = emit(t, r, id, e);
	if (result < 0 || r->outcome == MQW_OUTCOME_DEFERRED)
		return result;
	/* The next message with these figures is another one. */
	return emit(t, r, id, mqw_event(MQW_EVENT_REMOVED, t->line->time));
}

int mqw_iis_smtp_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct telling t = {.probe = p, .line = line, .out = out};

	if (!line->columns || !mqw_iis_smtp_is_mine(line->tag))
		return MQW_LINE_FOREIGN;
	return mqw_windows_smtp_line(&p->sessions, line, tell, &t);
}
