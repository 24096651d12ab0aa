/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/source/journal.h"

#include "probes/source/lines.h"

void mqw_journal_fields_clear(struct mqw_journal_fields *f)
{
	mqw_buffer_clear(&f->text);
	f->seen = 0;
	f->cut = false;
}

static enum mqw_journal_field field_of(struct mqw_slice name)
{
	static const struct mqw_slice names[MQW_JOURNAL_FIELD_COUNT] = {
		[MQW_JOURNAL_FIELD_HOST] = {"_HOSTNAME", 9},
		[MQW_JOURNAL_FIELD_IDENTIFIER] = {"SYSLOG_IDENTIFIER", 17},
		[MQW_JOURNAL_FIELD_MESSAGE] = {"MESSAGE", 7},
		[MQW_JOURNAL_FIELD_UNIT] = {"_SYSTEMD_UNIT", 13},
		[MQW_JOURNAL_FIELD_UID] = {"_UID", 4},
		[MQW_JOURNAL_FIELD_EXE] = {"_EXE", 4},
		[MQW_JOURNAL_FIELD_COMM] = {"_COMM", 5},
		[MQW_JOURNAL_FIELD_SYSLOG_PID] = {"SYSLOG_PID", 10},
		[MQW_JOURNAL_FIELD_PID] = {"_PID", 4},
		[MQW_JOURNAL_FIELD_SENT] = {"_SOURCE_REALTIME_TIMESTAMP", 26},
	};
	enum mqw_journal_field i = 0;

	while (i < MQW_JOURNAL_FIELD_COUNT && !mqw_slice_eq(name, names[i]))
		i++;
	return i;
}

void mqw_journal_fields_add(struct mqw_journal_fields *f, struct mqw_slice field)
{
	enum mqw_journal_field i;
	struct mqw_slice name;

	if (!mqw_slice_take_until(&field, '=', &name))
		return;
	i = field_of(name);
	/* A sender may give a field of his own twice; journald's own come once. */
	if (i == MQW_JOURNAL_FIELD_COUNT || f->seen & 1u << i)
		return;
	if (field.len > MQW_LINE_MAX) {
		f->cut = f->cut || i == MQW_JOURNAL_FIELD_MESSAGE;
		field.len = MQW_LINE_MAX;
	}
	f->seen |= 1u << i;
	f->field[i].at = f->text.len;
	f->field[i].len = field.len;
	mqw_buffer_add(&f->text, field);
}

static struct mqw_slice field_get(const struct mqw_journal_fields *f, enum mqw_journal_field i)
{
	if (!(f->seen & 1u << i) || f->field[i].len == 0)
		return MQW_SLICE_NULL;
	return mqw_slice(f->text.ptr + f->field[i].at, f->field[i].len);
}

/* A field that is a number and nothing else, up to max; 0 otherwise. */
static uint64_t number(const struct mqw_journal_fields *f, enum mqw_journal_field i, uint64_t max)
{
	struct mqw_slice s = field_get(f, i);
	uint64_t v;

	return mqw_slice_take_u64(&s, &v) && s.len == 0 && v <= max ? v : 0;
}

bool mqw_journal_fields_entry(
	const struct mqw_journal_fields *f, int64_t received, struct mqw_journal_entry *ret)
{
	uint64_t pid, sent;

	if (f->text.failed)
		return false;
	pid = number(f, MQW_JOURNAL_FIELD_SYSLOG_PID, UINT32_MAX);
	sent = number(f, MQW_JOURNAL_FIELD_SENT, INT64_MAX);
	*ret = (struct mqw_journal_entry){
		.time = sent ? (int64_t)sent : received,
		.pid = (uint32_t)(pid ? pid : number(f, MQW_JOURNAL_FIELD_PID, UINT32_MAX)),
		.cut = f->cut,
		.no_message = !(f->seen & 1u << MQW_JOURNAL_FIELD_MESSAGE),
		.host = field_get(f, MQW_JOURNAL_FIELD_HOST),
		.identifier = field_get(f, MQW_JOURNAL_FIELD_IDENTIFIER),
		.message = field_get(f, MQW_JOURNAL_FIELD_MESSAGE),
		.unit = field_get(f, MQW_JOURNAL_FIELD_UNIT),
		.uid = field_get(f, MQW_JOURNAL_FIELD_UID),
		.exe = field_get(f, MQW_JOURNAL_FIELD_EXE),
		.comm = field_get(f, MQW_JOURNAL_FIELD_COMM),
	};
	return true;
}

int64_t mqw_journal_position_time(struct mqw_slice position)
{
	uint64_t v = 0;
	size_t at = mqw_slice_find(position, MQW_LIT(";t="));
	struct mqw_slice hex;
	size_t i = 0;

	if (at == position.len)
		return MQW_TIME_NONE;
	hex = mqw_slice_from(position, at + 3);
	for (; i < hex.len && i < 15; i++) {
		char c = hex.ptr[i];
		int digit = c >= '0' && c <= '9' ? c - '0'
			: c >= 'a' && c <= 'f'   ? c - 'a' + 10
						 : -1;

		if (digit < 0)
			break;
		v = v << 4 | (uint64_t)digit;
	}
	return i ? (int64_t)v : MQW_TIME_NONE;
}
