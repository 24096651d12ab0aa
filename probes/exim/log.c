/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exim's main log: "YYYY-MM-DD HH:MM:SS[.mmm][ +ZZZZ][ [PID]] ID FLAG ..." or "... ID words", in a
 * file of its own or through syslog, where the stamp may come a second time and long lines come in
 * pieces (log.c of Exim 4.96: log_write and write_syslog). Words behind an id are Exim's own.
 */
#include "probes/exim/log_internal.h"

#include <stdlib.h>

#include "probes/syslog/header.h"

#define RECEPTION_MAX (2 * MQW_MINUTE) /* between the id's seconds and the line of arrival */
#define QUARTER (15 * MQW_MINUTE) /* what zones differ by */

/* The tag of lines that Exim wrote itself; known by its address. */
static const char own_tag[] = "exim";

struct mqw_probe *mqw_exim_log_create(const char *const *next_hops, size_t next_hop_count)
{
	struct mqw_probe *p = calloc(1, sizeof(*p));

	if (p) {
		p->next_hops = next_hops;
		p->next_hop_count = next_hop_count;
		p->id_offset = p->started = MQW_TIME_NONE;
	}
	return p;
}

struct mqw_probe *mqw_exim_log_free(struct mqw_probe *p)
{
	free(p);
	return NULL;
}

/* "exim", "exim4", "exim-out": what -oX or the name of the binary makes of it. */
bool mqw_exim_is_mine(struct mqw_slice tag)
{
	return mqw_slice_skip(&tag, MQW_LIT("exim")) &&
		(tag.len == 0 || tag.ptr[0] == '4' || tag.ptr[0] == '-');
}

/* "[1234] " of the selector +pid. */
static uint32_t skip_bracketed_pid(struct mqw_slice *s)
{
	struct mqw_slice rest = mqw_slice_from(*s, 1);
	uint64_t pid;

	if (!mqw_slice_take_u64(&rest, &pid) || pid > UINT32_MAX ||
		!mqw_slice_skip(&rest, MQW_LIT("] ")))
		return 0;
	*s = rest;
	return (uint32_t)pid;
}

static inline uint32_t skip_pid(struct mqw_slice *s)
{
	return s->len && s->ptr[0] == '[' ? skip_bracketed_pid(s) : 0;
}

/* The flag in front of s, with the blank behind it: three bytes, unless there is none. */
static inline enum mqw_exim_flag flag_of(struct mqw_slice s)
{
	const char *c = s.ptr;

	if (s.len < 3 || c[2] != ' ')
		return FLAG_NONE;
	if (c[1] == '=')
		return c[0] == '<' || c[0] == '(' ? FLAG_ARRIVED
			: c[0] == '='             ? FLAG_DEFERRED
						  : FLAG_NONE;
	if (c[1] == '>')
		return c[0] == '=' || c[0] == '-' || c[0] == '>' ? FLAG_DELIVERED
			: c[0] == '*'                            ? FLAG_SUPPRESSED
								 : FLAG_NONE;
	return c[0] == '*' && c[1] == '*' ? FLAG_FAILED : FLAG_NONE;
}

/* Length of the id in front of s that a blank follows; 0 for none. */
static size_t id_length(struct mqw_slice s)
{
	size_t n = mqw_exim_id_length(s);

	return n < s.len && s.ptr[n] == ' ' ? n : 0;
}

/* "HOST exim[PID]: ...": a syslog header whose stamp has a blank where others have a T. */
static bool has_syslog_tag(struct mqw_slice s)
{
	struct mqw_slice tag = mqw_slice_from(s, mqw_slice_chr(s, ' ') + 1);

	tag = mqw_slice_head(tag, mqw_slice_chr(tag, ' '));
	return mqw_slice_ends(tag, MQW_LIT(":")) && mqw_slice_starts(tag, MQW_LIT("exim"));
}

enum mqw_form mqw_exim_own_form(
	struct mqw_syslog_reader *stamps, struct mqw_slice raw, struct mqw_line *ret)
{
	struct mqw_slice s = raw, rest;
	size_t n;

	if (s.len < 20 || s.ptr[4] != '-' || s.ptr[10] != ' ' ||
		!mqw_syslog_take_stamp(stamps, &s, &ret->time))
		return MQW_FORM_NONE;
	ret->pid = skip_pid(&s);
	n = id_length(s);
	if (n == 0 && has_syslog_tag(s))
		return MQW_FORM_NONE;
	ret->host = MQW_SLICE_NULL;
	ret->tag = mqw_slice(own_tag, sizeof(own_tag) - 1);
	ret->text = s;
	ret->id_len = (uint32_t)n;
	if (n) {
		rest = mqw_slice_from(s, n + 1);
		return flag_of(rest) != FLAG_NONE || mqw_slice_starts(rest, MQW_LIT("Completed"))
			? MQW_FORM_CERTAIN
			: MQW_FORM_POSSIBLE;
	}
	return mqw_slice_starts(s, MQW_LIT("Start queue run: pid=")) ||
			mqw_slice_starts(s, MQW_LIT("End queue run: pid=")) ||
			mqw_slice_starts(s, MQW_LIT("exim 4."))
		? MQW_FORM_CERTAIN
		: MQW_FORM_POSSIBLE;
}

static bool is_digits(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return true;
}

/* The stamp that a line through syslog has a second time, unless syslog_timestamp is off. */
static void skip_inner_stamp(struct mqw_slice *s)
{
	const char *p = s->ptr;
	size_t n = 19;

	if (s->len < 20 || p[4] != '-' || p[7] != '-' || p[10] != ' ' || p[13] != ':' ||
		!is_digits(p, 4) || !is_digits(p + 11, 2))
		return;
	if (p[n] == '.' && s->len > n + 4 && is_digits(p + n + 1, 3))
		n += 4;
	if (s->len > n + 6 && p[n] == ' ' && (p[n + 1] == '+' || p[n + 1] == '-') &&
		is_digits(p + n + 2, 4))
		n += 6;
	if (n < s->len && p[n] == ' ')
		*s = mqw_slice_from(*s, n + 1);
}

static int give(struct mqw_sink *out, const struct mqw_event *e)
{
	int r = out->emit(out->ctx, e);

	return r < 0 ? r : MQW_LINE_USED;
}

/* Ids tell the time in UTC: how far the stamps of lines of arrival are from it is their zone. */
static void learn_offset(struct mqw_probe *p, const struct mqw_event *e)
{
	int64_t ahead = e->time - mqw_exim_id_time(e->queue_id);
	int64_t offset = (ahead + QUARTER + 5 * MQW_SECOND) / QUARTER * QUARTER - QUARTER;

	if (ahead > -MQW_DAY && ahead < MQW_DAY && ahead - offset < RECEPTION_MAX)
		p->id_offset = offset;
}

static struct mqw_slice take_sender(struct mqw_slice *s)
{
	bool quoted = false;
	size_t i = 0;
	struct mqw_slice sender;

	if (mqw_slice_skip(s, MQW_LIT("<>")))
		return mqw_slice("", 0);
	/* Quotes count only at the beginning. */
	if (s->len && s->ptr[0] != '"')
		i = mqw_slice_chr(*s, ' ');
	for (; i < s->len && (quoted || s->ptr[i] != ' '); i++) {
		if (quoted && s->ptr[i] == '\\')
			i++;
		else if (s->ptr[i] == '"' && (quoted || i == 0))
			quoted = !quoted;
	}
	sender = mqw_slice_head(*s, i);
	*s = mqw_slice_from(*s, i);
	return sender;
}

/* " id=" of the Message-ID, which stands before what is a stranger's: T="subject". */
static struct mqw_slice message_id_of(struct mqw_slice s)
{
	size_t at;

	s = mqw_slice_head(s, mqw_slice_find(s, MQW_LIT(" T=\"")));
	at = mqw_slice_find(s, MQW_LIT(" id="));
	s = mqw_slice_from(s, at + 4);
	return mqw_slice_head(s, mqw_slice_chr(s, ' '));
}

/*
 * "<= SENDER [R=ID] H=... P=... S=n [id=...]". R= behind a null sender names the message that a
 * report is about; a warning of a delay looks the same, but there nothing has failed just before.
 */
static int read_arrival(
	struct mqw_probe *p, struct mqw_slice s, struct mqw_event *e, struct mqw_sink *out)
{
	int r;

	e->kind = MQW_EVENT_ARRIVED;
	e->sender = take_sender(&s);
	if (e->sender.len == 0 && mqw_slice_skip(&s, MQW_LIT(" R="))) {
		struct mqw_event about = *e;

		about.sender = MQW_SLICE_NULL;
		about.other_id = e->queue_id;
		about.queue_id = mqw_slice_head(s, mqw_exim_id_length(s));
		about.kind = mqw_exim_failed_just_now(p, about.queue_id, e->time)
			? MQW_EVENT_NDR
			: MQW_EVENT_NOTIFIED;
		if (about.queue_id.len && (r = give(out, &about)) < 0)
			return r;
	}
	learn_offset(p, e);
	e->message_id = message_id_of(s);
	return give(out, e);
}

/* What the words behind an id mean; the first that fits counts. */
static const struct {
	struct mqw_slice words;
	bool whole; /* nothing may follow */
	bool reported; /* the sender gets a report about it */
	bool forced;
	enum mqw_event_kind kind;
} sayings[] = {
	{MQW_LIT("Completed"), true, false, false, MQW_EVENT_REMOVED},
	{MQW_LIT("Completed QT="), false, false, false, MQW_EVENT_REMOVED},
	{MQW_LIT("removed by "), false, false, false, MQW_EVENT_ADMIN_REMOVED},
	{MQW_LIT("all recipients marked delivered by "), false, false, false,
		MQW_EVENT_ADMIN_REMOVED},
	{MQW_LIT("all addresses marked delivered by "), false, false, false,
		MQW_EVENT_ADMIN_REMOVED},
	/* Too long on hold, or a filter's will: policy, whatever its last answer was. */
	{MQW_LIT("cancelled by timeout_frozen_after"), false, true, false, MQW_EVENT_DISCARDED},
	{MQW_LIT("cancelled by system filter"), false, true, false, MQW_EVENT_DISCARDED},
	{MQW_LIT("cancelled by "), false, true, true, MQW_EVENT_GAVE_UP},
	{MQW_LIT("Frozen"), true, false, false, MQW_EVENT_HELD},
	{MQW_LIT("Frozen ("), false, false, false, MQW_EVENT_HELD},
	{MQW_LIT("Frozen by "), false, false, false, MQW_EVENT_HELD},
	{MQW_LIT("frozen by "), false, false, false, MQW_EVENT_HELD},
	{MQW_LIT("*** Frozen ("), false, false, false, MQW_EVENT_HELD},
	{MQW_LIT("Message is frozen"), true, false, false, MQW_EVENT_HELD},
	{MQW_LIT("unfrozen by "), false, false, false, MQW_EVENT_RELEASED},
	{MQW_LIT("Unfrozen by "), false, false, false, MQW_EVENT_RELEASED},
	{MQW_LIT("Format error in spool file "), false, false, false, MQW_EVENT_FILE_LOST},
	{MQW_LIT("Message removed because older than "), false, false, false, MQW_EVENT_FILE_LOST},
};

/*
 * "moved from input, msglog to Finput, Fmsglog" of move_frozen_messages: it waits there for somebody to
 * look at it. Moved to a queue with a name, "to (slow) input, msglog", it is in the queue as before.
 */
static bool is_set_aside(struct mqw_slice s)
{
	return mqw_slice_skip(&s, MQW_LIT("moved from ")) &&
		mqw_slice_find(s, MQW_LIT("Finput")) < s.len;
}

/* "Spool file ID-D not found": of a file that is gone; the others are of one that is at work. */
static bool is_lost_file(struct mqw_slice s)
{
	return mqw_slice_starts(s, MQW_LIT("Spool ")) && mqw_slice_ends(s, MQW_LIT(" not found"));
}

/* "address <a@b> marked delivered by root" and "a@b: error ignored"; false when it is neither. */
static bool read_recipient_saying(struct mqw_slice s, struct mqw_event *e)
{
	struct mqw_slice child;

	e->kind = MQW_EVENT_ATTEMPT;
	if (mqw_slice_skip(&s, MQW_LIT("address <"))) {
		size_t at = mqw_slice_find(s, MQW_LIT("> marked delivered by "));

		e->recipient = mqw_slice_head(s, at);
		e->outcome = MQW_OUTCOME_WITHDRAWN;
		return at && at < s.len;
	}
	e->outcome = MQW_OUTCOME_DISCARDED;
	return mqw_slice_ends(s, MQW_LIT(": error ignored")) &&
		mqw_exim_take_recipient(&s, &child, &e->recipient) &&
		mqw_slice_eq(s, MQW_LIT(": error ignored"));
}

/*
 * A message that was put back has no line of arrival: its first line begins its life. The tracker
 * takes it well when it is told so again.
 */
static int tell_recovered(struct mqw_probe *p, const struct mqw_event *e, struct mqw_sink *out)
{
	struct mqw_event opened;
	char original[MQW_EXIM_ID_MAX + 1];

	if (!mqw_exim_original_id(e->queue_id, original) ||
		mqw_slice_eq(e->queue_id, mqw_slice_of(p->recovered)))
		return 0;
	mqw_exim_recovered_id(mqw_slice_of(original), p->recovered);
	opened = *e;
	opened.kind = MQW_EVENT_OPENED;
	opened.other_id = mqw_slice_of(original);
	return give(out, &opened);
}

static int read_saying(
	struct mqw_probe *p, struct mqw_slice s, struct mqw_event *e, struct mqw_sink *out)
{
	for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]); i++) {
		if (sayings[i].whole ? !mqw_slice_eq(s, sayings[i].words)
				     : !mqw_slice_starts(s, sayings[i].words))
			continue;
		e->kind = sayings[i].kind;
		e->forced = sayings[i].forced;
		if (e->kind == MQW_EVENT_REMOVED)
			e->from = p->started;
		if (sayings[i].reported)
			mqw_exim_note_failure(p, e->queue_id, e->time);
		if (e->kind == MQW_EVENT_FILE_LOST)
			e->reply = s;
		return give(out, e);
	}
	if (is_set_aside(s)) {
		e->kind = MQW_EVENT_HELD;
		return give(out, e);
	}
	if (is_lost_file(s)) {
		e->kind = MQW_EVENT_FILE_LOST;
		e->reply = s;
		return give(out, e);
	}
	return read_recipient_saying(s, e) ? give(out, e) : MQW_LINE_DULL;
}

/*
 * "exim 4.96 daemon started: pid=1, ...". What ran before it may have been killed, as by a restart or with
 * the machine, between a delivery and its line.
 */
static bool is_start(struct mqw_slice s)
{
	struct mqw_slice version;

	return mqw_slice_skip(&s, MQW_LIT("exim 4.")) && mqw_slice_take_until(&s, ' ', &version) &&
		mqw_slice_starts(s, MQW_LIT("daemon started: pid="));
}

/* A line behind stamp and pid, with an id of id_len bytes in front. */
static int read_text(struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice s,
	size_t id_len, struct mqw_sink *out)
{
	struct mqw_event e;
	enum mqw_exim_flag flag;
	int r;

	if (id_len == 0) {
		if (is_start(s))
			p->started = line->time;
		return MQW_LINE_DULL; /* queue runs, refusals, sessions: no message */
	}
	e = mqw_unknown_event;
	e.kind = MQW_EVENT_COUNT;
	e.time = line->time;
	e.queue_id = mqw_slice_head(s, id_len);
	e.realm = line->host;
	e.instance = line->tag;
	e.evidence = line->evidence;
	e.whole_log = line->tag.ptr == own_tag;
	if (mqw_exim_may_be_recovered(e.queue_id) && (r = tell_recovered(p, &e, out)) < 0)
		return r;
	s = mqw_slice_from(s, id_len + 1);
	flag = flag_of(s);
	if (flag == FLAG_NONE)
		return read_saying(p, s, &e, out);
	s = mqw_slice_from(s, 3);
	if (flag == FLAG_ARRIVED)
		return read_arrival(p, s, &e, out);
	if (!mqw_exim_read_attempt(p, line, flag, s, &e))
		return MQW_LINE_STRANGE;
	if (flag == FLAG_FAILED)
		mqw_exim_note_failure(p, e.queue_id, e.time);
	return give(out, &e);
}

/* Text through syslog: perhaps with stamp and pid once more. */
static int read_syslog_text(
	struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice s, struct mqw_sink *out)
{
	skip_inner_stamp(&s);
	skip_pid(&s);
	return read_text(p, line, s, id_length(s), out);
}

/*
 * The first piece is read at once: flag and address are in it, and the rest may never come. The
 * whole line is read when its last piece is there; that the first said the same changes nothing.
 */
static int read_piece(struct mqw_probe *p, const struct mqw_line *line, struct mqw_slice s,
	uint64_t number, uint64_t count, struct mqw_sink *out)
{
	struct mqw_exim_pieced *l = mqw_exim_pieced_of(p, line->pid, number == 1);

	if (!l || (number > 1 && (l->next != number || l->count != count)))
		return MQW_LINE_DULL;
	if (number == 1)
		l->len = 0;
	l->pid = line->pid;
	l->count = (unsigned int)count;
	l->next = (unsigned int)number + 1;
	l->used = ++p->pieces_seen;
	mqw_exim_add_piece(l, s);
	if (number > 1 && number < count)
		return MQW_LINE_DULL;
	if (number == count)
		l->next = 0;
	return read_syslog_text(p, line, mqw_slice(l->text, l->len), out);
}

static __attribute__((noinline)) int read_syslog(
	struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	struct mqw_slice s = line->text;
	uint64_t number, count;

	if (!mqw_exim_is_mine(line->tag))
		return MQW_LINE_FOREIGN;
	if (s.len && s.ptr[0] == '[' && mqw_exim_take_piece_head(&s, &number, &count))
		return read_piece(p, line, s, number, count, out);
	return read_syslog_text(p, line, s, out);
}

int mqw_exim_line(struct mqw_probe *p, const struct mqw_line *line, struct mqw_sink *out)
{
	if (line->tag.ptr == own_tag)
		return read_text(p, line, line->text, line->id_len, out);
	return read_syslog(p, line, out);
}
