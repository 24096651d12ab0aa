/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/helper/wire.h"

#include <errno.h>

#include "watchdogd/base/buffer.h"

const char *mqw_helper_op_name(uint32_t op)
{
	static const char *const names[MQW_HELPER_OP_END] = {[MQW_HELPER_PING] = "ping",
		[MQW_HELPER_REQUEUE] = "requeue",
		[MQW_HELPER_FLUSH] = "flush",
		[MQW_HELPER_RESTART] = "restart",
		[MQW_HELPER_HEALTH] = "health",
		[MQW_HELPER_RECOVER] = "recover"};

	return op < MQW_HELPER_OP_END && names[op] ? names[op] : "unknown";
}

const char *mqw_helper_status_name(uint32_t status)
{
	static const char *const names[MQW_HELPER_STATUS_END] = {[MQW_HELPER_OK] = "ok",
		[MQW_HELPER_ALREADY] = "already",
		[MQW_HELPER_REFUSED] = "refused",
		[MQW_HELPER_FAILED] = "failed",
		[MQW_HELPER_UNHEALTHY] = "unhealthy"};

	return status < MQW_HELPER_STATUS_END ? names[status] : "unknown";
}

bool mqw_helper_field_put(char *field, size_t size, struct mqw_slice text)
{
	if (text.len >= size || mqw_slice_chr(text, '\0') < text.len)
		return false;
	memset(field, 0, size);
	if (text.len)
		memcpy(field, text.ptr, text.len);
	return true;
}

bool mqw_helper_field_get(const char *field, size_t size, struct mqw_slice *ret)
{
	size_t len = mqw_slice_chr(mqw_slice(field, size), '\0');

	if (len == size)
		return false;
	for (size_t i = len; i < size; i++)
		if (field[i])
			return false;
	*ret = mqw_slice(field, len);
	return true;
}

static bool is_printable(struct mqw_slice text)
{
	struct mqw_buffer shown = {0};
	bool same;

	mqw_buffer_add_printable(&shown, text);
	same = !shown.failed && mqw_slice_eq(mqw_buffer_slice(&shown), text);
	mqw_buffer_done(&shown);
	return same;
}

int mqw_helper_answer_check(const struct mqw_helper_answer *a, size_t n, uint32_t op)
{
	struct mqw_slice text;

	if (n != sizeof(*a) || a->magic != MQW_HELPER_MAGIC)
		return -EBADMSG;
	if (a->version != MQW_HELPER_VERSION)
		return -EPROTONOSUPPORT;
	/* Whom the helper does not know it refuses without having read what was asked. */
	if (a->op != op && (a->op != 0 || a->status != MQW_HELPER_REFUSED))
		return -EBADMSG;
	if (a->status >= MQW_HELPER_STATUS_END ||
		!mqw_helper_field_get(a->text, sizeof(a->text), &text) || !is_printable(text))
		return -EBADMSG;
	return 0;
}
