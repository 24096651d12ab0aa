/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many messages that lose their last line at the same time are a broken log source, not lost mail:
 * a log socket that nobody reads, a disk that was full. Told by the hour: of the messages deferred
 * in it, most were never heard of again, and they are many.
 */
#include "watchdogd/track/tracker_internal.h"

#include <errno.h>
#include <stdlib.h>

#define MANY 10

void mqw_silence_done(struct mqw_silence *s)
{
	free(s->hours);
	*s = (struct mqw_silence){0};
}

static size_t search(const struct mqw_silence *s, int64_t hour)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->hours[mid].count.hour < hour)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct mqw_silence_hour *find_hour(struct mqw_silence *s, int64_t hour, bool make)
{
	/* Lines come nearly in order: the last hour is the one asked for, nearly always. */
	size_t i = s->count && s->hours[s->count - 1].count.hour == hour ? s->count - 1
									 : search(s, hour);

	if (i < s->count && s->hours[i].count.hour == hour)
		return &s->hours[i];
	if (!make)
		return NULL;
	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		void *p = realloc(s->hours, cap * sizeof(*s->hours));

		if (!p)
			return NULL; /* a statistic less; no verdict is wrong for it */
		s->hours = p;
		s->cap = cap;
	}
	memmove(&s->hours[i + 1], &s->hours[i], (s->count - i) * sizeof(*s->hours));
	s->hours[i] = (struct mqw_silence_hour){.count.hour = hour};
	s->count++;
	return &s->hours[i];
}

void mqw_silence_followed(struct mqw_silence *s, int64_t deferred_at)
{
	struct mqw_silence_hour *h =
		deferred_at == MQW_TIME_NONE ? NULL : find_hour(s, deferred_at / MQW_HOUR, false);

	if (h && h->count.followed < h->count.deferred) {
		h->count.followed++;
		h->changed = s->changed = true;
	}
}

void mqw_silence_deferred(struct mqw_silence *s, int64_t before, int64_t now)
{
	struct mqw_silence_hour *h;

	mqw_silence_followed(s, before);
	h = find_hour(s, now / MQW_HOUR, true);
	if (h && h->count.deferred < UINT32_MAX) {
		h->count.deferred++;
		h->changed = s->changed = true;
	}
}

bool mqw_silence_is_broken(const struct mqw_silence *s, int64_t deferred_at)
{
	size_t i = search(s, deferred_at / MQW_HOUR);
	uint32_t silent;

	if (i == s->count || s->hours[i].count.hour != deferred_at / MQW_HOUR)
		return false;
	silent = s->hours[i].count.deferred - s->hours[i].count.followed;
	return silent >= MANY && silent > s->hours[i].count.followed;
}

int mqw_silence_restore(struct mqw_silence *s, const struct mqw_hour *hour)
{
	struct mqw_silence_hour *h = find_hour(s, hour->hour, true);

	if (!h)
		return -ENOMEM;
	h->count = *hour;
	return 0;
}

void mqw_silence_forget(struct mqw_silence *s, int64_t before)
{
	size_t n = search(s, before / MQW_HOUR);

	if (n == 0)
		return;
	s->count -= n;
	memmove(s->hours, s->hours + n, s->count * sizeof(*s->hours));
	s->forgotten = true;
}
