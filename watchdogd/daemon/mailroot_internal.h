/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of the mailroot, and by nothing else. */
#ifndef MQW_DAEMON_MAILROOT_INTERNAL_H
#define MQW_DAEMON_MAILROOT_INTERNAL_H

#include "watchdogd/base/arena.h"
#include "watchdogd/daemon/instance_internal.h"
#include "watchdogd/daemon/mailroot.h"
#include "watchdogd/daemon/mailroot_reader.h"

#define MQW_MAILROOT_ARRIVALS 128 /* names that are remembered; more than are told of in one look */

struct mqw_arrival {
	char *name; /* owned */
	int64_t since; /* when it was seen first */
	bool there;
};

struct mqw_mailroot {
	struct mqw_instance *instance;
	const char *root;
	const char *const *reader;
	struct mqw_mailroot_read *read; /* under way; NULL none */
	int64_t begun_at, next_at;
	struct mqw_mailroot_state state;
	char why[256];
	struct mqw_arrival arrivals[MQW_MAILROOT_ARRIVALS];
	size_t arrival_count;
	int64_t bad_since; /* MQW_TIME_NONE: nothing was ever looked at */
	bool bad_loaded;
};

/* One look, while it is taken in. */
struct mqw_mailroot_look {
	struct mqw_mailroot *mailroot;
	struct mqw_instance *i;
	int64_t now, ahead; /* ahead: of the server's clock */
	int64_t known; /* until when the log is known */
	int64_t tried; /* the last try of all; MQW_TIME_NONE none */
	struct mqw_map addresses; /* what the log has of each, by address in small letters */
	struct mqw_map names; /* of the files that are told of */
	struct mqw_arena arena;
};

static inline int64_t mqw_look_number(const json_t *o, const char *key)
{
	const json_t *n = json_object_get(o, key);

	return json_is_integer(n) ? json_integer_value(n) : MQW_TIME_NONE;
}

static inline struct mqw_slice mqw_look_text(const json_t *o, const char *key)
{
	const json_t *s = json_object_get(o, key);

	return json_is_string(s) ? mqw_slice(json_string_value(s), json_string_length(s))
				 : MQW_SLICE_NULL;
}

static inline bool mqw_look_is_in(const json_t *file, const char *folder)
{
	return mqw_slice_eq(mqw_look_text(file, "folder"), mqw_slice_of(folder));
}

/* A server's stamp by our clock. */
static inline int64_t mqw_look_ours(const struct mqw_mailroot_look *l, int64_t time)
{
	return time == MQW_TIME_NONE ? time : time - l->ahead;
}

/* A file's recipients, as far as they are known, and the n-th of them. */
static inline const json_t *mqw_look_recipients(const json_t *file)
{
	return json_object_get(file, "recipients");
}

static inline struct mqw_slice mqw_look_recipient(const json_t *file, size_t n)
{
	const json_t *s = json_array_get(mqw_look_recipients(file), n);

	return mqw_slice(json_string_value(s), json_string_length(s));
}

/* mailroot_files.c: what lies in Queue and Pickup, and what does no more. */
void mqw_mailroot_take_files(struct mqw_mailroot_look *l, const json_t *files);
void mqw_mailroot_drop_gone(struct mqw_mailroot_look *l);
/* Tells the tracker of a file that it does not know yet; why stands in the place of an answer. */
void mqw_mailroot_introduce(
	struct mqw_mailroot_look *l, const json_t *file, const char *why, int64_t written);
/* The message that the tracker follows for a file; NULL none. */
const struct mqw_message *mqw_mailroot_followed(
	const struct mqw_mailroot_look *l, const json_t *file);

/* mailroot_bad.c: what is new in Badmail. _since(): for the next look; INT64_MAX: nothing is new. */
int64_t mqw_mailroot_bad_since(struct mqw_mailroot *m);
void mqw_mailroot_take_bad(struct mqw_mailroot_look *l, const json_t *found);

#endif
