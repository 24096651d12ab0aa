/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Postfix's log lines: "[severity: ][QUEUEID: ]TEXT". Who logged decides what a text means: the
 * same "removed" is the end of a life from qmgr, an operator's deed from postsuper, and a refused
 * message from cleanup (3.10 and later).
 */
#define _GNU_SOURCE /* memrchr */
#include "probes/postfix/log_internal.h"

#include <stdlib.h>

#include "probes/common.h"

struct mqw_probe *mqw_postfix_log_create(const char *const *next_hops, size_t next_hop_count)
{
	struct mqw_probe *p = calloc(1, sizeof(*p));

	if (p) {
		p->next_hops = next_hops;
		p->next_hop_count = next_hop_count;
	}
	return p;
}

struct mqw_probe *mqw_postfix_log_free(struct mqw_probe *p)
{
	free(p);
	return NULL;
}

enum mqw_postfix_program mqw_postfix_program_of(struct mqw_slice tag)
{
	static const struct {
		struct mqw_slice name;
		enum mqw_postfix_program program;
	} programs[] = {
		/* The busiest first. */
		{MQW_LIT("smtp"), PROGRAM_AGENT},
		{MQW_LIT("qmgr"), PROGRAM_QMGR},
		{MQW_LIT("smtpd"), PROGRAM_SMTPD},
		{MQW_LIT("cleanup"), PROGRAM_CLEANUP},
		{MQW_LIT("lmtp"), PROGRAM_AGENT},
		{MQW_LIT("pipe"), PROGRAM_AGENT},
		{MQW_LIT("local"), PROGRAM_LOCAL},
		{MQW_LIT("virtual"), PROGRAM_AGENT},
		{MQW_LIT("bounce"), PROGRAM_BOUNCE},
		{MQW_LIT("error"), PROGRAM_AGENT},
		{MQW_LIT("pickup"), PROGRAM_PICKUP},
		{MQW_LIT("discard"), PROGRAM_DISCARD},
		{MQW_LIT("postsuper"), PROGRAM_POSTSUPER},
		{MQW_LIT("nqmgr"), PROGRAM_QMGR},
		{MQW_LIT("oqmgr"), PROGRAM_QMGR},
		{MQW_LIT("defer"), PROGRAM_BOUNCE},
		{MQW_LIT("trace"), PROGRAM_BOUNCE},
		{MQW_LIT("retry"), PROGRAM_AGENT},
		{MQW_LIT("relay"), PROGRAM_AGENT},
		{MQW_LIT("anvil"), PROGRAM_OTHER},
		{MQW_LIT("dnsblog"), PROGRAM_OTHER},
		{MQW_LIT("flush"), PROGRAM_OTHER},
		{MQW_LIT("master"), PROGRAM_OTHER},
		{MQW_LIT("postalias"), PROGRAM_OTHER},
		{MQW_LIT("postdrop"), PROGRAM_OTHER},
		{MQW_LIT("postfix-script"), PROGRAM_OTHER},
		{MQW_LIT("postlog"), PROGRAM_OTHER},
		{MQW_LIT("postlogd"), PROGRAM_OTHER},
		{MQW_LIT("postmap"), PROGRAM_OTHER},
		{MQW_LIT("postqueue"), PROGRAM_OTHER},
		{MQW_LIT("postscreen"), PROGRAM_OTHER},
		{MQW_LIT("proxymap"), PROGRAM_OTHER},
		{MQW_LIT("scache"), PROGRAM_OTHER},
		{MQW_LIT("sendmail"), PROGRAM_OTHER},
		{MQW_LIT("showq"), PROGRAM_OTHER},
		{MQW_LIT("spawn"), PROGRAM_OTHER},
		{MQW_LIT("tlsmgr"), PROGRAM_OTHER},
		{MQW_LIT("tlsproxy"), PROGRAM_OTHER},
		{MQW_LIT("trivial-rewrite"), PROGRAM_OTHER},
		{MQW_LIT("verify"), PROGRAM_OTHER},
	};
	const char *slash = tag.len ? memrchr(tag.ptr, '/', tag.len) : NULL;
	struct mqw_slice name;

	if (!slash)
		return mqw_slice_eq(tag, MQW_LIT("postfix")) ? PROGRAM_OTHER : PROGRAM_NONE;
	name = mqw_slice_from(tag, (size_t)(slash - tag.ptr) + 1);
	for (size_t i = 0; name.len && i < sizeof(programs) / sizeof(programs[0]); i++)
		if (name.ptr[0] == programs[i].name.ptr[0] && mqw_slice_eq(name, programs[i].name))
			return programs[i].program;
	/* A delivery service of the operator's own, run under Postfix's plain name. */
	return mqw_slice_starts(tag, MQW_LIT("postfix")) ? PROGRAM_OTHER : PROGRAM_NONE;
}

bool mqw_postfix_is_mine(struct mqw_slice tag)
{
	return mqw_postfix_program_of(tag) != PROGRAM_NONE;
}

static bool skip_severity(struct mqw_slice *s)
{
	if (s->len == 0 || s->ptr[0] < 'e')
		return false; /* an id, nearly always */
	return mqw_slice_skip(s, MQW_LIT("warning: ")) || mqw_slice_skip(s, MQW_LIT("error: ")) ||
		mqw_slice_skip(s, MQW_LIT("fatal: ")) || mqw_slice_skip(s, MQW_LIT("panic: "));
}

/* What a byte says about an id that it is part of; 0: it is part of none. */
enum { ID_HEX = 1, ID_DIGIT = 2, ID_NO_HEX = 4 };
static const unsigned char id_bytes[256] = {
	['0' ... '9'] = ID_HEX | ID_DIGIT,
	['A' ... 'F'] = ID_HEX,
	['G' ... 'Z'] = ID_NO_HEX,
	['a' ... 'z'] = ID_NO_HEX,
};

/*
 * Takes "ID: " from the front. Wider than mqw_postfix_valid_id(): anonymised logs carry ids of
 * changed letters. Postfix begins no line with a stranger's words, so that a look-alike can only
 * be one of its own words; those hold no digit, or are shorter.
 */
static bool take_queue_id(struct mqw_slice *s, struct mqw_slice *ret)
{
	const size_t most = s->len < 64 ? s->len : 64;
	unsigned char what, seen = 0;
	size_t n = 0;

	for (; n < most && (what = id_bytes[(unsigned char)s->ptr[n]]); n++)
		seen |= what;
	if (n < 6 || n + 1 >= s->len || s->ptr[n] != ':' || s->ptr[n + 1] != ' ')
		return false;
	if ((seen & ID_NO_HEX) && (n < 10 || !(seen & ID_DIGIT)))
		return false;
	*ret = mqw_slice_head(*s, n);
	*s = mqw_slice_from(*s, n + 2);
	return true;
}

static enum mqw_line_result cut_angle(struct mqw_slice s, struct mqw_slice *ret)
{
	if (mqw_slice_starts(s, MQW_LIT("<")) && mqw_slice_ends(s, MQW_LIT(">")))
		s = mqw_slice(s.ptr + 1, s.len - 2);
	*ret = s;
	return MQW_LINE_USED;
}

/* ", size=1234, " where "nrcpt=" follows, as it does in every version so far. */
static bool skip_size(struct mqw_slice *s)
{
	uint64_t size;

	return mqw_slice_skip(s, MQW_LIT(", size=")) && mqw_slice_take_u64(s, &size) &&
		mqw_slice_skip(s, MQW_LIT(", ")) && mqw_slice_starts(*s, MQW_LIT("nrcpt="));
}

static enum mqw_line_result read_qmgr(struct mqw_slice s, struct mqw_event *e)
{
	struct mqw_slice rest;

	if (mqw_slice_eq(s, MQW_LIT("removed"))) {
		e->kind = MQW_EVENT_REMOVED;
		return MQW_LINE_USED;
	}
	if (!mqw_slice_skip(&s, MQW_LIT("from=")) || !mqw_take_path(&s, &e->sender))
		return mqw_slice_starts(s, MQW_LIT("skipped, still being delivered"))
			? MQW_LINE_DULL
			: MQW_LINE_STRANGE;
	if (mqw_slice_starts(s, MQW_LIT(", status=expired")) ||
		mqw_slice_starts(s, MQW_LIT(", status=force-expired"))) {
		e->kind = MQW_EVENT_GAVE_UP;
		e->forced = s.ptr[sizeof(", status=") - 1] == 'f';
		return MQW_LINE_USED;
	}
	if (!mqw_slice_starts(s, MQW_LIT(", size=")))
		return MQW_LINE_STRANGE;
	rest = s;
	if (!skip_size(&rest))
		rest = mqw_slice_from(s, mqw_slice_find(s, MQW_LIT("nrcpt=")));
	if (mqw_slice_skip(&rest, MQW_LIT("nrcpt=")))
		mqw_slice_take_u64(&rest, &e->count);
	e->kind = MQW_EVENT_QUEUED;
	return MQW_LINE_USED;
}

static enum mqw_line_result read_smtpd(struct mqw_slice s, struct mqw_event *e)
{
	if (mqw_slice_starts(s, MQW_LIT("client=")))
		e->kind = MQW_EVENT_OPENED;
	else if (mqw_slice_starts(s, MQW_LIT("discard: ")))
		e->kind = MQW_EVENT_DISCARDED;
	else if (mqw_slice_starts(s, MQW_LIT("hold: ")))
		e->kind = MQW_EVENT_HELD;
	else
		return MQW_LINE_DULL; /* refusals of single recipients, filter:, redirect:, TLS... */
	return MQW_LINE_USED;
}

static enum mqw_line_result read_cleanup(struct mqw_slice s, struct mqw_event *e)
{
	static const struct mqw_slice dull[] = {
		MQW_LIT("redirect: "),
		MQW_LIT("filter: "),
		MQW_LIT("bcc: "),
		MQW_LIT("prepend: "),
		MQW_LIT("replace: "),
		MQW_LIT("warning: "),
		MQW_LIT("info: "),
		MQW_LIT("strip: "),
		MQW_LIT("delay: "),
		MQW_LIT("pass: "),
		MQW_LIT("milter-"),
		MQW_LIT("table "),
	};
	static const struct {
		struct mqw_slice prefix;
		enum mqw_event_kind kind;
	} words[] = {
		{MQW_LIT("hold: "), MQW_EVENT_HELD},
		{MQW_LIT("milter-hold"), MQW_EVENT_HELD},
		{MQW_LIT("milter triggers HOLD action"), MQW_EVENT_HELD},
		{MQW_LIT("discard: "), MQW_EVENT_DISCARDED},
		{MQW_LIT("milter-discard"), MQW_EVENT_DISCARDED},
		{MQW_LIT("removed (discarded)"), MQW_EVENT_DISCARDED},
		{MQW_LIT("reject: "), MQW_EVENT_REFUSED},
		{MQW_LIT("milter-reject: "), MQW_EVENT_REFUSED},
		{MQW_LIT("removed (canceled)"), MQW_EVENT_REFUSED},
		{MQW_LIT("canceled"), MQW_EVENT_REFUSED},
	};

	if (mqw_slice_skip(&s, MQW_LIT("message-id="))) {
		e->kind = MQW_EVENT_MESSAGE_ID;
		return cut_angle(s, &e->message_id);
	}
	if (mqw_slice_starts(s, MQW_LIT("resent-message-id=")))
		return MQW_LINE_DULL;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (mqw_slice_starts(s, words[i].prefix)) {
			e->kind = words[i].kind;
			return MQW_LINE_USED;
		}
	for (size_t i = 0; i < sizeof(dull) / sizeof(dull[0]); i++)
		if (mqw_slice_starts(s, dull[i]))
			return MQW_LINE_DULL;
	return MQW_LINE_STRANGE;
}

/* "uid=1000 from=<a@b>" and, for what came back by postsuper -r, " orig_id=ID" behind it. */
static enum mqw_line_result read_pickup(struct mqw_slice s, struct mqw_event *e)
{
	uint64_t uid;

	if (!mqw_slice_skip(&s, MQW_LIT("uid=")) || !mqw_slice_take_u64(&s, &uid) ||
		!mqw_slice_skip(&s, MQW_LIT(" from=")) || !mqw_take_path(&s, &e->sender))
		return MQW_LINE_STRANGE;
	if (mqw_slice_skip(&s, MQW_LIT(" orig_id=")))
		e->other_id = mqw_slice_head(s, mqw_slice_chr(s, ' '));
	e->kind = MQW_EVENT_OPENED;
	return MQW_LINE_USED;
}

static enum mqw_line_result read_bounce(struct mqw_slice s, struct mqw_event *e)
{
	if (mqw_slice_skip(&s, MQW_LIT("sender non-delivery notification: ")))
		e->kind = MQW_EVENT_NDR;
	else if (mqw_slice_skip(&s, MQW_LIT("sender delay notification: ")) ||
		mqw_slice_skip(&s, MQW_LIT("sender delivery status notification: ")) ||
		mqw_slice_skip(&s, MQW_LIT("postmaster non-delivery notification: ")) ||
		mqw_slice_skip(&s, MQW_LIT("postmaster delay notification: ")))
		e->kind = MQW_EVENT_NOTIFIED;
	else
		return MQW_LINE_STRANGE;
	e->other_id = s;
	return MQW_LINE_USED;
}

static enum mqw_line_result read_postsuper(
	struct mqw_probe *p, struct mqw_slice s, struct mqw_event *e)
{
	if (mqw_slice_eq(s, MQW_LIT("removed"))) {
		p->named_removed++;
		e->kind = MQW_EVENT_ADMIN_REMOVED;
	} else if (mqw_slice_eq(s, MQW_LIT("placed on hold"))) {
		p->named_held++;
		e->kind = MQW_EVENT_HELD;
	} else if (mqw_slice_eq(s, MQW_LIT("released from hold"))) {
		e->kind = MQW_EVENT_RELEASED;
	} else if (mqw_slice_eq(s, MQW_LIT("requeued"))) {
		p->named_requeued++;
		e->kind = MQW_EVENT_ADMIN_REQUEUED;
	} else {
		return mqw_slice_eq(s, MQW_LIT("expired")) ? MQW_LINE_DULL : MQW_LINE_STRANGE;
	}
	return MQW_LINE_USED;
}

/* "Deleted: 3 messages": with the argument ALL no id is named (facts, postsuper). */
static enum mqw_line_result read_summary(
	struct mqw_probe *p, struct mqw_slice s, struct mqw_event *e)
{
	uint64_t *named, count, unnamed;
	struct mqw_slice words = s;

	if (mqw_slice_skip(&s, MQW_LIT("Deleted: ")))
		named = &p->named_removed;
	else if (mqw_slice_skip(&s, MQW_LIT("Placed on hold: ")))
		named = &p->named_held;
	else if (mqw_slice_skip(&s, MQW_LIT("Requeued: ")))
		named = &p->named_requeued;
	else
		return MQW_LINE_DULL;
	if (!mqw_slice_take_u64(&s, &count))
		return MQW_LINE_STRANGE;
	unnamed = count > *named ? count - *named : 0;
	*named = 0;
	if (unnamed == 0)
		return MQW_LINE_DULL;
	e->kind = MQW_EVENT_BULK;
	e->count = unnamed;
	e->reply = words;
	return MQW_LINE_USED;
}

/*
 * Warnings in which Postfix itself says that a queue file is damaged or gone:
 * qmgr's `saving corrupt file "ID" from queue "active" to queue "corrupt"` and
 * `open active ID: No such file or directory`.
 */
static enum mqw_line_result read_file_lost(struct mqw_slice s, struct mqw_event *e)
{
	struct mqw_slice words = s;

	if (mqw_slice_skip(&s, MQW_LIT("saving corrupt file \""))) {
		e->queue_id = mqw_slice_head(s, mqw_slice_chr(s, '"'));
	} else if (mqw_slice_skip(&s, MQW_LIT("open active ")) ||
		mqw_slice_skip(&s, MQW_LIT("open file active "))) {
		e->queue_id = mqw_slice_head(s, mqw_slice_chr(s, ':'));
		if (!mqw_slice_ends(s, MQW_LIT(": No such file or directory")))
			return MQW_LINE_DULL;
	} else {
		return MQW_LINE_DULL;
	}
	if (!mqw_postfix_valid_id(e->queue_id))
		return MQW_LINE_STRANGE;
	e->kind = MQW_EVENT_FILE_LOST;
	e->reply = words;
	return MQW_LINE_USED;
}

static enum mqw_line_result read_with_id(struct mqw_probe *p, const struct mqw_line *line,
	enum mqw_postfix_program program, struct mqw_slice s, struct mqw_event *e)
{
	if (mqw_slice_starts(s, MQW_LIT("to=<"))) {
		e->kind = MQW_EVENT_ATTEMPT;
		return mqw_postfix_read_attempt(p, line, program, s, e) ? MQW_LINE_USED
									: MQW_LINE_STRANGE;
	}
	switch (program) {
	case PROGRAM_QMGR:
		return read_qmgr(s, e);
	case PROGRAM_SMTPD:
		return read_smtpd(s, e);
	case PROGRAM_CLEANUP:
		return read_cleanup(s, e);
	case PROGRAM_PICKUP:
		return read_pickup(s, e);
	case PROGRAM_BOUNCE:
		return read_bounce(s, e);
	case PROGRAM_POSTSUPER:
		return read_postsuper(p, s, e);
	case PROGRAM_AGENT:
	case PROGRAM_LOCAL:
	case PROGRAM_DISCARD:
	case PROGRAM_OTHER:
	case PROGRAM_NONE:
		break;
	}
	return MQW_LINE_DULL; /* what happened at one MX, handing over between transports... */
}

static enum mqw_line_result read_without_id(struct mqw_probe *p, enum mqw_postfix_program program,
	struct mqw_slice s, struct mqw_event *e)
{
	return program == PROGRAM_POSTSUPER ? read_summary(p, s, e) : read_file_lost(s, e);
}

/* The same by what was found out before; *ret_instance: the tag up to its first slash. */
static enum mqw_postfix_program know_tag(
	struct mqw_probe *p, struct mqw_slice tag, struct mqw_slice *ret_instance)
{
	struct mqw_postfix_tag *known;

	if (tag.len == 0 || tag.len > sizeof(known->text)) {
		*ret_instance = mqw_slice_head(tag, mqw_slice_chr(tag, '/'));
		return mqw_postfix_program_of(tag);
	}
	known = &p->tags[(tag.len ^ (unsigned char)tag.ptr[tag.len - 1]) % MQW_POSTFIX_TAGS];
	if (known->len != tag.len || !mqw_same_bytes(known->text, tag.ptr, tag.len)) {
		memcpy(known->text, tag.ptr, tag.len);
		known->len = (uint8_t)tag.len;
		known->instance_len = (uint8_t)mqw_slice_chr(tag, '/');
		known->program = (uint8_t)mqw_postfix_program_of(tag);
	}
	*ret_instance = mqw_slice(tag.ptr, known->instance_len);
	return (enum mqw_postfix_program)known->program;
}

int mqw_postfix_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct mqw_slice s = line->text, id = MQW_SLICE_NULL, instance;
	enum mqw_postfix_program program = know_tag(p, line->tag, &instance);
	struct mqw_event e;
	enum mqw_line_result result;
	bool severe, has_id;
	int r;

	if (program == PROGRAM_NONE)
		return MQW_LINE_FOREIGN;
	severe = skip_severity(&s);
	has_id = take_queue_id(&s, &id);
	/* "warning: ID: message rejected: ..." explains; the deed has a line of its own. */
	if (has_id && severe)
		return MQW_LINE_DULL;
	if (!has_id && !severe && program != PROGRAM_POSTSUPER) {
		if (program == PROGRAM_AGENT)
			mqw_postfix_note_rewrite(p, line);
		return MQW_LINE_DULL;
	}
	e = mqw_unknown_event;
	e.kind = MQW_EVENT_COUNT;
	e.time = line->time;
	e.realm = line->host;
	e.instance = instance;
	e.evidence = line->evidence;
	e.queue_id = id;
	result =
		has_id ? read_with_id(p, line, program, s, &e) : read_without_id(p, program, s, &e);
	if (result != MQW_LINE_USED)
		return (int)result;
	r = out->emit(out->ctx, &e);
	return r < 0 ? r : MQW_LINE_USED;
}
