/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/base/json_text.h"

#include "watchdogd/base/clock.h"

/* Bytes at the front of s that are well-formed UTF-8. */
static size_t well_formed(struct mqw_slice s)
{
	size_t at = 0, n;

	while ((n = mqw_utf8_sequence(mqw_slice_from(s, at))) > 0)
		at += n;
	return at;
}

json_t *mqw_json_text(struct mqw_slice s)
{
	struct mqw_buffer clean = {0};
	json_t *ret = NULL;
	size_t n = well_formed(s);

	if (n == s.len)
		return json_stringn_nocheck(s.len ? s.ptr : "", s.len);
	while (s.len) {
		mqw_buffer_add(&clean, mqw_slice_head(s, n));
		s = mqw_slice_from(s, n);
		if (s.len)
			mqw_buffer_add(&clean, MQW_LIT("\xef\xbf\xbd"));
		s = mqw_slice_from(s, 1);
		n = well_formed(s);
	}
	if (!clean.failed)
		ret = json_stringn_nocheck(clean.ptr, clean.len);
	mqw_buffer_done(&clean);
	return ret;
}

json_t *mqw_json_text_or_null(const char *s)
{
	return s ? mqw_json_text(mqw_slice_of(s)) : json_null();
}

json_t *mqw_json_time(int64_t time)
{
	struct mqw_buffer b = {0};
	json_t *ret;

	if (time == MQW_TIME_NONE)
		return json_null();
	mqw_time_format(&b, time);
	ret = b.failed ? NULL : json_stringn_nocheck(b.ptr, b.len);
	mqw_buffer_done(&b);
	return ret;
}

static int add_bytes(const char *bytes, size_t n, void *buffer)
{
	struct mqw_buffer *b = buffer;

	mqw_buffer_add(b, mqw_slice(bytes, n));
	return b->failed ? -1 : 0;
}

json_t *mqw_json_object(const struct mqw_json_member *members, size_t count)
{
	json_t *ret = json_object();
	bool good = ret != NULL;

	/* Setting a value takes it over, even when it fails: so each is set. */
	for (size_t i = 0; i < count; i++)
		good = json_object_set_new_nocheck(ret, members[i].key, members[i].value) == 0 &&
			good;
	if (!good) {
		json_decref(ret);
		return NULL;
	}
	return ret;
}

void mqw_json_add(struct mqw_buffer *b, const json_t *j)
{
	if (!j ||
		json_dump_callback(
			j, add_bytes, b, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) < 0)
		b->failed = true;
}
