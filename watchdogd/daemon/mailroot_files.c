/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lies in Queue and in Pickup for longer than it should. */
#include <stdlib.h>

#include "watchdogd/daemon/mailroot_internal.h"

#define PICKUP_PATIENCE (10 * MQW_MINUTE)
#define ADDRESS_MAX 512
#define LAG (2 * MQW_MINUTE) /* the first try's line may be older than its file by so much */

/* What the log has of an address that a file is for. */
struct heard {
	int64_t at; /* last try; MQW_TIME_NONE none */
	bool trouble; /* it is said already that one for him is stuck */
};

/* Addresses in a log and in a header may differ in case. Cut where it is longer than any. */
static struct mqw_slice small_letters(struct mqw_slice address, char text[ADDRESS_MAX])
{
	address = mqw_slice_head(address, ADDRESS_MAX);
	for (size_t i = 0; i < address.len; i++) {
		char c = address.ptr[i];

		text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	return mqw_slice(text, address.len);
}

/* Notes of whom something is to be known. */
static void note_addresses(struct mqw_mailroot_look *l, const json_t *file)
{
	char small[ADDRESS_MAX], *key;

	for (size_t n = 0; n < json_array_size(mqw_look_recipients(file)); n++) {
		struct mqw_slice address = small_letters(mqw_look_recipient(file, n), small);
		struct heard *h;

		if (!address.len || mqw_map_get(&l->addresses, address))
			continue;
		h = mqw_arena_alloc(&l->arena, sizeof(*h));
		key = mqw_arena_strdup(&l->arena, address);
		if (!h || !key)
			return;
		*h = (struct heard){.at = MQW_TIME_NONE};
		mqw_map_put(&l->addresses, mqw_slice(key, address.len), h);
	}
}

/* What the log has of them: one walk over all that is followed. */
static void hear(struct mqw_mailroot_look *l)
{
	struct mqw_tracker *t = l->i->act.tracker;
	char small[ADDRESS_MAX];

	l->tried = l->i->tried_at;
	for (const struct mqw_message *m = mqw_tracker_next(t, NULL); m;
		m = mqw_tracker_next(t, m)) {
		/* Files are not in the log. */
		for (const struct mqw_recipient *r = m->recipients; r && m->place == MQW_PLACE_NONE;
			r = r->next) {
			struct heard *h = mqw_map_get(
				&l->addresses, small_letters(mqw_slice_of(r->address), small));

			if (r->attempts && r->last_attempt > l->tried)
				l->tried = r->last_attempt;
			if (!h)
				continue;
			if (r->last_attempt > h->at)
				h->at = r->last_attempt;
			h->trouble =
				h->trouble || mqw_verdict_is_trouble((enum mqw_verdict)r->reported);
		}
	}
}

void mqw_mailroot_introduce(
	struct mqw_mailroot_look *l, const json_t *file, const char *why, int64_t written)
{
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUED, written);
	struct mqw_slice message_id = mqw_look_text(file, "message_id");
	size_t count = json_array_size(mqw_look_recipients(file));

	e.queue_id = mqw_look_text(file, "name");
	e.count = count ? count : 1;
	/* A report has the null sender in its envelope, whatever its header says. */
	e.sender = json_is_true(json_object_get(file, "report")) ? MQW_LIT("")
								 : mqw_look_text(file, "sender");
	mqw_instance_emit(l->i, &e);
	if (message_id.len) {
		e.kind = MQW_EVENT_MESSAGE_ID;
		e.message_id = message_id;
		mqw_instance_emit(l->i, &e);
	}
	e.kind = MQW_EVENT_ATTEMPT;
	e.outcome = MQW_OUTCOME_UNDER_WAY;
	e.reply = mqw_slice_of(why);
	for (size_t n = 0; n < e.count; n++) {
		e.recipient = count ? mqw_look_recipient(file, n) : MQW_LIT("unknown");
		mqw_instance_emit(l->i, &e);
	}
}

const struct mqw_message *mqw_mailroot_followed(
	const struct mqw_mailroot_look *l, const json_t *file)
{
	const struct mqw_message *m =
		mqw_tracker_find(l->i->act.tracker, MQW_SLICE_NULL, mqw_look_text(file, "name"));

	return m && m->closed_at == MQW_TIME_NONE ? m : NULL;
}

/* It is there, and until when it should have been gone on with. */
static void present(struct mqw_mailroot_look *l, const json_t *file, enum mqw_place place,
	int64_t written, int64_t due, const char *why)
{
	struct mqw_event e = mqw_event(MQW_EVENT_QUEUE_PRESENT, l->now);

	if (!mqw_mailroot_followed(l, file))
		mqw_mailroot_introduce(l, file, why, written);
	e.queue_id = mqw_look_text(file, "name");
	e.place = place;
	e.retry_at = due;
	mqw_instance_emit(l->i, &e);
}

/* When the log spoke last of what is in the file; *ret_said: that it is stuck is said already. */
static int64_t heard_of(
	struct mqw_mailroot_look *l, const json_t *file, int64_t written, bool *ret_said)
{
	int64_t at = MQW_TIME_NONE;
	size_t count = json_array_size(mqw_look_recipients(file));
	char small[ADDRESS_MAX];

	*ret_said = count > 0;
	for (size_t n = 0; n < count; n++) {
		const struct heard *h = mqw_map_get(
			&l->addresses, small_letters(mqw_look_recipient(file, n), small));
		bool of_it = h && h->at != MQW_TIME_NONE && h->at >= written - LAG;

		*ret_said = *ret_said && of_it && h->trouble;
		if (of_it && h->at > at)
			at = h->at;
	}
	if (at != MQW_TIME_NONE)
		return at;
	/* Lists and blind copies have other addresses in the log: any try may be one for them. */
	return l->tried != MQW_TIME_NONE ? l->tried : l->i->caught_up_at;
}

static void take_queued(struct mqw_mailroot_look *l, const json_t *file)
{
	const struct mqw_instance *i = l->i;
	int64_t written = mqw_look_ours(l, mqw_look_number(file, "written"));
	int64_t lifetime =
		i->config->lifetime ? i->config->lifetime : i->act.probe->default_lifetime;
	int64_t end = written + lifetime, due;
	bool said, stuck;

	due = heard_of(l, file, written, &said);
	due = (due > written ? due : written) + i->retry_max;
	if (due > end)
		due = end;
	stuck = l->known > due + i->config->slack && !said;
	l->mailroot->state.stuck += stuck;
	/* One that was told of is told of as long as it is there: it may be tried again. */
	if (stuck || mqw_mailroot_followed(l, file))
		present(l, file, MQW_PLACE_WAITING, written, due,
			"a file in Queue; no line of the log names it");
}

static int64_t arrived_at(struct mqw_mailroot_look *l, struct mqw_slice name)
{
	struct mqw_mailroot *m = l->mailroot;

	for (size_t n = 0; n < m->arrival_count; n++)
		if (mqw_slice_eq(mqw_slice_of(m->arrivals[n].name), name)) {
			m->arrivals[n].there = true;
			return m->arrivals[n].since;
		}
	if (m->arrival_count < MQW_MAILROOT_ARRIVALS) {
		struct mqw_arrival a = {mqw_slice_dup(name), l->now, true};

		if (a.name)
			m->arrivals[m->arrival_count++] = a;
	}
	return l->now;
}

/* A file that was copied there has any age: it counts from when it was seen. */
static void take_arrived(struct mqw_mailroot_look *l, const json_t *file)
{
	int64_t since = arrived_at(l, mqw_look_text(file, "name"));

	if (l->now - since <= PICKUP_PATIENCE)
		return;
	l->mailroot->state.stuck++;
	present(l, file, MQW_PLACE_ARRIVING, since, since + PICKUP_PATIENCE,
		"a file in Pickup; no line of the log names it");
}

static void forget_arrivals(struct mqw_mailroot *m)
{
	size_t used = 0;

	for (size_t n = 0; n < m->arrival_count; n++) {
		if (!m->arrivals[n].there) {
			free(m->arrivals[n].name);
			continue;
		}
		m->arrivals[used] = m->arrivals[n];
		m->arrivals[used++].there = false;
	}
	m->arrival_count = used;
}

/* Sent, returned or taken away: no line tells which. */
void mqw_mailroot_drop_gone(struct mqw_mailroot_look *l)
{
	struct mqw_tracker *t = l->i->act.tracker;
	struct mqw_buffer gone = {0};
	struct mqw_event e = mqw_event(MQW_EVENT_REMOVED, l->now);
	struct mqw_slice rest;

	for (const struct mqw_message *m = mqw_tracker_next(t, NULL); m; m = mqw_tracker_next(t, m))
		if ((m->place == MQW_PLACE_WAITING || m->place == MQW_PLACE_ARRIVING) &&
			m->closed_at == MQW_TIME_NONE &&
			!mqw_map_get(&l->names, mqw_slice_of(m->queue_id)))
			mqw_buffer_printf(&gone, "%s\n", m->queue_id);
	rest = mqw_buffer_slice(&gone);
	while (mqw_slice_take_until(&rest, '\n', &e.queue_id))
		mqw_instance_emit(l->i, &e);
	mqw_buffer_done(&gone);
}

void mqw_mailroot_take_files(struct mqw_mailroot_look *l, const json_t *files)
{
	static char there;

	for (size_t n = 0; n < json_array_size(files); n++) {
		const json_t *file = json_array_get(files, n);

		if (mqw_look_text(file, "name").len && !mqw_look_is_in(file, "badmail")) {
			mqw_map_put(&l->names, mqw_look_text(file, "name"), &there);
			note_addresses(l, file);
		}
	}
	if (l->names.count)
		hear(l);
	for (size_t n = 0; n < json_array_size(files); n++) {
		const json_t *file = json_array_get(files, n);

		if (!mqw_look_text(file, "name").len ||
			mqw_look_number(file, "written") == MQW_TIME_NONE)
			continue;
		if (mqw_look_is_in(file, "queue"))
			take_queued(l, file);
		else if (mqw_look_is_in(file, "pickup"))
			take_arrived(l, file);
	}
	forget_arrivals(l->mailroot);
}
