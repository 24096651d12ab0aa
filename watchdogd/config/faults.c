/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* vasprintf */
#include "watchdogd/config/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool before(const struct mqw_fault *a, const struct mqw_fault *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* Puts one in its place, behind its equals; the last one falls out when there is no room. */
static void keep(struct mqw_faults *f, struct mqw_fault fault)
{
	size_t i;

	if (f->kept_count == MQW_DIAG_MAX) {
		struct mqw_fault *last = &f->kept[MQW_DIAG_MAX - 1];

		if (!before(&fault, last)) {
			free(fault.message);
			return;
		}
		free(last->message);
		f->kept_count--;
	}
	for (i = f->kept_count; i > 0 && before(&fault, &f->kept[i - 1]); i--)
		f->kept[i] = f->kept[i - 1];
	f->kept[i] = fault;
	f->kept_count++;
}

void mqw_faults_add(struct mqw_faults *f, size_t line, size_t column, const char *format, ...)
{
	struct mqw_fault fault = {.line = line, .column = column};
	va_list ap;
	int n;

	f->count++;
	va_start(ap, format);
	n = vasprintf(&fault.message, format, ap);
	va_end(ap);
	if (n < 0)
		f->failed = true;
	else
		keep(f, fault);
}

void mqw_faults_flush(struct mqw_faults *f, const char *file, struct mqw_diag *d)
{
	for (size_t i = 0; i < f->kept_count; i++)
		mqw_diag_add(d, file, f->kept[i].line, f->kept[i].column, "%s", f->kept[i].message);
	d->count += f->count - f->kept_count;
	mqw_faults_done(f);
}

void mqw_faults_done(struct mqw_faults *f)
{
	for (size_t i = 0; i < f->kept_count; i++)
		free(f->kept[i].message);
	*f = (struct mqw_faults){0};
}

struct mqw_shown mqw_show(struct mqw_slice value)
{
	struct mqw_shown shown;
	size_t room = sizeof(shown.text) - sizeof("\"...\""), n = value.len;

	if (n > room) {
		n = room;
		/* Never cut a character in two: its half would be shown as \xNN. */
		while (n > 0 && ((unsigned char)value.ptr[n] & 0xc0) == 0x80)
			n--;
	}
	snprintf(shown.text, sizeof(shown.text), "\"%.*s%s\"", (int)n, n ? value.ptr : "",
		n < value.len ? "..." : "");
	return shown;
}

#define WORD_MAX 48

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static size_t min(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment, by rows: insert, delete, replace, swap neighbours. */
size_t mqw_edit_distance(struct mqw_slice a, struct mqw_slice b, size_t limit)
{
	size_t rows[3][WORD_MAX + 1], *two_up = rows[0], *up = rows[1], *row = rows[2], *spare;

	if (a.len > WORD_MAX || b.len > WORD_MAX)
		return limit + 1;
	for (size_t j = 0; j <= b.len; j++)
		up[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			bool same = lower(a.ptr[i - 1]) == lower(b.ptr[j - 1]);

			row[j] = min(min(up[j], row[j - 1]) + 1, up[j - 1] + !same);
			if (i > 1 && j > 1 && lower(a.ptr[i - 1]) == lower(b.ptr[j - 2]) &&
				lower(a.ptr[i - 2]) == lower(b.ptr[j - 1]))
				row[j] = min(row[j], two_up[j - 2] + 1);
		}
		spare = two_up;
		two_up = up;
		up = row;
		row = spare;
	}
	return min(up[b.len], limit + 1);
}

const char *mqw_nearest(struct mqw_slice word, const char *const *known, size_t count)
{
	const char *best = NULL;
	size_t limit = word.len <= 3 ? 1 : 2, best_distance = limit + 1;

	for (size_t i = 0; i < count; i++) {
		size_t d = mqw_edit_distance(word, mqw_slice_of(known[i]), limit);

		if (d < best_distance) {
			best_distance = d;
			best = known[i];
		}
	}
	return best;
}
