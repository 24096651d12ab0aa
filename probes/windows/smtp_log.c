/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/windows/smtp_log.h"

#include "probes/windows/form.h"

#define REPLY_MAX 1024 /* IIS cuts them at about as much */

enum direction { INBOUND, COMMAND, RESPONSE };

static bool is(struct mqw_slice s, struct mqw_slice word)
{
	return mqw_slice_eq(s, word);
}

/*
 * Lines of mail that comes in have the client's HELO name where those of mail that goes out have one of
 * two words: a client may call itself so. Its lines have a port of 0 and this host's address, its
 * arguments begin with "+", and it has a verb in each.
 */
static enum direction direction_of(const struct mqw_slice row[MQW_COLUMN_COUNT])
{
	struct mqw_slice user = row[MQW_COLUMN_USERNAME], verb = row[MQW_COLUMN_METHOD];
	bool no_verb = is(verb, MQW_LIT("-"));

	if (is(row[MQW_COLUMN_SERVER_PORT], MQW_LIT("0")) ||
		(row[MQW_COLUMN_SERVER_IP].ptr && !is(row[MQW_COLUMN_SERVER_IP], MQW_LIT("-"))))
		return INBOUND;
	if (is(user, MQW_LIT("OutboundConnectionCommand")) && verb.len && !no_verb &&
		!mqw_slice_starts(row[MQW_COLUMN_QUERY], MQW_LIT("+")))
		return COMMAND;
	if (is(user, MQW_LIT("OutboundConnectionResponse")) && no_verb)
		return RESPONSE;
	return INBOUND;
}

/* Blanks are logged as "+"; what was one cannot be told any more. */
static struct mqw_slice decode(struct mqw_slice s, char text[REPLY_MAX])
{
	s = mqw_slice_head(s, REPLY_MAX);
	for (size_t i = 0; i < s.len; i++)
		text[i] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
	return mqw_slice(text, s.len);
}

bool mqw_windows_smtp_server(const struct mqw_line *line, struct mqw_slice *ret)
{
	struct mqw_slice row[MQW_COLUMN_COUNT];

	if (!line->columns || line->columns->log != MQW_WINDOWS_W3C ||
		!mqw_columns_split(line->columns, line->text, row) || !mqw_windows_is_smtp(row))
		return false;
	*ret = row[MQW_COLUMN_COMPUTERNAME];
	return ret->len > 0 && !is(*ret, MQW_LIT("-"));
}

int mqw_windows_smtp_line(
	struct mqw_smtp_table *t, const struct mqw_line *line, mqw_smtp_told *told, void *ctx)
{
	struct mqw_slice row[MQW_COLUMN_COUNT];
	struct mqw_smtp_session *s;
	enum direction direction;
	char text[REPLY_MAX];
	int r;

	if (!mqw_windows_smtp_row(line->columns, line->text, row))
		return MQW_LINE_STRANGE;
	direction = direction_of(row);
	if (direction == INBOUND)
		return mqw_windows_is_smtp(row) ? MQW_LINE_DULL : MQW_LINE_FOREIGN;
	s = mqw_smtp_session(t, row[MQW_COLUMN_SITENAME], row[MQW_COLUMN_CLIENT_IP], line->time);
	s->site = row[MQW_COLUMN_SITENAME];
	s->remote = row[MQW_COLUMN_CLIENT_IP];
	if (direction == COMMAND) {
		mqw_smtp_command(s, row[MQW_COLUMN_METHOD], row[MQW_COLUMN_QUERY], line->time);
		return MQW_LINE_DULL;
	}
	r = mqw_smtp_reply(s, decode(row[MQW_COLUMN_QUERY], text), true, line->time, told, ctx);
	return r < 0 ? r : MQW_LINE_USED;
}
