/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verdict as a JSON object: the interface of DESIGN section 4, the same from `scan`, from the
 * daemon's API and from its command line.
 */
#ifndef MQW_TRACK_VERDICT_JSON_H
#define MQW_TRACK_VERDICT_JSON_H

#include <jansson.h>

#include "watchdogd/track/tracker.h"

/* Whose verdict it is, and how its sources are called. All borrowed for the call. */
struct mqw_verdict_origin {
	const char *mta; /* the probe's name: "postfix" */
	const char *instance; /* NULL: the message's own */
	/* The name of a numbered source, borrowed until the next call; NULL unknown: left out. */
	const char *(*source_name)(void *ctx, uint32_t source);
	void *ctx;
};

/*
 * {"type":"verdict",...} with the keys in DESIGN's order, for mqw_json_add(); whatever is unknown
 * is null. r may be the stand-in: then recipient and attempts are null. A new reference for the
 * caller; NULL when memory is out.
 */
json_t *mqw_verdict_json(const struct mqw_verdict_origin *o, const struct mqw_message *m,
	const struct mqw_recipient *r, const struct mqw_judgement *j);

#endif
