/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/daemon/mailroot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "watchdogd/act/alert.h"
#include "watchdogd/daemon/mailroot_internal.h"

#define EVERY (5 * MQW_MINUTE)
#define HANGS (10 * MQW_MINUTE)

struct mqw_mailroot *mqw_mailroot_create(
	struct mqw_instance *i, const char *root, const char *const *reader)
{
	struct mqw_mailroot *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->instance = i;
	m->root = root;
	m->reader = reader;
	m->bad_since = m->begun_at = MQW_TIME_NONE;
	m->state.looked_at = m->state.queue_oldest = m->state.pickup_oldest = MQW_TIME_NONE;
	return m;
}

struct mqw_mailroot *mqw_mailroot_free(struct mqw_mailroot *m)
{
	if (!m)
		return NULL;
	mqw_mailroot_read_cancel(m->read);
	while (m->arrival_count)
		free(m->arrivals[--m->arrival_count].name);
	free(m);
	return NULL;
}

struct mqw_mailroot_state mqw_mailroot_state(const struct mqw_mailroot *m)
{
	struct mqw_mailroot_state s = m->state;

	s.why = m->why[0] ? m->why : NULL;
	return s;
}

static void is_away(struct mqw_mailroot *m, const char *why)
{
	struct mqw_buffer b = {0};
	bool said = m->why[0] != '\0';

	mqw_buffer_add_printable(&b, mqw_slice_of(why));
	snprintf(m->why, sizeof(m->why), "%s", b.len ? mqw_buffer_str(&b) : "out of memory");
	mqw_buffer_done(&b);
	if (!said)
		mqw_alert_say(MQW_ALERT_SELF, LOG_WARNING, m->instance->act.name,
			"mailroot %s cannot be read: %s. It is tried again every 5 min; until then "
			"nothing is known of Queue, Pickup and Badmail",
			m->root, m->why);
}

static void is_back(struct mqw_mailroot *m)
{
	if (m->why[0])
		mqw_alert_say(MQW_ALERT_SELF, LOG_NOTICE, m->instance->act.name,
			"mailroot %s is read again", m->root);
	m->why[0] = '\0';
}

static void take_state(struct mqw_mailroot_look *l, const json_t *found)
{
	struct mqw_mailroot_state *s = &l->mailroot->state;
	const json_t *queue = json_object_get(found, "queue"),
		     *pickup = json_object_get(found, "pickup"),
		     *bad = json_object_get(found, "badmail");

	*s = (struct mqw_mailroot_state){.looked_at = l->now,
		.queue = (uint64_t)json_integer_value(json_object_get(queue, "count")),
		.pickup = (uint64_t)json_integer_value(json_object_get(pickup, "count")),
		.badmail = (uint64_t)json_integer_value(json_object_get(bad, "count")),
		.queue_oldest = mqw_look_ours(l, mqw_look_number(queue, "oldest")),
		.pickup_oldest = mqw_look_ours(l, mqw_look_number(pickup, "oldest"))};
}

static void on_found(void *ctx, const json_t *found, const char *why)
{
	struct mqw_mailroot *m = ctx;
	struct mqw_instance *i = m->instance;
	struct mqw_mailroot_look l = {.mailroot = m, .i = i, .now = mqw_clock_now()};

	m->read = NULL;
	m->next_at = l.now + EVERY;
	if (!found) {
		is_away(m, why);
		return;
	}
	is_back(m);
	l.ahead = mqw_look_number(found, "now") == MQW_TIME_NONE
		? 0
		: mqw_look_number(found, "now") - l.now;
	l.known = mqw_instance_logs_known(i, l.now);
	mqw_map_init(&l.addresses, mqw_map_random_seed());
	mqw_map_init(&l.names, mqw_map_random_seed());
	take_state(&l, found);
	mqw_mailroot_take_files(&l, json_object_get(found, "files"));
	mqw_mailroot_take_bad(&l, found);
	mqw_mailroot_drop_gone(&l);
	mqw_map_done(&l.addresses);
	mqw_map_done(&l.names);
	mqw_arena_done(&l.arena);
}

void mqw_mailroot_tick(struct mqw_mailroot *m, int64_t now)
{
	const struct mqw_instance *i = m->instance;
	struct mqw_mailroot_request q = {
		.root = m->root, .reader = m->reader, .age = i->retry_max + i->config->slack};
	int r;

	if (m->read) {
		/* In the kernel, as on a mount whose server is gone. */
		if (now - m->begun_at > HANGS && !m->why[0])
			is_away(m, "the process that reads it hangs and cannot be ended");
		return;
	}
	if (now < m->next_at)
		return;
	q.bad_since = mqw_mailroot_bad_since(m);
	m->begun_at = now;
	m->next_at = now + EVERY;
	r = mqw_mailroot_read_begin(i->host.event, &q, on_found, m, &m->read);
	if (r < 0)
		is_away(m, strerror(-r));
}
