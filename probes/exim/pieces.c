/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines that come through syslog in pieces (write_syslog, log.c of Exim 4.96). */
#include "probes/exim/log_internal.h"

struct mqw_exim_pieced *mqw_exim_pieced_of(struct mqw_probe *p, uint32_t pid, bool first)
{
	struct mqw_exim_pieced *oldest = &p->pieced[0];

	for (size_t i = 0; i < MQW_EXIM_PIECED; i++) {
		struct mqw_exim_pieced *l = &p->pieced[i];

		if (l->next && l->pid == pid)
			return l;
		if (l->used < oldest->used)
			oldest = l;
	}
	return first ? oldest : NULL;
}

void mqw_exim_add_piece(struct mqw_exim_pieced *l, struct mqw_slice s)
{
	s = mqw_slice_head(s, sizeof(l->text) - l->len);
	if (s.len)
		memcpy(l->text + l->len, s.ptr, s.len);
	l->len += s.len;
}

bool mqw_exim_take_piece_head(struct mqw_slice *s, uint64_t *ret_number, uint64_t *ret_count)
{
	struct mqw_slice rest = *s;

	if (!mqw_slice_skip(&rest, MQW_LIT("[")) || !mqw_slice_take_u64(&rest, ret_number) ||
		(!mqw_slice_skip(&rest, MQW_LIT("/")) && !mqw_slice_skip(&rest, MQW_LIT("\\"))) ||
		!mqw_slice_take_u64(&rest, ret_count) || !mqw_slice_skip(&rest, MQW_LIT("] ")) ||
		*ret_number == 0 || *ret_number > *ret_count || *ret_count > 1000)
		return false;
	*s = rest;
	return true;
}
