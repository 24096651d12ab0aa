/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rules/window.h"

#include <stdlib.h>

#include "watchdogd/base/map.h"

#define FIRST_ENTRIES 4

struct window {
	struct window *older, *newer; /* by when something was added last */
	struct mqw_window_entry *entries; /* owned; by time, the oldest first */
	size_t count, cap;
	bool changed; /* since it was kept */
	size_t key_len;
	char key[MQW_WINDOW_KEY_LEN_MAX];
};

struct mqw_windows {
	size_t needed; /* entries that make a window full */
	int64_t within;
	size_t entries; /* over all windows */
	bool lost; /* a window since they were kept */
	bool changed; /* any window since then */
	struct mqw_map keys; /* to struct window, owned */
	struct window *oldest, *newest;
};

struct mqw_windows *mqw_windows_create(size_t count, int64_t within, uint64_t seed)
{
	struct mqw_windows *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->needed = count;
	w->within = within;
	mqw_map_init(&w->keys, seed);
	return w;
}

static void unlink_window(struct mqw_windows *w, struct window *v)
{
	*(v->older ? &v->older->newer : &w->oldest) = v->newer;
	*(v->newer ? &v->newer->older : &w->newest) = v->older;
	v->older = v->newer = NULL;
}

static void link_newest(struct mqw_windows *w, struct window *v)
{
	v->older = w->newest;
	*(w->newest ? &w->newest->newer : &w->oldest) = v;
	w->newest = v;
}

static void forget(struct mqw_windows *w, struct window *v)
{
	mqw_map_take(&w->keys, mqw_slice(v->key, v->key_len));
	unlink_window(w, v);
	w->entries -= v->count;
	w->lost = true;
	free(v->entries);
	free(v);
}

struct mqw_windows *mqw_windows_free(struct mqw_windows *w)
{
	if (!w)
		return NULL;
	while (w->oldest)
		forget(w, w->oldest);
	mqw_map_done(&w->keys);
	free(w);
	return NULL;
}

/* The window of a key, made when there is none; NULL when memory is out. */
static struct window *window_of(struct mqw_windows *w, struct mqw_slice key)
{
	char folded[MQW_WINDOW_KEY_LEN_MAX];
	struct window *v;

	key = mqw_slice_head(key, sizeof(folded));
	for (size_t i = 0; i < key.len; i++)
		folded[i] = key.ptr[i] >= 'A' && key.ptr[i] <= 'Z' ? (char)(key.ptr[i] | 0x20)
								   : key.ptr[i];
	v = mqw_map_get(&w->keys, mqw_slice(folded, key.len));
	if (v) {
		unlink_window(w, v);
		link_newest(w, v);
		return v;
	}
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->key_len = key.len;
	memcpy(v->key, folded, key.len);
	if (mqw_map_put(&w->keys, mqw_slice(v->key, v->key_len), v) < 0) {
		free(v);
		return NULL;
	}
	link_newest(w, v);
	return v;
}

static void remove_entries(struct mqw_windows *w, struct window *v, size_t at, size_t n)
{
	memmove(v->entries + at, v->entries + at + n, (v->count - at - n) * sizeof(*v->entries));
	v->count -= n;
	w->entries -= n;
}

static bool grow(struct window *v)
{
	size_t cap = v->cap ? v->cap * 2 : FIRST_ENTRIES;
	struct mqw_window_entry *p = realloc(v->entries, cap * sizeof(*p));

	if (!p)
		return false;
	v->entries = p;
	v->cap = cap;
	return true;
}

static bool insert(struct mqw_windows *w, struct window *v, struct mqw_window_entry e)
{
	size_t at = v->count;

	for (size_t i = 0; i < v->count; i++)
		if (v->entries[i].id == e.id) {
			if (v->entries[i].time >= e.time)
				return true;
			remove_entries(w, v, i, 1);
			at = v->count;
			break;
		}
	if (v->count == v->cap && !grow(v))
		return false;
	while (at > 0 && v->entries[at - 1].time > e.time)
		at--;
	memmove(v->entries + at + 1, v->entries + at, (v->count - at) * sizeof(*v->entries));
	v->entries[at] = e;
	v->changed = w->changed = true;
	v->count++;
	w->entries++;
	return true;
}

static bool apart(int64_t older, int64_t newer, int64_t within)
{
	int64_t span;

	return __builtin_sub_overflow(newer, older, &span) || span > within;
}

static void expire(struct mqw_windows *w, struct window *v)
{
	size_t n = 0;

	while (n < v->count && apart(v->entries[n].time, v->entries[v->count - 1].time, w->within))
		n++;
	if (n)
		remove_entries(w, v, 0, n);
}

bool mqw_windows_add(struct mqw_windows *w, struct mqw_slice key, uint64_t id, int64_t time)
{
	struct window *v = window_of(w, key);

	if (!v)
		return false;
	if (insert(w, v, (struct mqw_window_entry){time, id}))
		expire(w, v);
	if (v->count >= w->needed) {
		forget(w, v);
		return true;
	}
	if (v->count == 0)
		forget(w, v);
	while (w->oldest != w->newest &&
		(w->keys.count > MQW_WINDOW_KEYS_MAX || w->entries > MQW_WINDOW_ENTRIES_MAX))
		forget(w, w->oldest);
	return false;
}

size_t mqw_windows_keys(const struct mqw_windows *w)
{
	return w->keys.count;
}

int mqw_windows_each(const struct mqw_windows *w, bool changed,
	int (*each)(void *ctx, struct mqw_slice key, const struct mqw_window_entry *entries,
		size_t count),
	void *ctx)
{
	int r = 0;

	for (const struct window *v = w->oldest; r >= 0 && v; v = v->newer)
		if (v->changed || !changed)
			r = each(ctx, mqw_slice(v->key, v->key_len), v->entries, v->count);
	return r < 0 ? r : 0;
}

bool mqw_windows_unkept(const struct mqw_windows *w)
{
	return w->lost || w->changed;
}

bool mqw_windows_lost(const struct mqw_windows *w)
{
	return w->lost;
}

void mqw_windows_kept(struct mqw_windows *w)
{
	w->lost = w->changed = false;
	for (struct window *v = w->oldest; v; v = v->newer)
		v->changed = false;
}
