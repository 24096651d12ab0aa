/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/cli/batch.h"

enum step { STEP_EVENT, STEP_TIME, STEP_RECOGNISED };

/* Text, host and tag, each no longer than a line may be. */
_Static_assert(MQW_BATCH_BYTES >= 3 * MQW_LINE_MAX + 2 * sizeof(struct mqw_columns),
	"a line has to fit into an empty batch");
#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(struct mqw_event) == 248, "a text that is new has to be kept too");
#endif

static const size_t texts[] = {offsetof(struct mqw_event, realm),
	offsetof(struct mqw_event, instance), offsetof(struct mqw_event, queue_id),
	offsetof(struct mqw_event, other_id), offsetof(struct mqw_event, sender),
	offsetof(struct mqw_event, recipient), offsetof(struct mqw_event, message_id),
	offsetof(struct mqw_event, relay), offsetof(struct mqw_event, status),
	offsetof(struct mqw_event, reply)};

#define TEXTS (sizeof(texts) / sizeof(texts[0]))

/*
 * A batch that is filled was read by another processor last, and each write to it waits until that one has
 * given up the piece of its cache. Asked for some lines ahead, it is here when it is written: that made
 * two threads faster by nearly a half. Every x86-64 has the instruction, or takes it for none.
 */
#define LINES_AHEAD 6
#define BYTES_AHEAD ((size_t)768) /* so much text have that many lines, about */
#define BYTES_A_LINE ((size_t)256)
#define CACHE_LINE 64
#ifdef __x86_64__
#define WRITES_AHEAD __attribute__((target("prfchw")))
#else
#define WRITES_AHEAD
#endif

WRITES_AHEAD static inline void will_write(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i += CACHE_LINE)
		__builtin_prefetch(p + i, 1);
}

static void forget(struct mqw_batch *b)
{
	b->event_count = b->time_count = b->step_count = b->words_used = 0;
}

void mqw_batch_empty(struct mqw_batch *b)
{
	b->line_count = b->used = 0;
	forget(b);
}

static bool is_within(struct mqw_slice s, const char *bytes, size_t len)
{
	return (uintptr_t)s.ptr - (uintptr_t)bytes <= len;
}

/* What is part of the whole is so in its copy; what is not is a word of the probe's own. */
static inline void follow_whole(struct mqw_slice *s, struct mqw_slice whole, const char *copy)
{
	if (is_within(*s, whole.ptr, whole.len))
		s->ptr = copy + (s->ptr - whole.ptr);
}

static void add_bytes(struct mqw_batch *b, struct mqw_slice *s)
{
	char *to = b->bytes + b->used;

	if (!s->len)
		return;
	memcpy(to, s->ptr, s->len);
	s->ptr = to;
	b->used += s->len;
}

/* The reader of the log changes its own with the lines that follow. */
static const struct mqw_columns *add_columns(struct mqw_batch *b, const struct mqw_columns *columns)
{
	const size_t align = _Alignof(struct mqw_columns);
	const size_t at = (b->used + align - 1) / align * align;

	memcpy(b->bytes + at, columns, sizeof(*columns));
	b->used = at + sizeof(*columns);
	return (const struct mqw_columns *)(const void *)(b->bytes + at);
}

/* What a line has besides its text, for which there is room. */
static void add_rest(struct mqw_batch *b, struct mqw_line *line, bool is_scattered)
{
	if (is_scattered) {
		add_bytes(b, &line->host);
		add_bytes(b, &line->tag);
	}
	if (line->columns)
		line->columns = add_columns(b, line->columns);
}

static size_t room_for_rest(const struct mqw_input_line *l)
{
	return (l->is_scattered ? l->line.host.len + l->line.tag.len : 0) +
		(l->line.columns ? 2 * sizeof(struct mqw_columns) : 0);
}

WRITES_AHEAD bool mqw_batch_add_line(struct mqw_batch *b, const struct mqw_input_line *l)
{
	const bool more = l->is_scattered || l->line.columns;
	const size_t len = l->text.len, need = len + (more ? room_for_rest(l) : 0);
	char *to = b->bytes + b->used;
	struct mqw_input_line *copy;

	if (b->line_count == MQW_BATCH_LINES || need > MQW_BATCH_BYTES - b->used)
		return false;
	copy = &b->lines[b->line_count++];
	if (b->line_count + LINES_AHEAD < MQW_BATCH_LINES)
		will_write((const char *)(copy + LINES_AHEAD), sizeof(*copy));
	if (b->used + BYTES_AHEAD + BYTES_A_LINE <= MQW_BATCH_BYTES)
		will_write(to + BYTES_AHEAD, BYTES_A_LINE);
	*copy = *l;
	if (len)
		memcpy(to, l->text.ptr, len);
	b->used += len;
	follow_whole(&copy->text, l->text, to);
	follow_whole(&copy->line.text, l->text, to);
	follow_whole(&copy->line.host, l->text, to);
	follow_whole(&copy->line.tag, l->text, to);
	if (more)
		add_rest(b, &copy->line, l->is_scattered);
	return true;
}

static inline struct mqw_slice *text_of(struct mqw_event *e, size_t i)
{
	return (struct mqw_slice *)(void *)((char *)e + texts[i]);
}

/* The texts of the event that are in no line; false when there is no room for them. */
static bool keep_words(struct mqw_batch *b, struct mqw_event *e)
{
	for (size_t i = 0; i < TEXTS; i++) {
		struct mqw_slice *s = text_of(e, i);

		/* An empty text with an address says something else than one without. */
		if (!s->ptr || is_within(*s, b->bytes, b->used))
			continue;
		if (s->len > MQW_BATCH_WORDS - b->words_used)
			return false;
		memcpy(b->words + b->words_used, s->ptr, s->len);
		s->ptr = b->words + b->words_used;
		b->words_used += s->len;
	}
	return true;
}

bool mqw_batch_add_event(struct mqw_batch *b, const struct mqw_event *e)
{
	struct mqw_event *copy = &b->events[b->event_count];
	size_t words_used = b->words_used;

	if (b->event_count == MQW_BATCH_EVENTS)
		return false;
	*copy = *e;
	if (!keep_words(b, copy)) {
		b->words_used = words_used;
		return false;
	}
	b->event_count++;
	b->steps[b->step_count++] = STEP_EVENT;
	return true;
}

void mqw_batch_add_time(struct mqw_batch *b, int64_t now)
{
	b->times[b->time_count++] = now;
	b->steps[b->step_count++] = STEP_TIME;
}

void mqw_batch_add_recognised(struct mqw_batch *b, const struct mqw_probe_ops *mta)
{
	b->mta = mta;
	b->steps[b->step_count++] = STEP_RECOGNISED;
}

int mqw_batch_tell(struct mqw_batch *b, struct mqw_outlet *to)
{
	size_t event = 0, time = 0;
	int fault = 0;

	for (size_t i = 0; fault >= 0 && i < b->step_count; i++) {
		switch ((enum step)b->steps[i]) {
		case STEP_EVENT:
			fault = to->sink.emit(to->sink.ctx, &b->events[event++]);
			break;
		case STEP_TIME:
			to->time(to->time_ctx, b->times[time++]);
			break;
		case STEP_RECOGNISED:
			to->recognised(to->recognised_ctx, b->mta);
			break;
		}
	}
	forget(b);
	return fault < 0 ? fault : 0;
}
