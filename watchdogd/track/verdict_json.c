/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/track/verdict_json.h"

#include "watchdogd/base/json_text.h"

/* Adds {"source","line"}; a look into a queue directory has no line. 0, or -1 without memory. */
static int add_evidence(
	json_t *list, const struct mqw_verdict_origin *o, const struct mqw_evidence *e)
{
	const char *name = o->source_name ? o->source_name(o->ctx, e->source) : NULL;
	struct mqw_json_member row[] = {{"source", NULL}, {"line", NULL}};

	if (!name)
		return 0;
	row[0].value = mqw_json_text_or_null(name);
	row[1].value = e->line ? json_integer((json_int_t)e->line) : json_null();
	/* Without memory it is NULL, which an array refuses. */
	return json_array_append_new(list, mqw_json_object(row, 2));
}

static json_t *evidence_json(const struct mqw_verdict_origin *o, const struct mqw_recipient *r)
{
	const struct mqw_evidence *first = &r->first_seen_at, *last = &r->last_seen_at;
	bool two = first->source != last->source || first->line != last->line;
	json_t *list = json_array();

	if (list &&
		(add_evidence(list, o, first) < 0 || (two && add_evidence(list, o, last) < 0))) {
		json_decref(list);
		return NULL;
	}
	return list;
}

json_t *mqw_verdict_json(const struct mqw_verdict_origin *o, const struct mqw_message *m,
	const struct mqw_recipient *r, const struct mqw_judgement *j)
{
	const struct mqw_json_member row[] = {
		{"type", json_string("verdict")},
		{"verdict", json_string(mqw_verdict_name(j->verdict))},
		{"confidence", json_string(mqw_confidence_name(j->confidence))},
		{"mta", mqw_json_text_or_null(o->mta)},
		{"instance", mqw_json_text_or_null(o->instance ? o->instance : m->instance)},
		{"queue_id", mqw_json_text_or_null(m->queue_id)},
		{"message_id", mqw_json_text_or_null(m->message_id)},
		{"sender", mqw_json_text_or_null(m->sender)},
		{"recipient", mqw_json_text_or_null(r->address)},
		{"relay", mqw_json_text_or_null(r->relay)},
		{"code", r->code ? json_integer(r->code) : json_null()},
		{"status", mqw_json_text_or_null(r->status[0] ? r->status : NULL)},
		{"reply", mqw_json_text_or_null(r->reply)},
		{"attempts", r->address ? json_integer(r->attempts) : json_null()},
		{"hasty_retries", json_boolean(r->hasty)},
		{"greylisting", mqw_json_text_or_null(j->greylisting)},
		{"first_seen", mqw_json_time(m->first_seen)},
		{"last_seen", mqw_json_time(m->last_seen)},
		{"ndr_id", mqw_json_text_or_null(m->ndr_id)},
		{"reason", mqw_json_text_or_null(j->reason)},
		{"remedy", mqw_json_text_or_null(j->remedy)},
		{"evidence", evidence_json(o, r)},
	};

	return mqw_json_object(row, sizeof(row) / sizeof(row[0]));
}
